"""Comparisons as text: the groups, the measures, the tests and the answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from results.comparison.answer_lines import answer_legend, answer_lines
from results.comparison.comparison import CANNOT_TELL, Comparison
from results.comparison.difference_table import (
    detectable_text,
    difference_table,
    has_detectable_column,
    is_open,
    row_unit,
)
from results.comparison.failed import OnlyFailures
from results.comparison.finding_lines import finding_lines, shares_text
from results.comparison.outcome import Outcome
from results.comparison.relative_kl import relative_kl_lines
from results.comparison.significance import RUNS
from results.groups import Group, UnknownSeed
from results.hidden_differences import mixed_line
from results.text.labels import names_text, spell

OTHERS = (
    "Parts and references are not tested, and their intervals are not corrected for their number. To test them, name "
    "them with --primary or --metric."
)


def comparisons_text(outcome: Outcome) -> str:
    """Return the whole output of ``compare``: groups, a table for each B, and what to know about them."""
    parts = []
    for b in dict.fromkeys(one.b for one in outcome.comparisons):
        of_b = [one for one in outcome.comparisons if one.b is b]
        parts.append(f"{_group_line('A', of_b[0].a)}\n{_group_line('B', b)}")
        parts.append(difference_table([one for one in of_b if one.in_family]))
        parts.append(verdict([one for one in of_b if one.in_family]))
        if others := [one for one in of_b if not one.in_family]:
            parts.append(f"{OTHERS}\n{difference_table(others)}")
        parts.append("\n".join(explanations(of_b, outcome.delta)))
    for one in outcome.only_failures:
        parts.append(f"{_group_line('A', one.a)}\n{_group_line('B', one.b)}")
        parts.append(f"{_capital(shares_text(one.failures))}.\nNo result to compare: {_without_finished(one)}.")
    parts.append("\n".join(outcome.refused))
    if outcome.mixed:
        parts.append(mixed_line(outcome.mixed))
    if outcome.comparisons:
        parts.append(legend(outcome.comparisons))
    return "\n\n".join(part for part in parts if part)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _without_finished(one: OnlyFailures) -> str:
    sides = [side for side, group in (("A", one.a), ("B", one.b)) if not group.replicates]
    return f"{' and '.join(sides)} {'has' if len(sides) == 1 else 'have'} no finished run"


def _group_line(side: str, group: Group) -> str:
    return f"{side}: {group.label}  ({describe_group(group)})"


def describe_group(group: Group) -> str:
    """Return "5 runs, seeds 0,1,2,3,4; left out: 1 failed", with every run that does not count."""
    n = len(group.replicates)
    seeds = f", seed{'s' * (n != 1)} {_seeds(list(group.replicates))}" if n else ""
    text = f"{n} {'run' if n else 'finished run'}{'s' * (n != 1)}{seeds}"
    left_out = [f"{count} {state}" for state, count in group.left_out.items()]
    if left_out:
        text += f"; left out: {', '.join(left_out)}"
    if n_older := group.n_repeated:
        older = "1 older run of a seed is" if n_older == 1 else f"{n_older:,} older runs of the same seeds are"
        text += f"; {older} used only for results that the newer run lacks"
    return text


def _seeds(keys: Sequence[Any]) -> str:
    seeds = [key for key in keys if not isinstance(key, UnknownSeed)]
    if not seeds:
        return "unknown"
    n_unknown = len(keys) - len(seeds)
    return f"{_known_seeds(seeds)}{f' and {n_unknown} unknown' if n_unknown else ''}"


def _known_seeds(seeds: Sequence[Any]) -> str:
    if all(isinstance(seed, int) for seed in seeds):
        ordered = sorted(seeds)
        if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
            return f"{ordered[0]} to {ordered[-1]}"
        seeds = ordered
    return ", ".join(spell(seed) for seed in seeds[:8]) + (", ..." if len(seeds) > 8 else "")


def explanations(comparisons: Sequence[Comparison], delta: float | None = None) -> list[str]:
    """Return the notes below a table: the tests, their limits, and the detectable differences."""
    tested: dict[str, list[str]] = {}
    for one in comparisons:
        tested.setdefault("; ".join([_how(one), *_notes(one)]), []).append(one.label)
    lines = [f"{names_text(labels, len(comparisons))}: {how}." for how, labels in tested.items()]
    if has_detectable_column(comparisons):
        lines.append(_detectable_column(next(filter(is_open, comparisons))))
    else:
        lines += [f"{one.label}: cannot tell; {_detectable(one)}" for one in comparisons if is_open(one)]
    if delta is not None:
        lines += [f"{one.label}: {_detection(one, delta)}" for one in comparisons]
    return lines + relative_kl_lines(comparisons) + answer_lines(comparisons, delta) + finding_lines(comparisons)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """Return the answers of several measures as one sentence; "" for one measure, whose answer needs none.

    Such as "loss: A is better. a, b, c and 14 more: cannot tell."
    """
    if len(comparisons) < 2:
        return ""
    labels: dict[str, list[str]] = {}
    for one in comparisons:
        labels.setdefault(one.answer, []).append(one.label)
    named = sorted(labels.items(), key=lambda pair: pair[0] == CANNOT_TELL)
    return " ".join(f"{names_text(names, len(comparisons))}: {answer}." for answer, names in named)


def _detectable(one: Comparison) -> str:
    return (
        f"{_replicates(one)} would have shown a difference of {detectable_text(one)} "
        f"({_jointly(one)}80% power, if the spread is as observed)."
    )


def _detectable_column(one: Comparison) -> str:
    return (
        "detectable: the smallest difference that so many runs would have shown "
        f"({_jointly(one)}80% power, if the spread is as observed)."
    )


def _jointly(one: Comparison) -> str:
    return f"at {100 * one.level:g}% for {one.n_family} answers together, " if one.n_family > 1 else ""


def _how(one: Comparison) -> str:
    return "no test" if one.test.method == "none" else f"{one.test.method}, {_replicates(one)}"


def _replicates(one: Comparison) -> str:
    test = one.test
    if test.is_paired:
        return f"{test.n_a:,} pairs"
    unit = RUNS if test.unit == RUNS else f"replicates (unit: {test.unit})"
    return f"{test.n_a:,} against {test.n_b:,} {unit}"


def _notes(one: Comparison) -> list[str]:
    notes = [one.note, one.test.note]
    for side, over in (("A", one.over_a), ("B", one.over_b)):
        if over.n_not_finite:
            notes.append(f"{over.n_not_finite} of {side}'s runs not finite and left out")
        if over.n_lacking:
            notes.append(f"{over.n_lacking} of {side}'s runs without this result")
        if over.nan_text:
            notes.append(f"{side}: {over.nan_text} and left out")
    return [note for note in notes if note]


def _detection(one: Comparison, delta: float) -> str:
    needed, few, many = one.runs_needed(delta)
    wanted = row_unit(one).given(delta)
    if math.isnan(needed):
        has_two = one.test.unit == RUNS and min(one.test.n_a, one.test.n_b) > 1
        why = "the runs show no spread" if has_two else "run at least two seeds of each group"
        return f"to detect {wanted}: cannot estimate the seeds needed: {why}."
    text = (
        f"to detect {wanted} with 80% power: {_count(needed)} seeds of each group "
        f"({_count(few)} to {_count(many)}, as the spread is estimated from few runs)."
    )
    if one.excludes(delta) and not one.is_resolved:
        text += f" The interval already rules out a difference of {wanted}."
    return text


def _count(n: float) -> str:
    return f"{int(n):,}" if math.isfinite(n) else "more than ten million"


def legend(comparisons: Sequence[Comparison]) -> str:
    """Say what the numbers mean."""
    level = f"{100 * comparisons[0].level:g}%"
    n = comparisons[0].n_family
    text = f"±: {level} Student's t interval over the runs that were compared. [ ]: interval of the difference"
    if n > 1:
        text += f"; all {n} hold together at {level} (Bonferroni)"
    if comparisons[0].findings.robust is None:
        text += ". The answer names a winner if and only if the interval excludes 0"
    return f"{text}. effect: Hedges' g*.{answer_legend(comparisons[0])}"
