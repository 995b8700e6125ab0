"""The findings of comparisons as lines of text, equal ones of several measures on one line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from results.comparison.clustered import Clusters
from results.comparison.findings import Failures, Findings, Pairing, TwoLevels
from results.statistics.shape import ENOUGH
from results.text.labels import MOST_NAMES, names_text, spell
from results.text.numbers import cut_at, percentages

UNCHANGED = "hardly changed"


class HasFindings(Protocol):
    """A comparison: a label and what was found."""

    @property
    def label(self) -> str:
        """The measure's short name."""

    @property
    def findings(self) -> Findings:
        """What was seen beside the test."""


def finding_lines(comparisons: Sequence[HasFindings]) -> list[str]:
    """Return the findings of one pair of groups as lines of text."""
    found = [(one.label, text) for one in comparisons for text in _lines(one.findings)]
    lines = _merged(found, len(comparisons))
    lines += _pairing_lines(comparisons)
    few = [one.label for one in comparisons if one.findings.shapes and not _can_tell(one.findings)]
    seen = [one.label for one in comparisons if any(shape.is_suspect for shape in one.findings.shapes.values())]
    if few and not seen:
        n = min(shape.n for one in comparisons for shape in one.findings.shapes.values())
        lines.append(f"Skew and outliers: {n} runs are too few to tell (a strong skew shows from {ENOUGH} runs on).")
    return lines


def _can_tell(findings: Findings) -> bool:
    return all(shape.can_tell for shape in findings.shapes.values())


def _merged(found: Iterable[tuple[str, str]], n_all: int) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for label, text in found:
        by_text.setdefault(text, []).append(label)
    return [f"{names_text(labels, n_all)}: {text}" for text, labels in by_text.items()]


def _pairing_lines(comparisons: Sequence[HasFindings]) -> list[str]:
    """Return a line for each measure about pairing; one line in all for more than a few measures."""
    pairings = [(one.label, one.findings.pairing) for one in comparisons if one.findings.pairing is not None]
    if len(pairings) <= MOST_NAMES:
        return _merged([(label, pairing_text(pairing)) for label, pairing in pairings], len(comparisons))
    known = [pairing.correlation for _, pairing in pairings if not math.isnan(pairing.correlation)]
    start = f"partners correlate with r from {min(known):+.2f} to {max(known):+.2f}; " if known else ""
    changes = [change_of_width(pairing.width_ratio) for _, pairing in pairings]
    counted = ", ".join(f"{changes.count(change)} {change}" for change in dict.fromkeys(sorted(changes)))
    return [f"Pairing: {start}widths of the {len(pairings)} intervals: {counted}."]


def _lines(findings: Findings) -> list[str]:
    lines = []
    for side, shape in findings.shapes.items():
        if shape.is_suspect:
            of = f" (seed {spell(findings.outliers[side])})" if side in findings.outliers else ""
            if findings.robust is None:
                so = "so the t interval may cover less than its nominal level; see --robust"
            else:
                so = "so the t intervals of the means (±) may cover less than their nominal level"
            lines.append(f"{side} {shape.description()}{of}, {so}.")
    if findings.levels is not None:
        lines.append(levels_text(findings.levels))
    if findings.clusters is not None:
        lines.append(clusters_text(findings.clusters))
    if findings.failures is not None:
        lines.append(failures_text(findings.failures))
    return lines


def change_of_width(ratio: float) -> str:
    """Return "narrower", "wider" or "hardly changed" for the width without pairing over the width with it."""
    if 1 / 1.1 < ratio < 1.1:
        return UNCHANGED
    return "narrower" if ratio > 1 else "wider"


def pairing_text(pairing: Pairing) -> str:
    """Return "partners correlate (r = +0.85); pairing makes the interval 2.4 times narrower."."""
    start = "" if math.isnan(pairing.correlation) else f"partners correlate with r = {pairing.correlation:+.2f}; "
    ratio = pairing.width_ratio
    if change_of_width(ratio) == UNCHANGED:
        return f"{start}pairing hardly changes the width of the interval."
    if ratio > 1:
        return f"{start}pairing makes the interval {ratio:.2g} times narrower."
    return f"{start}pairing makes the interval {1 / ratio:.2g} times wider."


def failures_text(failures: Failures) -> str:
    """Return "failed: 1 of 5 runs of A against 0 of 5 of B (Fisher's exact test, p = 1); ..."."""
    return f"{shares_text(failures)}; means are over the runs that did not fail."


def shares_text(failures: Failures) -> str:
    """Return "failed: 1 of 5 runs of A against 0 of 5 of B (Fisher's exact test, p = 1)"."""
    p = "unknown" if math.isnan(failures.p_value) else f"{failures.p_value:.2g}"
    return (
        f"failed: {failures.failed_a} of {failures.n_a} runs of A against {failures.failed_b} of {failures.n_b} of B "
        f"(Fisher's exact test, p = {p})"
    )


def levels_text(levels: TwoLevels) -> str:
    """Return the estimate over new seeds and new samples, its p-value, and what would lower its error most."""
    seeds = f"{levels.n_a} seeds" if levels.n_a == levels.n_b else f"{levels.n_a} and {levels.n_b} seeds"
    low, high, difference = (
        cut_at(value, levels.error, "+") for value in (levels.ci_low, levels.ci_high, levels.difference)
    )
    from_seeds, from_samples, from_both = percentages((levels.from_seeds, levels.from_samples, levels.from_both))
    shares = f"{from_seeds}% of its variance comes from seeds, {from_samples}% from samples"
    shares += f", {from_both}% from seed and sample together"
    p = "< 0.0001" if levels.p_value < 1e-4 else f"= {levels.p_value:.2g}"
    clusters = "" if levels.n_clusters is None else f" in {levels.n_clusters:,} clusters"
    return (
        f"over new seeds and new samples ({seeds} × {levels.n_samples:,} shared samples{clusters}) A - B is "
        f"{difference} [{low}, {high}], p {p}; {shares}: {levels.more_helps} would help more."
        f"{'' if levels.means_agree else ' The values that the runs kept have other means than their results.'}"
    )


def clusters_text(clusters: Clusters) -> str:
    """Return how many clusters the samples fall into, and what that does to the error."""
    text = f"{clusters.n_samples:,} samples in {clusters.n_clusters:,} cluster{'s' * (clusters.n_clusters != 1)}"
    if math.isnan(clusters.design_effect):
        return f"{text}."
    factor = math.sqrt(clusters.design_effect)
    return f"{text}; the clustered standard error is {factor:.2g} times that of independent samples."
