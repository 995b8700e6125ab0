"""The table of a comparison: a row per measure, with both means, the difference, and the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.utils.tables import aligned
from results.comparison.comparison import CANNOT_TELL, Comparison
from results.comparison.difference_text import difference_with_interval, p_text
from results.over_runs import over_runs_text
from results.text.durations import Unit, unit_of
from results.text.numbers import aligned_at_error


def difference_table(comparisons: Sequence[Comparison]) -> str:
    """Return the table; "" for no comparisons. All of them have an answer, or none has."""
    if not comparisons:
        return ""
    first = comparisons[0]
    level = f"{100 * first.level:g}%"
    jointly = f", {first.n_family} jointly" if first.in_family and first.n_family > 1 else ""
    header = ["measure", f"A ± {level}", f"B ± {level}", f"A - B [{level}{jointly}]", "effect"]
    columns = [
        [one.label for one in comparisons],
        aligned_at_error([over_runs_text(one.over_a, unit=row_unit(one)) for one in comparisons]),
        aligned_at_error([over_runs_text(one.over_b, unit=row_unit(one)) for one in comparisons]),
        [difference_with_interval(one.test, row_unit(one)) for one in comparisons],
        [_effect(one.test.effect_size) for one in comparisons],
    ]
    if first.in_family:
        header += [f"p (Bonferroni, {first.n_family})" if jointly else "p", "answer"]
        columns += [[p_text(one.p_adjusted, one.level) for one in comparisons], [one.answer for one in comparisons]]
        if has_detectable_column(comparisons):
            header.append("detectable")
            columns.append([detectable_text(one) if is_open(one) else "" for one in comparisons])
    else:
        header.append("role")
        columns.append([one.role for one in comparisons])
    return aligned(header, list(zip(*columns, strict=True)), right=("effect",))


def row_unit(one: Comparison) -> Unit:
    """Return the unit in which all numbers of a measure are printed: of a time, the one that suits the larger mean."""
    return unit_of(one.metadata, one.over_a.summary.mean, one.over_b.summary.mean)


def is_open(one: Comparison) -> bool:
    """Return whether the answer is "cannot tell" and the detectable difference is known."""
    return one.answer == CANNOT_TELL and not math.isnan(one.detectable)


def has_detectable_column(comparisons: Sequence[Comparison]) -> bool:
    """Return whether the table shows the detectable differences; a single one stands in a sentence instead."""
    return sum(map(is_open, comparisons)) > 1


def detectable_text(one: Comparison) -> str:
    """Return the detectable difference in two digits."""
    unit = row_unit(one)
    return unit.named(f"{one.detectable / unit.scale:.2g}")


def _effect(size: float) -> str:
    return "-" if math.isnan(size) else f"{size:+.2f}"
