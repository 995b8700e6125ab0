"""Simulate the coverage, error rates and power of the statistics in results/. docs/many_runs.md quotes the numbers.

    python benchmarks/coverage.py [--experiments 20000]

Each line of the output is a simulation with a fixed seed. With the same versions of NumPy and SciPy, the numbers are
the same on every machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from results.statistics.best_marking import best_row
from results.statistics.clusters import clustered_mean
from results.statistics.equivalence import equivalence
from results.statistics.intervals import paired_difference, t_quantile, welch_difference
from results.statistics.power import pairs_needed
from results.statistics.robust import bootstrap_difference, iqm, median, rank_test
from results.statistics.sequential import sequential_t_test
from results.statistics.shape import shape_of
from results.statistics.two_level import two_level_mean

Array = NDArray[np.float64]
Line = tuple[str, float]


def draw(kind: str, shape: Sequence[int], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.lognormal(size=shape) if kind == "lognormal" else rng.normal(size=shape)


def t_tests(n_experiments: int) -> Iterator[Line]:
    for kind, mean in (("normal", 0.0), ("lognormal", float(np.exp(0.5)))):
        for n in (3, 5, 10, 20):
            values = draw(kind, (n_experiments, n), n)
            found = paired_difference(values, np.full_like(values, mean))
            yield f"t interval of {n} {kind} runs: coverage", float(np.mean((found.ci_low <= 0) & (found.ci_high >= 0)))
    for n_a, n_b in ((5, 5), (3, 10)):
        a, b = draw("lognormal", (n_experiments, n_a), 1), draw("lognormal", (n_experiments, n_b), 2)
        yield (
            f"Welch, {n_a} against {n_b} lognormal runs: error rate",
            float(np.mean(welch_difference(a, b).p_value < 0.05)),
        )


def marking(n_experiments: int) -> Iterator[Line]:
    for k in (3, 5, 10, 20):
        for n in (3, 5, 10):
            rows = list(draw("normal", (k, n_experiments // 4, n), k * n))
            yield (
                f"best of {k} equal rows, {n} runs: share of tables that mark it",
                float(np.mean(best_row(rows, higher_is_better=True).is_marked)),
            )
    for n in (3, 5, 10):
        rows = list(draw("normal", (5, n_experiments, n), n) + np.array([50.0, 50, 0, 0, 0])[:, None, None])
        yield (
            f"two equal best of 5 rows, {n} runs: share of tables that mark one",
            float(np.mean(best_row(rows, higher_is_better=True).is_marked)),
        )
    rows = list(draw("normal", (10, n_experiments // 4, 5), 1) + np.array([6.0] + [0.0] * 9)[:, None, None])
    yield (
        "best of 10 rows, 5 runs, gap of 6 sd: marked in",
        float(np.mean(best_row(rows, higher_is_better=True).is_marked)),
    )


def looks(n_experiments: int) -> Iterator[Line]:
    found = sequential_t_test(draw("normal", (n_experiments, 50), 1)).p_value < 0.05
    yield "sequential test, no difference, looks from 2 to 50: errs in", float(np.mean(found.any(axis=-1)))
    for effect in (0.5, 1.0, 2.0, 3.0):
        found = sequential_t_test(draw("normal", (n_experiments // 4, 300), 2) + effect).p_value < 0.05
        yield f"sequential test, difference of {effect:g} sd: mean pairs", float(np.mean(found.argmax(axis=-1) + 1))
        yield f"fixed plan for {effect:g} sd: pairs", pairs_needed(effect, 1.0)


def margins(n_experiments: int) -> Iterator[Line]:
    for n in (3, 5, 10):
        a, b = draw("normal", (2, n_experiments, n), n)
        found = equivalence(welch_difference(a + 1.5, b), 1.5)
        yield f"difference at the margin, {n} runs: share called equivalent", float(np.mean(found.p_value < 0.05))
        found = equivalence(welch_difference(a, b), 1.5)
        yield (
            f"no difference, margin of 1.5 sd, {n} runs: share called equivalent",
            float(np.mean(found.p_value < 0.05)),
        )


def robust(n_experiments: int) -> Iterator[Line]:
    few = max(n_experiments // 20, 100)
    for kind in ("normal", "lognormal"):
        for n in (3, 5, 10, 20):
            pairs = draw(kind, (few, 2, n), n)
            for name, statistic in (("median", median), ("IQM", iqm)):
                found = [bootstrap_difference(a, b, statistic, n_resamples=1_000) for a, b in pairs]
                yield (
                    f"{name}, {n} {kind} runs a side: bootstrap coverage",
                    float(np.mean([one.ci_low <= 0 <= one.ci_high for one in found])),
                )
        pairs = draw(kind, (n_experiments // 4, 2, 8), 3)
        yield (
            f"Mann-Whitney, 8 {kind} runs a side: error rate",
            float(np.mean([rank_test(a, b) < 0.05 for a, b in pairs])),
        )
    for n in (5, 10, 15, 20):
        for kind in ("lognormal", "normal"):
            noticed = [shape_of(row).is_suspect for row in draw(kind, (n_experiments // 4, n), n)]
            yield f"skew check, {n} {kind} runs: share noticed", float(np.mean(noticed))


def levels(n_experiments: int) -> Iterator[Line]:
    few = n_experiments // 4
    for n_seeds, n_samples in ((3, 20), (5, 100), (10, 50)):
        for sds in ((1.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 0.1, 1.0)):
            seeds, samples = draw("normal", (few, n_seeds, 1), 1), draw("normal", (few, 1, n_samples), 2)
            values = sds[0] * seeds + sds[1] * samples + sds[2] * draw("normal", (few, n_seeds, n_samples), 3)
            found = two_level_mean(values)
            name = f"{n_seeds} seeds × {n_samples} samples, sd {sds}"
            yield f"two levels, {name}: coverage", float(np.mean((found.ci_low <= 0) & (found.ci_high >= 0)))
            plain = paired_difference(values.mean(axis=-1), np.zeros((few, n_seeds)))
            yield f"over seeds alone, {name}: coverage", float(np.mean((plain.ci_low <= 0) & (plain.ci_high >= 0)))
    ids = np.repeat(np.arange(30), 10)
    covered = []
    for cluster, sample in zip(draw("normal", (few, 30), 4), draw("normal", (few, 300), 5), strict=True):
        one = clustered_mean(np.repeat(cluster, 10) + sample, ids)
        half = float(t_quantile(0.95, one.df))
        covered.append([abs(one.mean) < half * one.error, abs(one.mean) < half * one.plain_error])
    yield "30 clusters of 10, clustered: coverage", float(np.mean([pair[0] for pair in covered]))
    yield "30 clusters of 10, taken for independent: coverage", float(np.mean([pair[1] for pair in covered]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--experiments", type=int, default=20_000, help="experiments per line of the output; slow lines use fewer"
    )
    n_experiments = parser.parse_args().experiments
    for simulate in (t_tests, marking, looks, margins, robust, levels):
        for name, value in simulate(n_experiments):
            print(f"{name:70} {value:.3f}" if value < 1.5 else f"{name:70} {value:.1f}", flush=True)


if __name__ == "__main__":
    main()
