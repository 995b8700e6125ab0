"""Exact all-reduce of measures over the processes of torch.distributed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.meter.float_bits import from_order, order
from core.meter.measure import COUNT_BITS, S1_BITS, S2_BITS, Measure
from core.meter.pair import Pair

if TYPE_CHECKING:
    import torch

_DIGIT_BITS = 32  # an int64 holds the sum of the digits of 2^31 processes
_COUNT_DIGITS = COUNT_BITS // _DIGIT_BITS + 1
#: Digits of each integer field, in the order in which they are sent. A sum of n values is below n·2^1024.
_DIGITS = {
    "s1": (S1_BITS + 1024 + COUNT_BITS) // _DIGIT_BITS + 1,
    "s2": (S2_BITS + 2048 + COUNT_BITS) // _DIGIT_BITS + 1,
    **dict.fromkeys(("k", "n", "nan", "posinf", "neginf"), _COUNT_DIGITS),
}
#: Likewise, those of a pair that are not in its two measures.
_PAIR_DIGITS = {"ab": _DIGITS["s2"], "nan": _COUNT_DIGITS, "inf": _COUNT_DIGITS}
_WIDTH = sum(_DIGITS.values())
_PAIR_WIDTH = sum(_PAIR_DIGITS.values())
_BASE = 1 << _DIGIT_BITS
#: What the upper parts of the digits of a field are too large by, for each number of digits.
_OFFSETS = {n: int.from_bytes(b"\0\0\0\x80" * n, "little") for n in _DIGITS.values()}
_NOTHING = 2**63 - 1  # sent as min and -max where there is no data: larger than any other

# What processes send before they know that they agree has the same size on all of them, or a crash or hang would
# follow. It has room for the extremes of 32 measures and the sums of 18; more are sent after it.
_ROOM, _ROOM_OF_SUMS = 64, 4096
_FEW_PROCESSES = 8  #: So many send their sums at once; see :func:`_exchanged`.

Int64s = NDArray[np.int64]


Pairs = Mapping[tuple[str, str], Pair]


class Settings(NamedTuple):
    """What must be the same on all processes."""

    nan_policy: str
    pairs: list[tuple[str, str]]
    declared: list[str]


def all_reduce(
    measures: Mapping[str, Measure], pairs: Pairs, settings: Settings, *, fault: Exception | None, group: Any
) -> tuple[dict[str, Measure], list[Pair]]:
    """Return the merged measures and pairs of all processes of ``group``; every process gets the same.

    Args:
        measures: The measures of this process.
        pairs: The pairs of this process by their names.
        settings: Must be the same on all processes.
        fault: An error because of which this process cannot take part, or None. It is raised here, and another error
            on the other processes, so that none of them waits forever.
        group: A process group, or None for all processes. Without torch.distributed, there is only this process.

    Raises:
        ValueError: The settings differ between processes, or one of them has a fault (raised on all of them), or this
            process is not in the group.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        if fault is not None:
            raise fault
        return dict(measures), list(pairs.values())
    if torch.distributed.get_rank(group) < 0:
        raise ValueError("all_reduce: this process is not in the group")
    names = sorted(measures)
    least, sums = _numbers(names, measures, pairs)
    head = _agreement(names, settings, fault)
    found = _exchanged(np.concatenate([head, _padded(least, _ROOM, _NOTHING)]), _padded(sums, _ROOM_OF_SUMS, 0), group)
    if _is_agreed(found.least[: len(head)].tolist(), fault):
        least_of_all = found.least[len(head) :][: len(least)] if len(least) <= _ROOM else None
        sums_of_all = found.sums[: len(sums)] if found.sums is not None and len(sums) <= _ROOM_OF_SUMS else None
    else:
        names = _names_of_all(names, settings, group)
        least, sums = _numbers(names, measures, pairs)
        least_of_all = sums_of_all = None
    if not len(sums):
        return {}, []
    if least_of_all is None:
        least_of_all = _reduced(least, "MIN", group)
    if sums_of_all is None:
        sums_of_all = _reduced(sums, "SUM", group)
    return _merged(names, pairs, least_of_all, sums_of_all)


class _Exchanged(NamedTuple):
    """The least of each value that the processes sent, and the sums of others; None if these were not sent."""

    least: Int64s
    sums: Int64s | None


def _numbers(names: Sequence[str], measures: Mapping[str, Measure], pairs: Pairs) -> tuple[Int64s, Int64s]:
    """Return what a process knows of the measures and pairs: extremes, to take the least of, and digits, to add up."""
    in_pairs = [measure for pair in pairs.values() for measure in (pair.a, pair.b)]
    mine = [*(measures.get(name, Measure()) for name in names), *in_pairs]
    digits = _digits(mine, _DIGITS).ravel()
    if pairs:
        digits = np.concatenate([digits, _digits([*pairs.values()], _PAIR_DIGITS).ravel()])
    return np.array([_extremes(each) for each in mine], np.int64).ravel(), digits


def _merged(names: Sequence[str], pairs: Pairs, least: Int64s, sums: Int64s) -> tuple[dict[str, Measure], list[Pair]]:
    """Return the measures and pairs of all processes; see :func:`_numbers` for ``least`` and ``sums``."""
    extremes = least.reshape(-1, 2).tolist()
    measure_digits, pair_digits = np.split(sums, [len(extremes) * _WIDTH])
    fields = _fields(measure_digits.reshape(-1, _WIDTH), _DIGITS)
    reduced = [_measure(*each) for each in zip(fields, extremes, strict=True)]
    both = iter(reduced[len(names) :])
    others = _fields(pair_digits.reshape(-1, _PAIR_WIDTH), _PAIR_DIGITS) if pairs else []
    return dict(zip(names, reduced, strict=False)), [Pair(next(both), next(both), **fields) for fields in others]


