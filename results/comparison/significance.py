"""Chooses the test of the difference of two groups, and computes it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from core.config.errors import ConfigError
from core.utils.formatting import format_value
from results.comparison.binary import paired_counts, score_difference, separate_counts
from results.comparison.measured import Measured
from results.samples import Values, have_mean_of, sample_values, shared_samples
from results.statistics.effect_size import effect_size
from results.statistics.intervals import (
    Difference,
    paired_difference,
    summarise,
    t_quantile,
    welch_difference,
    welch_from_errors,
)
from results.statistics.two_proportions import PairedCounts, SeparateCounts, score_interval
from results.text.numbers import known_error

RUNS = "runs"
PAIRED_SAMPLES = "paired over samples"
NO_SPREAD_OF_PAIRS = "all pairs differ by the same amount, so the error of the difference is unknown"
NO_SPREAD_OF_RUNS = "the runs of each group are all equal, so the error of the difference is unknown"
ONE_RUN_EACH = "one run each: this holds for these two trained models, not for other seeds"


@frozen
class ReplicateTest:
    """A test of the difference A - B.

    Attributes:
        method: "paired over seeds", "Welch over runs", "paired over samples", "Welch over samples", and of samples that
            are right or wrong "paired over samples, McNemar" or "score test over samples"; "none" if the data allow no
            test.
        unit: What the replicates are: "runs", or the measure's own unit. A test over samples says something about these
            two trained models only, not about other seeds.
        n_a: Replicates of A in the test (of a paired test: pairs).
        n_b: Replicates of B in the test.
        difference: A - B, over the replicates of the test.
        error: Its standard error; NaN (unknown) with fewer than two replicates, or if nothing varies.
        ci_low: Lower end of its t interval; with ``counts``, of its score interval.
        ci_high: Upper end.
        df: Degrees of freedom.
        p_value: Two-sided, not corrected; NaN if no test is possible.
        sd_a: Standard deviation of A's replicates.
        sd_b: Standard deviation of B's.
        effect_size: The difference in units of the replicates' standard deviation (Hedges' g*).
        note: What a reader must know of the test, or "".
        is_identical: Whether every replicate of A equals its partner in B; without pairs, every replicate of B.
        sample_means: Of paired samples: the means of A and of B over the samples that both have; else None.
        counts: Of samples that are right or wrong: how many, from which a score test is made; else None.
    """

    method: str
    unit: str
    n_a: int
    n_b: int
    difference: float
    error: float
    ci_low: float
    ci_high: float
    df: float
    p_value: float
    sd_a: float
    sd_b: float
    effect_size: float
    note: str = ""
    is_identical: bool = False
    sample_means: tuple[float, float] | None = None
    counts: PairedCounts | SeparateCounts | None = None

    @property
    def is_paired(self) -> bool:
        """Whether replicates were compared pair by pair."""
        return self.method.startswith("paired")

    def at_level(self, level: float) -> ReplicateTest:
        """Return the same test with the interval of another coverage."""
        if math.isnan(self.error):
            return self
        if self.counts is not None:
            low, high = score_interval(self.counts, level)
            return attrs.evolve(self, ci_low=low, ci_high=high)
        half = float(t_quantile(level, self.df)) * self.error
        return attrs.evolve(self, ci_low=self.difference - half, ci_high=self.difference + half)


def choose_test(a: Measured, b: Measured, method: str = "auto", level: float = 0.95) -> ReplicateTest:
    """Test the difference of two groups in a measure, over the replicates whose result is finite.

    "auto" pairs the runs over shared seeds if at least two, and half of the larger group, are shared; else it takes
    Welch's test if both groups have two runs; else, for two single runs, it pairs the samples of which both kept
    values, or takes Welch's test of their means and errors. The choice depends on the design, never on the values.

    Args:
        a: The measure in the first group.
        b: The measure in the second group.
        method: "auto", "paired", "welch" or "samples".
        level: Coverage of the interval.

    Raises:
        ConfigError: The data do not allow the method asked for.
    """
    values_a, values_b = a.values, b.values
    shared = [seed for seed in values_a if seed in values_b]
    name = a.metadata.name
    if method == "auto":
        method = _automatic(len(values_a), len(values_b), len(shared))
    if method == "paired":
        if len(shared) < 2:
            raise ConfigError(f"{name}: pairing needs two seeds that both groups have; they share {len(shared)}.")
        return _paired_over_seeds(values_a, values_b, shared, level)
    if method == "welch":
        if len(values_a) < 2 or len(values_b) < 2:
            raise ConfigError(f"{name}: Welch's test over runs needs two runs of each group.")
        rows = list(values_a.values()), list(values_b.values())
        return _made("Welch over runs", RUNS, *rows, welch_difference(*rows, level))
    if method == "samples":
        if len(values_a) != 1 or len(values_b) != 1:
            raise ConfigError(f"{name}: --test samples needs exactly one run on each side.")
        return _over_samples(a, b, level)
    return _untested(values_a, values_b)


def _automatic(n_a: int, n_b: int, n_shared: int) -> str:
    if n_shared >= 2 and 2 * n_shared >= max(n_a, n_b):
        return "paired"
    if n_a >= 2 and n_b >= 2:
        return "welch"
    return "samples" if n_a == n_b == 1 else "none"


def _paired_over_seeds(
    a: Mapping[Any, float], b: Mapping[Any, float], shared: Sequence[Any], level: float
) -> ReplicateTest:
    note = _with_left_out("runs", (len(a) - len(shared), len(b) - len(shared)))
    pairs = [a[seed] for seed in shared], [b[seed] for seed in shared]
    return _made("paired over seeds", RUNS, *pairs, paired_difference(*pairs, level), note)


def _with_left_out(what: str, unpaired: tuple[int, int], note: str = "") -> str:
    """Return a note that begins with the number of replicates without a partner, if there are any."""
    left_out = ", ".join(f"{n:,} of {side}" for side, n in zip("AB", unpaired, strict=True) if n)
    parts = [f"{what} without a partner left out: {left_out}" if left_out else "", note]
    return "; ".join(part for part in parts if part)


def _over_samples(a: Measured, b: Measured, level: float) -> ReplicateTest:
    (run_a, result_a), (run_b, result_b) = a.only_run(), b.only_run()
    unit, kinds = a.metadata.unit, _kinds(a, b)
    kept_a, kept_b = sample_values(run_a, a.metadata, a.sample_seeds), sample_values(run_b, b.metadata, b.sample_seeds)
    if kept_a and kept_b:
        pairs = shared_samples(kept_a, kept_b)
        if (n := len(pairs[0])) >= 2:
            odd = [_other_mean(*side) for side in (("A", kept_a, result_a), ("B", kept_b, result_b))]
            note = "; ".join(filter(None, [ONE_RUN_EACH, *odd]))
            note = _with_left_out("samples", (len(kept_a) - n, len(kept_b) - n), note)
            counts = paired_counts(kinds, *pairs)
            found = paired_difference(*pairs, level) if counts is None else score_difference(counts, level)
            method = PAIRED_SAMPLES if counts is None else f"{PAIRED_SAMPLES}, McNemar"
            made = _made(method, unit, *pairs, found, note)
            means = statistics.fmean(pairs[0]), statistics.fmean(pairs[1])
            return attrs.evolve(made, sample_means=means, counts=counts)
    note = f"{ONE_RUN_EACH}{_why_not_paired(kept_a is not None, kept_b is not None)}"
    return _from_results(a, result_a, b, result_b, level, note)


def _other_mean(side: str, kept: Values, result: Mapping[str, Any]) -> str:
    """Return a note if a run kept values whose mean is not its result, or ""."""
    if have_mean_of(kept, result):
        return ""
    of_values, of_result = format_value(statistics.fmean(kept.values())), format_value(result["mean"])
    return f"{side} kept values whose mean is {of_values}, while its result is {of_result}"


def _from_results(
    a: Measured, result_a: Mapping[str, Any], b: Measured, result_b: Mapping[str, Any], level: float, note: str
) -> ReplicateTest:
    """Test two single runs from their recorded results: counts of right samples, or means and errors."""
    unit = a.metadata.unit
    n_a, n_b = result_a["n"] or 0, result_b["n"] or 0
    if counts := separate_counts(_kinds(a, b), result_a, result_b):
        shares = result_a["mean"], result_b["mean"]
        sds = tuple(math.sqrt(p * (1 - p) * n / max(1, n - 1)) for p, n in zip(shares, (n_a, n_b), strict=True))
        found = score_difference(counts, level)
        made = _with_spread("score test over samples", unit, (n_a, n_b), found, (sds[0], sds[1]), note)
        return attrs.evolve(made, counts=counts)
    errors = [known_error(result["error"], n) for result, n in ((result_a, n_a), (result_b, n_b))]
    found = welch_from_errors(result_a["mean"], errors[0], n_a, result_b["mean"], errors[1], n_b, level)
    if math.isnan(float(found.p_value)):
        return _untested(a.values, b.values, [result_a, result_b])
    sds = errors[0] * math.sqrt(n_a), errors[1] * math.sqrt(n_b)
    return _with_spread("Welch over samples", unit, (n_a, n_b), found, sds, note)


def _kinds(a: Measured, b: Measured) -> set[str]:
    return {a.only_metadata().kind, b.only_metadata().kind}


def _why_not_paired(has_a: bool, has_b: bool) -> str:
    """Return why the samples of two runs are not paired, or "" if neither run has values per sample."""
    if has_a and has_b:
        return "; the runs share fewer than two samples, so samples are not paired"
    lacking = "" if has_a == has_b else "B" if has_a else "A"
    return f"; {lacking} has no usable values per sample, so samples are not paired" if lacking else ""


def _made(method: str, unit: str, a: list[float], b: list[float], found: Difference, note: str = "") -> ReplicateTest:
    made = _with_spread(method, unit, (len(a), len(b)), found, (_sd(a), _sd(b)), note)
    paired = made.is_paired
    if made.difference == 0 and (a == b if paired else len({*a, *b}) == 1):
        return attrs.evolve(made, is_identical=True)
    if math.isnan(made.error) and all(map(math.isfinite, [*a, *b])):
        reason = NO_SPREAD_OF_PAIRS if paired else NO_SPREAD_OF_RUNS
        return attrs.evolve(made, note="; ".join(part for part in (reason, note) if part))
    constant = [] if paired else [side for side, row in (("A", a), ("B", b)) if summarise(row).is_constant]
    if constant:
        reason = f"the runs of {constant[0]} are all equal, so the error is that of the other runs alone"
        return attrs.evolve(made, note="; ".join(part for part in (reason, note) if part))
    return made


def _sd(values: Sequence[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _with_spread(
    method: str, unit: str, n: tuple[int, int], found: Difference, sds: tuple[float, float], note: str
) -> ReplicateTest:
    difference, error, low, high, df, p = map(float, found)
    size = effect_size(difference, sds[0], n[0], sds[1], n[1])
    return ReplicateTest(method, unit, *n, difference, error, low, high, df, p, *sds, size, note)


def _untested(a: dict[Any, float], b: dict[Any, float], results: Sequence[Mapping[str, Any]] = ()) -> ReplicateTest:
    """Return no test, with the means' difference and the reason; ``results`` are those of two single runs."""
    sides = ("A", a), ("B", b)
    constant = [side for side, fields in zip("AB", results, strict=False) if fields["error"] == 0]
    lone = [side for side, values in sides if len(values) == 1]
    without_n = [side for side, fields in zip("AB", results, strict=False) if fields["error"] > 0 and not fields["n"]]
    if constant:
        note = f"{' and '.join(constant)}: all observations are equal, so the error is unknown"
    elif without_n:
        why = "one run, whose result does not say how many observations (n) its error rests on"
        note = f"{' and '.join(without_n)}: {why}"
    else:
        note = f"{' and '.join(lone)}: one run, so the error over runs is unknown" if lone else ""
    means = [statistics.fmean(values.values()) if values else math.nan for _, values in sides]
    none = math.nan
    return ReplicateTest(
        "none", RUNS, len(a), len(b), means[0] - means[1], none, none, none, none, none, none, none, none, note
    )
