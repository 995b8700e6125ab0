"""The answers of all comparisons in one sentence each, and what to know about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError
from results.comparison.comparison import Comparison, compare_groups
from results.comparison.difference_table import row_unit
from results.comparison.examine import examine
from results.comparison.failed import only_failures
from results.comparison.finding_lines import shares_text
from results.comparison.findings import Failures
from results.comparison.matching import PRIMARY
from results.comparison.significance import RUNS
from results.groups import Group
from results.statistics.shape import ENOUGH
from results.tables.table import Table
from results.text.labels import count, printable
from results.text.numbers import cut_at

MANY = 10  # comparisons; more are summed up
ANSWERS = ("better in", "worse in", "higher in", "lower in", "no difference at all in", "cannot tell in")


@frozen
class Verdicts:
    """The answers of the comparisons of every group with the first one.

    Attributes:
        sentences: One per group, and one for all groups for which the answer is "cannot tell" in every measure.
        findings: What to know about them: skew, failed runs, measures that were not compared.
        note: How they were tested; or "".
    """

    sentences: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    note: str = ""


def verdicts(
    groups: Sequence[Group],
    names: Mapping[Group, str],
    metrics: Sequence[str] = (),
    level: float = 0.95,
    is_chosen: bool = False,
) -> Verdicts:
    """Compare each group with the first one.

    Args:
        groups: The groups; the first is the baseline.
        names: Their short names.
        metrics: Measures to compare, by name or label; none compares those whose metadata call them primary.
        level: All answers hold together with at least this probability.
        is_chosen: Whether the user chose the first group; else it is the oldest.
    """
    named = [Group(group.runs, names[group], group.split_by) for group in groups]
    failed = only_failures(named, level)
    comparable = [group for group in named if group.replicates and group not in [one.b for one in failed]]
    sentences = [f"{one.b.label}: {shares_text(one.failures)}." for one in failed]
    if len(comparable) < 2 or comparable[0] is not named[0]:
        return Verdicts(tuple(sentences))
    try:
        made, refused = compare_groups(comparable, metrics, level=level)
    except ConfigError as error:
        return Verdicts(tuple(sentences), (str(error),))
    made = examine(made)
    by_group = [(group, [one for one in made if one.b is group]) for group in comparable[1:]]
    tested = [(group, [one for one in found if one.in_family]) for group, found in by_group]
    baseline = comparable[0].label
    told = _answers(baseline, tested)
    findings = _findings(baseline, by_group)
    note = _note(baseline if is_chosen else f"{baseline}, the oldest group; --baseline A chooses another", made, level)
    return Verdicts((*told, *sentences), tuple(map(printable, (*refused, *findings))), note)


def _answers(baseline: str, tested: Sequence[tuple[Group, Sequence[Comparison]]]) -> list[str]:
    """Return a sentence per group that differs, and one for all others; of many groups also one per measure."""
    brief = len(tested) > MANY
    told = [_sentence(group.label, baseline, found, brief) for group, found in tested if any(map(_is_told, found))]
    open_groups = [group.label for group, found in tested if found and not any(map(_is_told, found))]
    if open_groups:
        told.append(f"Cannot tell in any measure whether they differ from {baseline}: {'; '.join(open_groups)}.")
    return [*_summaries([one for _, found in tested for one in found], baseline), *told] if brief else told


def _note(baseline: str, made: Sequence[Comparison], level: float) -> str:
    """Return how the groups were tested, and at which level the answers hold."""
    n = next((one.n_family for one in made if one.in_family), 1)
    held = f"the {n} answers hold together" if n > 1 else "the answer holds"
    jointly, simultaneous = (" (Bonferroni)", "simultaneous ") if n > 1 else ("", "")
    note = (
        f"Baseline: {baseline}. Each group is compared with it over seeds; {held} at {100 * level:g}%{jointly}. "
        f"In brackets: {simultaneous}intervals of the differences. pyml compare shows the tests."
    )
    if any(one.in_family and one.test.unit != RUNS for one in made):
        note += " For two single runs, the answer is about these two trained models."
    return note


def _summaries(found: Sequence[Comparison], baseline: str) -> list[str]:
    """Return a sentence per measure: how many groups are better than the first one, how many worse."""
    answers: dict[str, dict[str, int]] = {}
    for one in found:
        counts = answers.setdefault(one.label, dict.fromkeys(ANSWERS, 0))
        counts[_answer(one)] += 1
    return [
        f"{label}: of {count(sum(counts.values()), 'group')} against {baseline}, "
        + ", ".join(f"{answer.removesuffix(' in')} {n}" for answer, n in counts.items() if n)
        + "."
        for label, counts in answers.items()
    ]


def _findings(baseline: str, by_group: Sequence[tuple[Group, Sequence[Comparison]]]) -> list[str]:
    """Return what makes answers less sure: failed runs, skew, outliers. ``pyml compare`` prints more."""
    few: dict[str, int] = {}
    suspect: dict[str, list[str]] = {}
    failed: dict[Failures, list[str]] = {}
    for group, found in by_group:
        names = {"A": baseline, "B": group.label, "A - B": f"the difference between {baseline} and {group.label}"}
        failures = next((one.findings.failures for one in found if one.findings.failures), None)
        if failures is not None:
            failed.setdefault(failures, []).append(group.label)
        shapes = [(one.label, side, shape) for one in found for side, shape in one.findings.shapes.items()]
        for label, side, shape in shapes:
            if shape.is_suspect:
                suspect.setdefault(f"{names[side]} {shape.description()}", []).append(label)
        if shapes and not all(shape.can_tell for _, _, shape in shapes):
            few[group.label] = min(shape.n for _, _, shape in shapes)
    lines = [_failed_sentence(one, groups, baseline) for one, groups in failed.items()]
    if few:
        low, high = min(few.values()), max(few.values())
        runs = f"{low} runs" if low == high else f"{low} to {high} runs"
        tell = f"{runs} are too few to tell for {_names(list(few))} (a strong skew shows from {ENOUGH} runs on)."
        lines.append(f"Skew and outliers: {tell}")
    doubt = "so the t interval may cover less than its nominal level; see pyml compare --robust."
    if len(suspect) > MANY:
        some = "; ".join(f"{', '.join(dict.fromkeys(labels))}: {text}" for text, labels in list(suspect.items())[:3])
        return [*lines, f"{len(suspect)} groups or differences look skewed or have an outlier ({some}; ...), {doubt}"]
    return lines + [f"{', '.join(dict.fromkeys(labels))}: {text}, {doubt}" for text, labels in suspect.items()]


def _failed_sentence(one: Failures, groups: Sequence[str], baseline: str) -> str:
    p = "unknown" if math.isnan(one.p_value) else f"{one.p_value:.2g}"
    each = " each" if len(groups) > 1 else ""
    return (
        f"{_names(groups)}: {one.failed_b} of {one.n_b} runs{each} failed, {baseline}: {one.failed_a} of {one.n_a} "
        f"(Fisher's exact test, p = {p}{each}); means are over the runs that did not fail."
    )


def _names(groups: Sequence[str]) -> str:
    return "; ".join(groups) if len(groups) <= MANY else f"{'; '.join(groups[:3])} and {len(groups) - 3} more"


def best_sentences(table: Table, names: Mapping[Group, str]) -> list[str]:
    """Return for each primary measure which of three or more groups is the best, or "cannot tell"."""
    found = []
    for i, (metadata, label) in enumerate(table.measures.items()):
        cells = [(row, row.cells[i]) for row in table.rows if row.cells[i].over is not None]
        if metadata.higher_is_better is None or metadata.role != PRIMARY or len(cells) < 3:
            continue  # of two groups, the comparison says it
        best = [
            f"{names[row.group]} is the best, {table.cell_text(row.group, cell)}" for row, cell in cells if cell.is_best
        ]
        found.append(f"{label}: {best[0] if best else f'cannot tell which of {len(cells):,} groups is the best'}.")
    return found


def _is_told(one: Comparison) -> bool:
    return one.winner is not None or one.is_identical


def _sentence(name: str, baseline: str, found: Sequence[Comparison], brief: bool) -> str:
    """Return "unet against mlp: better in loss by 0.07 [0.06, 0.08]; cannot tell in accuracy.".

    Args:
        name: The name of the group.
        baseline: That of the first group.
        found: The comparisons of the two.
        brief: Leave out the measures for which the answer is "cannot tell".
    """
    parts: dict[str, list[str]] = {}
    for one in found:
        parts.setdefault(_answer(one), []).append(one.label + (f" by {_size(one)}" if one.winner else ""))
    texts = [f"{answer} {', '.join(parts[answer])}" for answer in ANSWERS[: -1 if brief else None] if answer in parts]
    return f"{name} against {baseline}: {'; '.join(texts)}."


def _answer(one: Comparison) -> str:
    if one.is_identical:
        return "no difference at all in"
    if one.winner is None:
        return "cannot tell in"
    words = ("higher", "lower") if one.higher_is_better is None else ("better", "worse")
    return f"{words[0] if one.winner == 'B' else words[1]} in"


def _size(one: Comparison) -> str:
    """Return the absolute difference with its interval, such as "0.072 [0.065, 0.079]"."""
    unit: Any = row_unit(one)
    size, error = abs(one.test.difference) / unit.scale, one.test.error / unit.scale
    low, high = sorted(abs(end) / unit.scale for end in (one.test.ci_low, one.test.ci_high))
    text, *ends = (cut_at(value, error) for value in (size, low, high))
    return f"{unit.named(text)} [{', '.join(ends)}]"
