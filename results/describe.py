"""Describe one run in full, or the differences between two runs, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.runs.open_file import RefusedFileError, directory_inside
from core.runs.result_log import LoggedRecord
from core.runs.sample_values import VALUES
from core.utils.formatting import format_mean_error
from core.utils.results import ResultSource
from core.utils.tables import aligned
from results.run import Run
from results.staleness import stale_text
from results.text.labels import differing_names, measure_labels, printable, spell
from results.text.proportions import interval_text, is_proportion

MISSING = "(missing)"
SAME = "(no difference)"
NONE = "-"
NOTHING = "(missing or unreadable)"
NOT_SHOWN = {"schema", "packages"}


def describe_run(run: Run, *, every_record: bool = False, packages: bool = False) -> str:
    """Return a run's status, config, environment and results as sections of text.

    Args:
        run: The run.
        every_record: Also list the records of older and incomplete evaluations.
        packages: Also list the versions of the installed packages.
    """
    sections = [_section("Run", _overview(run)), _section("Config", run.config)]
    environment = {name: value for name, value in run.environment.items() if name not in NOT_SHOWN}
    sections.append(_section("Environment", environment))
    if packages:
        sections.append(_section("Packages", run.packages))
    sections.append(_every_record(run) if every_record else f"Results\n{_indented(str(run.results))}")
    sections += [_proportions(run), _clusters(run), stale_text(run)]
    return "\n\n".join(section for section in sections if section)


def describe_difference(a: Run, b: Run) -> str:
    """Return tables of the differences between two runs: config, plugins, environment and packages."""
    parts = [
        ("Config", a.config, b.config),
        ("Plugins", _flat(a.plugins), _flat(b.plugins)),
        ("Environment", _without(a.environment), _without(b.environment)),
        ("Packages", a.packages, b.packages),
    ]
    return "\n\n".join(f"{title}\n{_indented(_difference_table(one, other, a, b))}" for title, one, other in parts)


def _overview(run: Run) -> dict[str, Any]:
    status = run.status
    overview = {"id": run.id, "path": str(run.path), "status": status.state, "reason": status.reason}
    overview |= {"progress": status.progress(), "started_at": status.started_at, "finished_at": status.finished_at}
    overview |= {
        "tags": ", ".join(run.tags.tags),
        "note": run.tags.note,
        "archived": "yes" if run.tags.archived else "",
    }
    for kind, plugin in run.plugins.items():
        overview[kind] = " ".join(str(plugin.get(name, "?")) for name in ("name", "distribution", "version"))
    for folder in ("checkpoints", "samples", "values"):
        try:
            paths = directory_inside(run.path, folder).rglob("*")
        except RefusedFileError as error:
            overview[folder] = error.strerror
            continue
        files = sorted(path.name for path in paths if path.is_file())
        overview[folder] = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
    return {name: value for name, value in overview.items() if value not in (None, "")}


def _every_record(run: Run) -> str:
    entries = run.log().entries
    header = ("evaluation", "complete", "result", "mean ± error", "n", "unit", "details")
    rows = [
        (
            entry.evaluation or "-",
            "yes" if entry.is_complete else "NO",
            entry.record.metadata.name,
            entry.record.value(),
            "?" if entry.record.result.n is None else f"{entry.record.result.n:,}",
            entry.record.metadata.unit,
            entry.record.metadata.details(),
        )
        for entry in entries
    ]
    return (
        f"All evaluations\n{_indented(_evaluations(entries))}\n\n{_requests(run)}"
        f"All records, including older and incomplete evaluations\n{_indented(_table(header, rows))}"
    )


def _evaluations(entries: Sequence[LoggedRecord]) -> str:
    """Return a table of the evaluations, with what each one measured and when it finished."""
    header = ("evaluation", "records", "step", "weights", "sample seed", "finished at")
    counts = Counter((entry.evaluation, entry.record.source, entry.finished_at) for entry in entries)
    rows = []
    for (evaluation, source, finished_at), n in counts.items():
        about = source or ResultSource()
        parts = (None if about.step is None else f"{about.step:,}", about.weights, about.sample_seed, finished_at)
        rows.append((evaluation or NONE, f"{n:,}", *(NONE if part is None else str(part) for part in parts)))
    return _table(header, rows)


def _requests(run: Run) -> str:
    """Return a section with the settings of each evaluation, "" where none has any."""
    settings = {evaluation: _settings(asked_for) for evaluation, asked_for in run.evaluation_requests().items()}
    settings = {evaluation: text for evaluation, text in settings.items() if text}
    return f"{_section('Settings of the evaluations', settings)}\n\n" if settings else ""


def _settings(asked_for: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={spell(value)}" for name, value in asked_for.items() if value not in (None, [], {}))


def _proportions(run: Run) -> str:
    """Return Wilson's interval of each proportion, "" where the run has none."""
    labels = measure_labels(run.measures)
    intervals = {
        labels[metadata]: interval_text(fields["mean"], fields["n"], fields["error"])
        for metadata, fields in run.measures.items()
        if is_proportion(metadata.kind, fields)
    }
    return _section("95% intervals of the proportions (Wilson)", intervals) if intervals else ""


def _clusters(run: Run) -> str:
    """Return the clustered error of each measure whose recorded error treats samples of one cluster as independent."""
    if not (run.path / VALUES).is_dir():
        return ""
    from results.comparison.clustered import clustered_result  # NumPy: paid by runs that kept values

    texts = {}
    for metadata, label in measure_labels(run.measures).items():
        found = clustered_result(run, metadata)
        if found is not None and run.measures[metadata]["n"] != found.n_clusters:
            texts[label] = f"{format_mean_error(found.mean, found.error)} (n={found.n_clusters:,} clusters)"
    title = "Clustered errors: samples of one cluster belong together, which the errors above do not allow for"
    return _section(title, texts) if texts else ""


def _difference_table(one: Mapping[str, Any], other: Mapping[str, Any], a: Run, b: Run) -> str:
    if not one and not other:
        return NOTHING
    rows = [(name, _text(one, name), _text(other, name)) for name in differing_names([one, other])]
    return _table(("", a.id, b.id), rows) if rows else SAME


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return aligned(list(map(printable, header)), [[printable(cell) for cell in row] for row in rows])


def _section(title: str, values: Mapping[str, Any]) -> str:
    if not values:
        return f"{title}\n  {NOTHING}"
    width = max(map(len, values))
    return "\n".join([title, *(f"  {printable(name):<{width}}  {_text(values, name)}" for name in values)])


def _text(values: Mapping[str, Any], name: str) -> str:
    return printable(spell(values[name])) if name in values else MISSING


def _flat(plugins: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {f"{kind} {name}": value for kind, plugin in plugins.items() for name, value in plugin.items()}


def _without(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name not in NOT_SHOWN}


def _indented(text: str) -> str:
    return "\n".join(f"  {printable(line)}".rstrip() for line in text.split("\n"))