def _agreement(names: list[str], settings: Settings, fault: Exception | None) -> Int64s:
    """Return a few integers whose least values tell every process whether all is well, and whether all agree."""
    # The least of x and of -x are the least and the largest x: all processes agree where the two are one.
    prints = [_fingerprint(settings), _fingerprint([settings, names])]
    return np.array([0 if fault else 1, *prints, *(-each for each in prints)], np.int64)


def _is_agreed(least: Sequence[int], fault: Exception | None) -> bool:
    """Return whether all processes have the same names and settings, from the least of each's :func:`_agreement`.

    Raises:
        ValueError: A process has a fault.
    """
    is_well, _, least_print, _, minus_largest_print = least
    if not is_well:
        raise fault or ValueError("all_reduce: another process of the group raised an error; nothing was reduced")
    return least_print == -minus_largest_print


def _names_of_all(names: list[str], settings: Settings, group: Any) -> list[str]:
    """Return the names of the measures of all processes, sorted; ValueError on all of them if their settings differ."""
    from torch import distributed

    gathered: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(gathered, (settings, names), group=group)
    for i, what in enumerate(("nan_policy", "pairs", "declared measures")):
        values = sorted({repr(each[i]) for each, _ in gathered})
        if len(values) > 1:
            raise ValueError(f"all_reduce: different {what} on different processes: {' and '.join(values)}")
    return sorted({name for _, each in gathered for name in each})


def _fingerprint(value: Any) -> int:
    # 7 bytes, so that the number and its negative fit an int64.
    digest = hashlib.blake2b(json.dumps(value).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def _digits(states: Sequence[Measure | Pair], n_digits_of: Mapping[str, int]) -> Int64s:
    """Return the integer fields as digits of base 2^32, a row for each state; the last digit of a field has the sign.

    The digits of a sum are the sums of the digits, so a SUM over the processes adds the integers exactly.
    """
    n_bytes = [(field, n_digits * _DIGIT_BITS // 8) for field, n_digits in n_digits_of.items()]
    raw = b"".join(getattr(each, field).to_bytes(n, "little", signed=True) for each in states for field, n in n_bytes)
    rows = np.frombuffer(raw, "<u4").astype(np.int64).reshape(len(states), sum(n_digits_of.values()))
    last = np.cumsum([*n_digits_of.values()]) - 1
    rows[:, last] -= (rows[:, last] >> (_DIGIT_BITS - 1)) << _DIGIT_BITS
    return rows


def _extremes(measure: Measure) -> tuple[int, int]:
    if measure.min is None or measure.max is None:
        return _NOTHING, _NOTHING
    return order(measure.min), -order(measure.max)


def _fields(rows: Int64s, n_digits_of: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the integers whose digits, or sums of digits, are in each row: the inverse of :func:`_digits`."""
    # A digit is low + high * 2^32. Both parts of a field are read as one integer; high is made positive for that.
    lows = (rows & (_BASE - 1)).astype("<u4").tobytes()
    highs = ((rows >> _DIGIT_BITS) + _BASE // 2).astype("<u4").tobytes()
    start, fields = 0, []
    for _ in range(len(rows)):
        read = {}
        for field, n_digits in n_digits_of.items():
            end = start + n_digits * _DIGIT_BITS // 8
            low, high = int.from_bytes(lows[start:end], "little"), int.from_bytes(highs[start:end], "little")
            read[field] = low + ((high - _OFFSETS[n_digits]) << _DIGIT_BITS)
            start = end
        fields.append(read)
    return fields


def _measure(fields: Mapping[str, int], extremes: Sequence[int]) -> Measure:
    low, high = extremes
    if fields["k"]:
        return Measure(**fields, min=from_order(low), max=from_order(-high))
    return Measure(**fields)


def _padded(values: Int64s, room: int, filling: int) -> Int64s:
    """Return an array of ``room`` values that begins with ``values``, if they fit into it."""
    padded = np.full(room, filling, np.int64)
    if len(values) <= room:
        padded[: len(values)] = values
    return padded


def _exchanged(least: Int64s, sums: Int64s, group: Any) -> _Exchanged:
    """Return the least and the sums of the values of all processes, all of which give as many.

    Few processes send both at once. Many send only the values to take the least of: what each of them would receive of
    the others grows with their number.
    """
    from torch import distributed

    n = distributed.get_world_size(group)
    if n > _FEW_PROCESSES:
        return _Exchanged(_reduced(least, "MIN", group), None)
    mine = _tensor(np.concatenate([least, sums]), group)
    rows = mine.new_empty(n, len(mine))
    distributed.all_gather(list(rows), mine, group=group)
    received: Int64s = rows.cpu().numpy()
    return _Exchanged(received[:, : len(least)].min(0), received[:, len(least) :].sum(0))


def _reduced(values: Int64s, operation: str, group: Any) -> Int64s:
    from torch import distributed

    tensor = _tensor(values, group)
    distributed.all_reduce(tensor, getattr(distributed.ReduceOp, operation), group=group)
    reduced: Int64s = tensor.cpu().numpy()
    return reduced


def _tensor(values: Int64s, group: Any) -> torch.Tensor:
    """Return the values on the device through which the processes talk."""
    import torch
    from torch import distributed

    return torch.from_numpy(values).to("cuda" if distributed.get_backend(group) == "nccl" else "cpu")
