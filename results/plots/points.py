"""Plot measures against a config field or the number of sampler steps: mean over runs with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described, name_groups
from results.plots.end_labels import END_WIDTH
from results.plots.look import DEFAULT, Look
from results.plots.point_figure import Lines, Point, plot_points
from results.text.labels import measure_labels, spell
from results.text.short_labels import DERIVED, ShortLabels, distinguishing_fields, short_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_field(
    groups: Sequence[Group],
    field: str,
    measures: Mapping[ResultMetadata, str],
    *,
    level: float = 0.95,
    look: Look = DEFAULT,
    notes: Sequence[str] = (),
) -> Figure:
    """Plot measures against a config field, one panel per measure.

    Groups that differ only in this field are one line. If every group has its own value of the field, all of them are
    one line, and the caption names the other fields in which they differ.

    Args:
        groups: Groups of runs; each is one point of a line, the mean over its runs.
        field: Name of the config field on the horizontal axis.
        measures: The measures, with the label of each panel.
        level: Coverage of the error bars, Student's t interval over runs.
        look: Size and style.
        notes: Sentences for the end of the caption.

    Raises:
        ConfigError: No run has the field, or the field is the seed. Means are taken over seeds.
    """
    known = {name for group in groups for name in group.config}
    if field == SEED:
        raise ConfigError(
            "cannot plot against seed: the mean and its error are taken over seeds. Choose another field."
        )
    if field not in known:
        raise unknown_name("config field", field, known)
    groups = [group for group in groups if field in group.config]
    others = [_other_fields(group, field) for group in groups]
    lines = list(dict.fromkeys(map(_as_key, others)))
    labels = short_labels([dict(line) for line in lines], END_WIDTH)
    if len({spell(group.config[field]) for group in groups}) == len(groups):
        differing = tuple(distinguishing_fields(others))
        lines, labels = [], ShortLabels(("all runs",), not_shown=differing)

    def points(metadata: ResultMetadata) -> Lines:
        found: Lines = {}
        for group, fields in zip(groups, others, strict=True):
            over = group.over_runs(metadata, level)
            if over.summary.n:
                label = labels.names[lines.index(_as_key(fields)) if lines else 0]
                found.setdefault(label, []).append(Point(group.config[field], over))
        return found

    panels = {label: points(metadata) for metadata, label in measures.items()}
    return plot_points(panels, field, measures, labels, level, look, notes)


def _other_fields(group: Group, field: str) -> dict[str, Any]:
    fields = described(group.runs[0], group.split_by)
    return {name: value for name, value in fields.items() if name != field and name not in DERIVED}


def _as_key(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, spell(value)) for name, value in fields.items()))


def plot_steps(
    groups: Sequence[Group],
    measures: Mapping[ResultMetadata, str],
    *,
    level: float = 0.95,
    look: Look = DEFAULT,
    notes: Sequence[str] = (),
    names: ShortLabels | None = None,
) -> Figure:
    """Plot measures against the number of sampler steps, one panel per measure.

    Args:
        groups: The groups; each is one line.
        measures: The measures, with their labels; those without a number of sampler steps are left out.
        level: Coverage of the error bars, Student's t interval over runs.
        look: Size and style.
        notes: Sentences for the end of the caption.
        names: The short labels of the groups; None: those that tell these groups apart.

    Raises:
        ConfigError: No measure has a number of sampler steps.
    """
    families: dict[ResultMetadata, list[ResultMetadata]] = {}
    for metadata in measures:
        if metadata.n_steps is not None:
            families.setdefault(_without_steps(metadata), []).append(metadata)
    if not families:
        raise ConfigError("no measure has a number of sampler steps. Evaluate with: pyml-eval RUN --n-steps K ...")
    labels, names = measure_labels(families), names or name_groups(groups, END_WIDTH)
    panels: dict[str, Lines] = {}
    for family, members in families.items():
        lines = panels.setdefault(labels[family], {})
        for i, group in enumerate(groups):
            overs = [(metadata.n_steps, group.over_runs(metadata, level)) for metadata in members]
            points = [Point(n_steps, over) for n_steps, over in overs if over.summary.n]
            if points:
                lines[names.names[i]] = points
    return plot_points(panels, "sampler steps", labels, names, level, look, notes)


def _without_steps(metadata: ResultMetadata) -> ResultMetadata:
    import attrs

    return attrs.evolve(metadata, n_steps=None)
