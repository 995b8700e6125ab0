"""Exact all-reduce of measures over the processes of torch.distributed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.meter.float_bits import from_order, order
from core.meter.measure import COUNT_BITS, S1_BITS, S2_BITS, Measure

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
_WIDTH = sum(_DIGITS.values())
_NOTHING = 2**63 - 1  # sent as min and -max where there is no data: larger than any other

Int64s = NDArray[np.int64]


def all_reduce(measures: Mapping[str, Measure], nan_policy: str, *, declared: bool, group: Any) -> dict[str, Measure]:
    """Return the merged measures of all processes of ``group``; every process gets the same.

    Args:
        measures: The measures of this process.
        nan_policy: The meter's nan_policy. It must be the same on all processes.
        declared: Whether the names were declared, and so are the same on all processes. This saves the exchange of
            names. It must be the same on all processes.
        group: A process group, or None for all processes. Without torch.distributed, there is only this process.

    Raises:
        ValueError: The declared names or nan_policy differ between processes (raised on all of them), or this process
            is not in the group.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return dict(measures)
    if torch.distributed.get_rank(group) < 0:
        raise ValueError("all_reduce: this process is not in the group")
    names = sorted(measures) if declared else _agree_on_names(sorted(measures), nan_policy, group)
    mine = [measures.get(name, Measure()) for name in names]
    print_of_all = _fingerprint(names, nan_policy)
    sums = np.concatenate([np.zeros(0, np.int64), *map(_digits, mine)])
    least = np.array([print_of_all, -print_of_all, *(key for each in mine for key in _extremes(each))], np.int64)
    sums, least = _reduced(sums, "SUM", group), _reduced(least, "MIN", group)
    if least[0] != -least[1]:
        raise ValueError(f"all_reduce: the declared measures or nan_policy differ between processes; here {names}")
    rows, extremes = sums.reshape(-1, _WIDTH), least[2:].reshape(-1, 2)
    return {name: _measure(row, keys) for name, row, keys in zip(names, rows, extremes, strict=True)}


def _agree_on_names(names: list[str], nan_policy: str, group: Any) -> list[str]:
    """Return the names of the measures of all processes, sorted."""
    from torch import distributed

    gathered: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(gathered, (nan_policy, names), group=group)
    policies = sorted({policy for policy, _ in gathered})
    if len(policies) > 1:
        raise ValueError(f"all_reduce: nan_policy differs between processes: {', '.join(map(repr, policies))}")
    return sorted({name for _, each in gathered for name in each})


def _fingerprint(names: list[str], nan_policy: str) -> int:
    digest = hashlib.blake2b(json.dumps([nan_policy, names]).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def _digits(measure: Measure) -> Int64s:
    """Return the integer fields as digits of base 2^32; the last digit of a field has the sign.

    The digits of a sum are the sums of the digits, so a SUM over the processes adds the integers exactly.
    """
    rows = []
    for field, n_digits in _DIGITS.items():
        raw = getattr(measure, field).to_bytes(n_digits * _DIGIT_BITS // 8, "little", signed=True)
        row = np.frombuffer(raw, "<u4").astype(np.int64)
        row[-1] -= (row[-1] >> (_DIGIT_BITS - 1)) << _DIGIT_BITS
        rows.append(row)
    return np.concatenate(rows)


def _extremes(measure: Measure) -> tuple[int, int]:
    if measure.min is None or measure.max is None:
        return _NOTHING, _NOTHING
    return order(measure.min), -order(measure.max)


def _measure(row: Int64s, extremes: Int64s) -> Measure:
    digits = iter(row.tolist())
    fields = {
        field: sum(next(digits) << (_DIGIT_BITS * i) for i in range(n_digits)) for field, n_digits in _DIGITS.items()
    }
    low, high = extremes.tolist()
    if fields["k"]:
        return Measure(**fields, min=from_order(low), max=from_order(-high))
    return Measure(**fields)


def _reduced(values: Int64s, operation: str, group: Any) -> Int64s:
    import torch
    from torch import distributed

    device: torch.device | str = "cuda" if distributed.get_backend(group) == "nccl" else "cpu"
    tensor = torch.from_numpy(values).to(device)
    distributed.all_reduce(tensor, getattr(distributed.ReduceOp, operation), group=group)
    reduced: Int64s = tensor.cpu().numpy()
    return reduced
