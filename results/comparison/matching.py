"""Which measures of two groups may be compared: those of equal name, unit and protocol."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
from attrs import frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import Group
from results.measures import is_wanted
from results.text.labels import differing_names, is_time, measure_labels, spell

PRIMARY = "primary"
SAMPLER = frozenset(
    {"sampler", "schedule", "sigma_min", "sigma_max", "rho", "s_churn", "s_min", "s_max", "s_noise", "guidance"}
)  #: What the protocol of a result on samples says of the sampler.
#: What messages call the fields of a protocol that may differ on request, in the plural.
MAY_DIFFER = {"sampler": "samplers", "checkpoint": "checkpoints", "ema_half_life_images": "moving averages"}


@frozen
class MatchedMeasure:
    """One measure as each of two groups has it. ``note`` names differences that do not prevent a comparison."""

    of_a: ResultMetadata
    of_b: ResultMetadata
    label: str
    note: str = ""

    @property
    def higher_is_better(self) -> bool | None:
        """The good direction, as either group's metadata name it; None if neither does."""
        return self.of_b.higher_is_better if self.of_a.higher_is_better is None else self.of_a.higher_is_better

    @property
    def role(self) -> str:
        """The role that either group's metadata name, "primary" if neither names another: older files name none."""
        return self.of_b.role if self.of_a.role == PRIMARY else self.of_a.role


def match_measures(
    a: Group,
    b: Group,
    patterns: Sequence[str] = (),
    ignore: Collection[str] = (),
    also: Sequence[str] = (),
) -> tuple[list[MatchedMeasure], list[str]]:
    """Match the measures of two groups.

    Equal metadata match; else comparable ones that differ in n_steps, if there is just one of each. Different n_samples
    are refused, since an estimate such as a Fréchet distance depends on it, and so are opposite good directions.

    Args:
        a: The first group.
        b: The second group.
        patterns: Measures by name or label, in which * stands for any text; none takes all but the times.
        ignore: Metadata that may differ: "n_samples", "sampler" for its settings in the protocol of samples,
            "checkpoint" and "ema_half_life_images" for the weights that were evaluated.
        also: Further measures, by patterns: a time that is named here is matched even if ``patterns`` is empty.

    Returns:
        The matches, and for each name that both have but in no comparable way, why not.

    Raises:
        ConfigError: A pattern names no measure of either (the nearest is given), or one that only one of them has.
    """
    measures_a, measures_b = list(a.measures()), list(b.measures())
    labels = measure_labels(dict.fromkeys([*measures_a, *measures_b]))
    matched, refused = [], []
    patterns = [*patterns, *also] if patterns else ()
    for name in _chosen(labels, patterns, also):
        of_a = [m for m in measures_a if m.name == name and is_wanted(labels[m], name, patterns)]
        of_b = [m for m in measures_b if m.name == name and is_wanted(labels[m], name, patterns)]
        found = _match(of_a, of_b, labels, ignore)
        reason = next(filter(None, (_why_refused(pair, ignore) for pair in found)), "")
        if reason:
            refused.append(reason)
        elif not found and of_a and of_b:
            refused.append(f"{name}: not compared, because {_why_unmatched(of_a, of_b, ignore)}.")
        elif not found and (patterns or any(_is_named(labels[m], name, also) for m in [*of_a, *of_b])):
            refused.append(f"{name}: only {'A' if of_a else 'B'} has it.")
        else:
            matched += found
    if patterns and not matched and refused:
        raise ConfigError(*refused)
    return matched, refused


def _why_refused(pair: MatchedMeasure, ignore: Collection[str]) -> str:
    """Return why a matched pair may not be compared, or ""."""
    a, b = pair.of_a, pair.of_b
    samples = f"n_samples {spell(a.n_samples)} against {spell(b.n_samples)}"
    if {a.higher_is_better, b.higher_is_better} == {True, False}:
        return (
            f"{a.name}: not compared: higher_is_better is {spell(a.higher_is_better)} in A and "
            f"{spell(b.higher_is_better)} in B."
        )
    if a.n_samples != b.n_samples and "n_samples" not in ignore:
        return (
            f"{a.name}: not compared: {samples}, and the expected value may depend on it. Evaluate both with the same "
            "--n-samples, or compare them anyway with --ignore n_samples."
        )
    return ""


