"""Which row of a table is the best in a measure, if its difference to every other row is significant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean
from typing import Any

from results.statistics.intervals import summarise


def marked_best(rows: Sequence[Mapping[Any, float]], *, higher_is_better: bool | None, level: float) -> int | None:
    """Return the index of the row that is the best in a measure, or None if no row is significantly better.

    Its difference to every other row must be significant, see :func:`results.statistics.best_marking.best_row`. The
    tests are paired over seeds if all rows have the same known seeds, else Welch's.

    Args:
        rows: The values of each group, by the key of the replicate. Empty rows are ignored.
        higher_is_better: The good direction; None marks no row.
        level: Confidence level. A row that is not the single best is marked with probability at most 1 - level.
    """
    present = {i: values for i, values in enumerate(rows) if values}
    if higher_is_better is None or len(present) < 2 or min(map(len, present.values())) < 2:
        return None
    if _is_surely_open(list(present.values()), higher_is_better, level):
        return None
    from results.statistics.best_marking import best_row

    seeds = list(next(iter(present.values())))
    is_paired = all(set(values) == set(seeds) for values in present.values())
    lists = [[values[seed] for seed in seeds] if is_paired else list(values.values()) for values in present.values()]
    found = best_row(lists, higher_is_better=higher_is_better, paired=is_paired, level=level)
    return list(present)[int(found.leader)] if bool(found.is_marked) else None


def _is_surely_open(rows: Sequence[Mapping[Any, float]], higher_is_better: bool, level: float) -> bool:
    """Return whether a normal test finds no difference of the two leading rows, given their estimated spread.

    A t test has wider intervals, so it finds none either. For most tables this saves the import of SciPy, about 0.2 s.
    """
    if not all(math.isfinite(value) for values in rows for value in values.values()):
        return True
    leading = sorted(rows, key=lambda values: fmean(values.values()), reverse=higher_is_better)
    a, b = leading[:2]
    one, other = summarise(list(a.values())), summarise(list(b.values()))
    pairs = summarise([a[seed] - b[seed] for seed in a if seed in b])
    errors = [math.hypot(0.0 if one.is_constant else one.error, 0.0 if other.is_constant else other.error), pairs.error]
    differences = [one.mean - other.mean, pairs.mean]
    critical = NormalDist().inv_cdf(0.5 + level / 2)
    return not any(abs(d) >= critical * error for d, error in zip(differences, errors, strict=True))
