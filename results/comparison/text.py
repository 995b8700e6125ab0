"""Comparisons as text: who, what, how it was tested, and the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core.utils.formatting import format_value
from core.utils.tables import aligned
from results.comparison.answer_lines import answer_legend, answer_lines
from results.comparison.comparison import CANNOT_TELL, Comparison
from results.comparison.finding_lines import finding_lines
from results.comparison.outcome import Outcome
from results.comparison.significance import RUNS
from results.environments import mixed_line
from results.groups import Group, UnknownSeed
from results.over_runs import over_runs_text
from results.text.labels import spell
from results.text.numbers import aligned_at_error, decimals_of

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
        parts.append(_table([one for one in of_b if one.in_family]))
        if others := [one for one in of_b if not one.in_family]:
            parts.append(f"{OTHERS}\n{_table(others)}")
        parts.append("\n".join(explanations(of_b, outcome.delta)))
    parts.append("\n".join(outcome.refused))
    if outcome.mixed:
        parts.append(mixed_line(outcome.mixed))
    parts.append(legend(outcome.comparisons))
    return "\n\n".join(part for part in parts if part)


def _group_line(side: str, group: Group) -> str:
    return f"{side}: {group.label}  ({describe_group(group)})"


def describe_group(group: Group) -> str:
    """Return "5 runs, seeds 0,1,2,3,4; left out: 1 failed", with every run that does not count."""
    n = len(group.replicates)
    text = f"{n} run{'s' * (n != 1)}, seed{'s' * (n != 1)} {_seeds(list(group.replicates))}"
    left_out = [f"{count} {state}" for state, count in group.left_out.items()]
    if group.n_repeated:
        left_out.append(f"{group.n_repeated} older of a seed that was run again")
    return f"{text}; left out: {', '.join(left_out)}" if left_out else text


def _seeds(keys: Sequence[Any]) -> str:
    seeds = [key for key in keys if not isinstance(key, UnknownSeed)]
    if not seeds:
        return "unknown"
    n_unknown = len(keys) - len(seeds)
    return f"{_known_seeds(seeds)}{f' and {n_unknown} unknown' if n_unknown else ''}"


def _known_seeds(seeds: Sequence[Any]) -> str:
    if all(isinstance(seed, int) for seed in seeds):
        ordered = sorted(seeds)
        if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
            return f"{ordered[0]} to {ordered[-1]}"
        seeds = ordered
    return ", ".join(spell(seed) for seed in seeds[:8]) + (", ..." if len(seeds) > 8 else "")


def _table(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    first = comparisons[0]
    level = f"{100 * first.level:g}%"
    jointly = f", {first.n_family} jointly" if first.in_family and first.n_family > 1 else ""
    corrected = f"p (Bonferroni, {first.n_family})" if jointly else "p"
    header = ["measure", f"A ± {level}", f"B ± {level}", f"A - B [{level}{jointly}]", "effect", corrected, "answer"]
    columns = [
        [one.label for one in comparisons],
        aligned_at_error([over_runs_text(one.over_a) for one in comparisons]),
        aligned_at_error([over_runs_text(one.over_b) for one in comparisons]),
        [difference_text(one) for one in comparisons],
        [_effect(one.test.effect_size) for one in comparisons],
        [p_text(one.p_adjusted) for one in comparisons],
        [one.answer for one in comparisons],
    ]
    if not first.in_family:
        header, columns = [*header[:5], "role"], [*columns[:5], [one.role for one in comparisons]]
    return aligned(header, list(zip(*columns, strict=True)), right=("effect",))


def difference_text(one: Comparison) -> str:
    """Return "+0.024 [+0.010, +0.038]", cut by the standard error's digits."""
    test = one.test
    if math.isnan(test.error):
        return f"{format_value(test.difference)} [unknown]"
    decimals = decimals_of(test.error)
    if decimals is None:
        return f"{test.difference:+.3g} [{test.ci_low:+.3g}, {test.ci_high:+.3g}]"
    return f"{test.difference:+.{decimals}f} [{test.ci_low:+.{decimals}f}, {test.ci_high:+.{decimals}f}]"


def p_text(p_value: float) -> str:
    """Return a p-value in two digits, "< 0.0001" below that, "-" where there is none."""
    if math.isnan(p_value):
        return "-"
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _effect(size: float) -> str:
    return "-" if math.isnan(size) else f"{size:+.2f}"


def explanations(comparisons: Sequence[Comparison], delta: float | None = None) -> list[str]:
    """Return what a reader must know: the tests, their limits, and what could have been detected."""
    tested: dict[str, list[str]] = {}
    for one in comparisons:
        tested.setdefault("; ".join([_how(one), *_notes(one)]), []).append(one.label)
    lines = [f"{', '.join(labels)}: {how}." for how, labels in tested.items()]
    for one in comparisons:
        if one.answer == CANNOT_TELL and not math.isnan(one.detectable):
            lines.append(f"{one.label}: cannot tell; {_detectable(one)}")
        if delta is not None:
            lines.append(f"{one.label}: {_detection(one, delta)}")
    return lines + answer_lines(comparisons, delta) + finding_lines(comparisons)


def _detectable(one: Comparison) -> str:
    level = f"{100 * one.level:g}%"
    jointly = f"at {level} for {one.n_family} answers together, " if one.n_family > 1 else ""
    return (
        f"{_replicates(one)} would have shown a difference of {one.detectable:.2g} "
        f"({jointly}80% power, if the spread is as observed)."
    )


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
    return [note for note in notes if note]


def _detection(one: Comparison, delta: float) -> str:
    needed, few, many = one.runs_needed(delta)
    if math.isnan(needed):
        return f"to detect {delta:g}: cannot estimate the seeds needed: run at least two seeds of each group."
    text = (
        f"to detect {delta:g} with 80% power: {_count(needed)} seeds of each group "
        f"({_count(few)} to {_count(many)}, as the spread is estimated from few runs)."
    )
    if one.excludes(delta) and not one.is_resolved:
        text += f" The interval already rules out a difference of {delta:g}."
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
        text += ". The answer names a winner exactly if the interval excludes 0"
    return f"{text}. effect: Hedges' g*.{answer_legend(comparisons[0])}"
