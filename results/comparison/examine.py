"""Further findings of comparisons: the shape of their replicates, pairing, failures, and other tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

from results.comparison.analysis import PLAIN, Analysis, robust_test, sequential_test
from results.comparison.clustered import clustered_test
from results.comparison.comparison import Comparison
from results.comparison.equivalent import equivalence_answers
from results.comparison.failed import compare_failures
from results.comparison.findings import Failures, Findings, Pairing
from results.comparison.levels import two_levels
from results.comparison.replicates import Replicates, n_failed
from results.comparison.significance import PAIRED_SAMPLES, RUNS
from results.statistics.intervals import ROUNDING, summarise, t_quantile, welch_df
from results.statistics.shape import shape_of


def examine(comparisons: Sequence[Comparison], analysis: Analysis = PLAIN) -> list[Comparison]:
    """Return the comparisons with their findings besides the test, answered by the test that ``analysis`` names."""
    found = [_examined(one, analysis) for one in comparisons]
    if analysis.margin is not None and found:
        family = [one for one in found if one.in_family]
        answers = equivalence_answers([one.test for one in family], analysis.margin, found[0].level)
        answered = [attrs.evolve(one, equivalence=answer) for one, answer in zip(family, answers, strict=True)]
        return answered + [one for one in found if not one.in_family]
    return found


def _examined(one: Comparison, analysis: Analysis) -> Comparison:
    failures = _failures(one)
    if one.test.method.startswith(PAIRED_SAMPLES):
        return _over_samples(one, failures)
    if one.test.unit != RUNS or one.test.method == "none":
        return attrs.evolve(one, findings=Findings(failures=failures))
    replicates = Replicates(
        tuple(one.values_a.values()), tuple(one.values_b.values()), tuple(one.values_a) if one.test.is_paired else ()
    )
    if replicates.is_paired:
        rows: dict[str, tuple[Sequence[float], Sequence[Any]]] = {"A - B": (replicates.differences, replicates.seeds)}
    else:
        rows = {"A": (replicates.a, list(one.values_a)), "B": (replicates.b, list(one.values_b))}
    # without spread there is only rounding, which has outliers, too
    has_spread = not math.isnan(one.test.error)
    shapes = {side: shape_of(values) for side, (values, _) in rows.items()} if has_spread else {}
    outliers = {side: rows[side][1][shape.outlier] for side, shape in shapes.items() if shape.outlier is not None}
    findings = Findings(shapes, outliers, pairing_of(replicates, one.test_level), failures, levels=two_levels(one))
    if analysis.robust:
        test, robust = robust_test(one.test, replicates, one.higher_is_better, one.test_level)
        return attrs.evolve(one, test=test, findings=attrs.evolve(findings, robust=robust))
    if analysis.sequential:
        test, looks = sequential_test(one.test, replicates, one.test_level)
        return attrs.evolve(_with_first(one, test.n_a), test=test, findings=attrs.evolve(findings, looks=looks))
    return attrs.evolve(one, findings=findings)


def _with_first(one: Comparison, n: int) -> Comparison:
    """Return the comparison with the means of each group's first n runs, which are those that a test compared."""
    a, b = (dict(list(values.items())[:n]) for values in (one.values_a, one.values_b))
    over = one.measured_a.over_runs(a, one.level), one.measured_b.over_runs(b, one.level)
    return attrs.evolve(one, values_a=a, values_b=b, over_a=over[0], over_b=over[1])


def _over_samples(one: Comparison, failures: Failures | None) -> Comparison:
    test, clusters = clustered_test(one.test, one.measured_a, one.measured_b, one.test_level)
    return attrs.evolve(one, test=test, findings=Findings(failures=failures, clusters=clusters))


def pairing_of(replicates: Replicates, level: float) -> Pairing | None:
    """Return the effect of pairing; None if runs are not paired, or if pairs or groups do not vary."""
    if not replicates.is_paired:
        return None
    import numpy as np

    n = len(replicates.a)
    paired, *each = (summarise(row, level).error for row in (replicates.differences, replicates.a, replicates.b))
    each = [0.0 if math.isnan(error) else error for error in each]  # of equal values
    apart = math.hypot(*each)
    least = ROUNDING * max(map(abs, (*replicates.a, *replicates.b)))
    if not (paired > least and apart > least):
        return None
    df = float(welch_df(each[0], n, each[1], n))
    widths = [float(t_quantile(level, df)) * apart, float(t_quantile(level, n - 1)) * paired]
    correlation = math.nan
    if len(replicates.a) > 2 and np.ptp(replicates.a) > 0 and np.ptp(replicates.b) > 0:
        # in units of each range, since squares of tiny values would underflow
        rows = [np.asarray(row) / np.ptp(row) for row in (replicates.a, replicates.b)]
        correlation = float(np.corrcoef(*rows)[0, 1])
    return Pairing(correlation, widths[0] / widths[1])


def _failures(one: Comparison) -> Failures | None:
    failed = n_failed(one.a, one.metadata), n_failed(one.b, one.of_b)
    return compare_failures(one.a, failed[0], one.b, failed[1], one.level) if any(failed) else None
