"""Which test two groups of replicates get, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError
from core.utils.results import ResultMetadata
from results.comparison.replicates import survivors
from results.groups import Group
from results.run import Run
from results.samples import sample_values, shared_samples
from results.statistics.effect_size import effect_size
from results.statistics.intervals import (
    Difference,
    paired_difference,
    summarise,
    welch_difference,
    welch_from_errors,
)

RUNS = "runs"


@frozen
class ReplicateTest:
    """A test of the difference A - B.

    Attributes:
        method: "paired over seeds", "Welch over runs", "paired over samples", "Welch over samples"; "none" where the
            data allow no test.
        unit: What the replicates are: "runs", or the measure's own unit. A test over samples speaks of these two
            trained models alone, not of what other seeds would give.
        n_a: Replicates of A (of a paired test: pairs).
        n_b: Replicates of B.
        difference: A - B, over the replicates of the test.
        error: Its standard error.
        ci_low: Lower end of its t interval, for this comparison by itself.
        ci_high: Upper end.
        df: Degrees of freedom.
        p_value: Two-sided; NaN where no test is possible.
        sd_a: Standard deviation of A's replicates.
        sd_b: Standard deviation of B's.
        effect_size: The difference in units of the replicates' standard deviation (Hedges' g*).
        note: What a reader has to know of the choice, or "".
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

    @property
    def is_paired(self) -> bool:
        """Whether replicates were compared pair by pair."""
        return self.method.startswith("paired")


def choose_test(
    a: Group, b: Group, of_a: ResultMetadata, of_b: ResultMetadata, method: str = "auto", level: float = 0.95
) -> ReplicateTest:
    """Test the difference of two groups in a measure.

    "auto" pairs the runs over shared seeds where at least two, and half of the larger group, are shared; else takes
    Welch's test where both have two runs; else, of two single runs, pairs the samples that both kept values of, or
    takes Welch's test of their means and errors. What decides is the design, never the values.

    Raises:
        ConfigError: The data do not allow the method asked for.
    """
    values_a, values_b = survivors(a, of_a), survivors(b, of_b)
    shared = [seed for seed in values_a if seed in values_b and seed is not None]
    if method == "auto":
        method = _automatic(len(values_a), len(values_b), len(shared))
    if method == "paired":
        if len(shared) < 2:
            raise ConfigError(f"{of_a.name}: pairing needs two seeds that both groups have; they share {len(shared)}.")
        left_out = [f"{n} of {side}" for side, n in _unpaired(values_a, values_b, len(shared)) if n]
        note = f"runs without a partner left out: {', '.join(left_out)}" if left_out else ""
        pairs = [values_a[seed] for seed in shared], [values_b[seed] for seed in shared]
        return _made("paired over seeds", RUNS, *pairs, paired_difference(*pairs, level), note)
    if method == "welch":
        if len(values_a) < 2 or len(values_b) < 2:
            raise ConfigError(f"{of_a.name}: Welch's test over runs needs two runs of each group.")
        rows = list(values_a.values()), list(values_b.values())
        return _made("Welch over runs", RUNS, *rows, welch_difference(*rows, level))
    if method == "samples":
        if len(values_a) != 1 or len(values_b) != 1:
            raise ConfigError(f"{of_a.name}: samples can be compared of two single runs only.")
        return _over_samples(*_only_run(a, of_a), *_only_run(b, of_b), level)
    difference = summarise(list(values_a.values())).mean - summarise(list(values_b.values())).mean
    return _untested(len(values_a), len(values_b), difference)


def _automatic(n_a: int, n_b: int, n_shared: int) -> str:
    if n_shared >= 2 and 2 * n_shared >= max(n_a, n_b):
        return "paired"
    if n_a >= 2 and n_b >= 2:
        return "welch"
    return "samples" if n_a == n_b == 1 else "none"


def _unpaired(a: Mapping[Any, float], b: Mapping[Any, float], n_shared: int) -> list[tuple[str, int]]:
    return [("A", len(a) - n_shared), ("B", len(b) - n_shared)]


def _only_run(group: Group, metadata: ResultMetadata) -> tuple[Run, ResultMetadata]:
    (seed,) = survivors(group, metadata)
    return group.replicates[seed], metadata


def _over_samples(a: Run, of_a: ResultMetadata, b: Run, of_b: ResultMetadata, level: float) -> ReplicateTest:
    unit = of_a.unit
    note = "one run each: this speaks of these two trained models, not of other seeds"
    kept_a, kept_b = sample_values(a, of_a), sample_values(b, of_b)
    if kept_a and kept_b:
        pairs = shared_samples(kept_a, kept_b)
        if len(pairs[0]) >= 2:
            return _made("paired over samples", unit, *pairs, paired_difference(*pairs, level), note)
    result_a, result_b = a.measures[of_a], b.measures[of_b]
    n_a, n_b = result_a["n"] or 0, result_b["n"] or 0
    errors = result_a["error"], result_b["error"]
    found = welch_from_errors(result_a["mean"], errors[0], n_a, result_b["mean"], errors[1], n_b, level)
    if math.isnan(float(found.p_value)):
        return _untested(1, 1, float(found.difference))
    sds = errors[0] * math.sqrt(n_a), errors[1] * math.sqrt(n_b)
    return _with_spread("Welch over samples", unit, n_a, n_b, found, *sds, note)


def _made(method: str, unit: str, a: list[float], b: list[float], found: Difference, note: str = "") -> ReplicateTest:
    sds = [summarise(values).error * math.sqrt(len(values)) for values in (a, b)]
    return _with_spread(method, unit, len(a), len(b), found, sds[0], sds[1], note)


def _with_spread(
    method: str, unit: str, n_a: int, n_b: int, found: Difference, sd_a: float, sd_b: float, note: str
) -> ReplicateTest:
    difference, error, low, high, df, p = map(float, found)
    size = effect_size(difference, sd_a, n_a, sd_b, n_b)
    return ReplicateTest(method, unit, n_a, n_b, difference, error, low, high, df, p, sd_a, sd_b, size, note)


def _untested(n_a: int, n_b: int, difference: float) -> ReplicateTest:
    lone = [side for side, n in (("A", n_a), ("B", n_b)) if n == 1]
    note = f"{' and '.join(lone)}: one run, so the error over runs is unknown" if lone else ""
    unknown = [math.nan] * 8
    error, low, high, df, p, sd_a, sd_b, size = unknown
    return ReplicateTest("none", RUNS, n_a, n_b, difference, error, low, high, df, p, sd_a, sd_b, size, note)
