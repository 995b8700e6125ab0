"""Comparing groups of runs: each difference with its interval, and an answer that may be "cannot tell"."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import attrs

from core.config.errors import ConfigError, unknown_name
from results.comparison.compared import CANNOT_TELL as CANNOT_TELL  # also importable from here
from results.comparison.compared import NOT_TESTED as NOT_TESTED
from results.comparison.compared import Comparison as Comparison
from results.comparison.compared import level_of_each as level_of_each
from results.comparison.matching import PRIMARY, MatchedMeasure, match_measures
from results.comparison.measured import compared_values, measured
from results.comparison.significance import choose_test
from results.groups import Group
from results.measures import is_wanted
from results.staleness import stale_in_group
from results.text.labels import is_time, measure_labels


def compare_groups(
    groups: Sequence[Group],
    patterns: Sequence[str] = (),
    method: str = "auto",
    level: float = 0.95,
    *,
    primary: Sequence[str] = (),
    ignore: Collection[str] = (),
) -> tuple[list[Comparison], list[str]]:
    """Compare the first group with each of the others in every measure they share.

    The family of answers are the measures that ``primary`` names; else those that ``patterns`` names; else those whose
    metadata call them primary. Its intervals are simultaneous (Bonferroni). Holm's method would find slightly more
    differences, but it has no simultaneous intervals that agree with its answers.

    Args:
        groups: Two or more; no run may be in two of them.
        patterns: Measures by name or label, in which * stands for any text; none takes all but the times.
        method: "auto", or the test to take, see :func:`results.comparison.significance.choose_test`.
        level: All answers hold together with at least this probability.
        primary: Measures that get an answer, by name or label, in which * stands for any text.
        ignore: Metadata that may differ between the groups. See ``match_measures``.

    Returns:
        The comparisons, those with an answer first, and why some measures or results were left out.

    Raises:
        ConfigError: Nothing can be compared, or none of the measures asked for; the message says why.
    """
    _check_distinct(groups)
    made, refused = [], []
    for other in groups[1:]:
        matched, reasons = match_measures(groups[0], other, patterns, ignore, primary)
        refused += [f"{reason} ({other.label})" if len(groups) > 2 else reason for reason in reasons]
        made += [_compared(groups[0], other, pair, method, level) for pair in matched]
    refused += [line for side, group in sides(groups) for line in _stale_lines(side, group, patterns)]
    if not made:
        raise ConfigError(*refused or ["nothing to compare: the groups have no measure in common."])
    _check_known(primary, made, refused)
    return _with_family(made, patterns, primary), refused


def _compared(a: Group, b: Group, pair: MatchedMeasure, method: str, level: float) -> Comparison:
    of_a, of_b, note = measured(a, pair.of_a, b, pair.of_b)
    test = choose_test(of_a, of_b, method, level)
    values_a, values_b = compared_values(of_a, of_b, paired=test.method == "paired over seeds")
    mean_a, mean_b = test.sample_means or (None, None)
    over = of_a.over_runs(values_a, level, mean_a), of_b.over_runs(values_b, level, mean_b)
    notes = "; ".join(part for part in (pair.note, note) if part)
    return Comparison(
        a,
        b,
        pair.of_a,
        pair.of_b,
        pair.label,
        *over,
        test,
        level,
        of_a,
        of_b,
        values_a=values_a,
        values_b=values_b,
        higher_is_better=pair.higher_is_better,
        role=pair.role,
        note=notes,
    )


def _with_family(made: Sequence[Comparison], patterns: Sequence[str], primary: Sequence[str]) -> list[Comparison]:
    """Choose the comparisons that get an answer, and make their intervals simultaneous."""
    if primary:
        chosen = [is_wanted(one.label, one.metadata.name, primary) for one in made]
    else:
        chosen = [bool(patterns) or one.role == PRIMARY for one in made]
    if not any(chosen):
        chosen = [True] * len(made)
    # a comparison without a p-value can get no answer, so it cannot get a wrong one
    n_family = sum(inside and not math.isnan(one.test.p_value) for one, inside in zip(made, chosen, strict=True))
    found = [
        attrs.evolve(one, in_family=inside, n_family=max(n_family, 1)) for one, inside in zip(made, chosen, strict=True)
    ]
    found = [attrs.evolve(one, test=one.test.at_level(one.test_level)) for one in found]
    return sorted(found, key=lambda one: not one.in_family)


def _check_known(primary: Sequence[str], made: Sequence[Comparison], refused: Sequence[str]) -> None:
    names = {name for one in made for name in (one.label, one.metadata.name)}
    for pattern in primary:
        if any(is_wanted(one.label, one.metadata.name, [pattern]) for one in made):
            continue
        reasons = [reason for reason in refused if is_wanted(name := reason.split(": ")[0], name, [pattern])]
        raise ConfigError(*reasons) if reasons else unknown_name("measure", pattern, names)


def sides(groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """Return the groups with their names: A, and B or the labels of several."""
    others = [("B", groups[1])] if len(groups) == 2 else [(group.label, group) for group in groups[1:]]
    return [("A", groups[0]), *others]


def _stale_lines(side: str, group: Group, patterns: Sequence[str]) -> list[str]:
    runs = {m: group.stale_runs([m]) for m in dict.fromkeys(m for run in group.runs for m in run.stale)}
    labels = measure_labels(runs)
    return [
        stale_in_group(side, labels[metadata], found)
        for metadata, found in runs.items()
        if found and (is_wanted(labels[metadata], metadata.name, patterns) if patterns else not is_time(metadata))
    ]


def _check_distinct(groups: Sequence[Group]) -> None:
    seen: dict[str, str] = {}
    for group in groups:
        if not group.replicates:
            states = ", ".join(f"{n} {state}" for state, n in group.left_out.items())
            raise ConfigError(f"{group.label}: no finished run to compare ({states}).")
        for run in group.runs:
            if run.id in seen:
                raise ConfigError(f"run {run.id} is in both {seen[run.id]!r} and {group.label!r}; compare others.")
            seen[run.id] = group.label