def _chosen(labels: dict[ResultMetadata, str], patterns: Sequence[str], also: Sequence[str]) -> list[str]:
    if not patterns:
        named = [m for m, label in labels.items() if not is_time(m) or _is_named(label, m.name, also)]
        return list(dict.fromkeys(metadata.name for metadata in named))
    for pattern in patterns:
        if not any(is_wanted(label, metadata.name, [pattern]) for metadata, label in labels.items()):
            raise unknown_name("measure", pattern, {metadata.name for metadata in labels} | set(labels.values()))
    return list(dict.fromkeys(m.name for m, label in labels.items() if is_wanted(label, m.name, patterns)))


def _is_named(label: str, name: str, patterns: Sequence[str]) -> bool:
    return bool(patterns) and is_wanted(label, name, patterns)


def _match(
    of_a: list[ResultMetadata],
    of_b: list[ResultMetadata],
    labels: dict[ResultMetadata, str],
    ignore: Collection[str] = (),
) -> list[MatchedMeasure]:
    in_b = {m: m for m in of_b}  # equal metadata may differ in role
    equal = [MatchedMeasure(m, in_b[m], labels[m]) for m in of_a if m in in_b]
    if equal:
        return equal
    may_differ = _may_differ(ignore)
    if may_differ and (found := _differing(of_a, of_b, labels, may_differ)):
        return found
    pairs = [
        (one, other)
        for one in of_a
        for other in of_b
        if _without(one, may_differ).is_comparable_with(_without(other, may_differ))
    ]
    if len(pairs) != 1:
        return []
    one, other = pairs[0]
    steps = [
        f"{name} {spell(getattr(one, name))} against {spell(getattr(other, name))}"
        for name in ("n_steps", "n_samples")
        if getattr(one, name) != getattr(other, name)
    ]
    notes = [] if one.is_comparable_with(other) else [_note(one, other, may_differ)]
    return [MatchedMeasure(one, other, one.name, "; ".join([*notes, *([", ".join(steps)] if steps else [])]))]


def _may_differ(ignore: Collection[str]) -> list[str]:
    return [name for name in MAY_DIFFER if name in ignore]


def _differing(
    of_a: list[ResultMetadata],
    of_b: list[ResultMetadata],
    labels: dict[ResultMetadata, str],
    may_differ: Sequence[str],
) -> list[MatchedMeasure]:
    """Match results that differ in some fields of the protocol alone; none where a side has several of one kind."""
    sides = []
    for measures in (of_a, of_b):
        kinds: dict[ResultMetadata, list[ResultMetadata]] = {}
        for one in measures:
            kinds.setdefault(_without(one, may_differ), []).append(one)
        sides.append({kind: found[0] for kind, found in kinds.items() if len(found) == 1})
    matched = []
    for kind, one in sides[0].items():
        if (other := sides[1].get(kind)) is not None:
            note = _note(one, other, may_differ)
            steps = "" if one.n_steps is None else f" n_steps={one.n_steps}"
            matched.append(MatchedMeasure(one, other, f"{one.name}{steps}" if len(of_a) > 1 else labels[one], note))
    return matched


def _note(one: ResultMetadata, other: ResultMetadata, may_differ: Sequence[str]) -> str:
    """Say which settings of two results differ, though they are compared."""
    return f"{' or '.join(MAY_DIFFER[name] for name in may_differ)} differ: {_differences(one, other)}"


def _without(one: ResultMetadata, may_differ: Sequence[str]) -> ResultMetadata:
    """Return the metadata without what may differ. The sigma_min of a likelihood is no setting of a sampler."""
    left_out = set(may_differ) - SAMPLER
    if "sampler" in may_differ and one.n_steps is not None:
        left_out |= SAMPLER
    return attrs.evolve(one, protocol={name: value for name, value in one.protocol if name not in left_out})


def _why_unmatched(of_a: list[ResultMetadata], of_b: list[ResultMetadata], ignore: Collection[str]) -> str:
    """Return why no two results of a name match: there are many ways to match them, or they differ in more."""
    may_differ = _may_differ(ignore)
    one, other = _without(of_a[0], may_differ), _without(of_b[0], may_differ)
    if one.is_comparable_with(other):
        several = ["n_steps", "n_samples", *(MAY_DIFFER[name] for name in may_differ)]
        return f"there are several {', '.join(several[:-1])} or {several[-1]}; name one with --metric"
    return f"the protocols differ: {_differences(one, other)}"


def _differences(one: ResultMetadata, other: ResultMetadata) -> str:
    """Name the differences of two results in unit and protocol."""
    first = {"unit": one.unit, **dict(one.protocol)}
    second = {"unit": other.unit, **dict(other.protocol)}
    names = differing_names([first, second])
    return "; ".join(f"{name} {spell(first.get(name))} against {spell(second.get(name))}" for name in names)
