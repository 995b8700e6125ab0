"""Large arrays that are not contiguous: exact, paired by position, and never copied as a whole; for every engine."""

import tracemalloc

import numpy as np
import pytest
import torch
from meter_reference import ENGINES

from core.meter import blocks
from core.meter.blocks import Blocks, flat
from core.utils.cluster_means import ClusteredMean

SIZE = 2 * 1024 + 77


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 1024)


def layouts(dtype) -> dict[str, np.ndarray]:
    """Return arrays of more than two blocks that are not contiguous, aligned and native."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal(2 * SIZE) * 100).astype(dtype)
    packed = np.zeros(SIZE, np.dtype([("pad", np.int8), ("x", dtype)]))
    packed["x"] = values[:SIZE]
    table = values[: 2 * (SIZE // 7) * 7].reshape(-1, 7)
    return {
        "strided": values[::2],
        "reversed": values[::-1],
        "columns": table[:, 2:5],
        "transposed": table.T[::2],
        "broadcast": np.broadcast_to(values[:99], (SIZE // 99 + 1, 99)),
        "swapped": values.astype(np.dtype(dtype).newbyteorder()),
        "unaligned": packed["x"],
    }


@ENGINES
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_large_arrays_of_any_layout_are_exact(new, dtype) -> None:
    for layout, values in layouts(dtype).items():
        if np.dtype(dtype).itemsize == 1 and layout in ("swapped", "unaligned"):
            continue
        assert isinstance(flat(values, keeps_order=False), Blocks), layout
        meter, expected = new(), new()
        meter.update(x=values)
        expected.update(x=np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
        assert meter == expected, layout


@ENGINES
@pytest.mark.usefixtures("small_blocks")
def test_large_pairs_of_any_layout_are_paired_by_position(new) -> None:
    for layout, a in layouts(np.float64).items():
        b = np.arange(a.size, dtype=np.float32).reshape(a.shape)
        for x, y in ((a, b), (b, a), (a, a[::-1])):
            meter, expected = new(pairs=[("a", "b")], nan_policy="omit"), new(pairs=[("a", "b")], nan_policy="omit")
            meter.update(a=x, b=y)
            expected.update(
                a=x.ravel().astype(x.dtype.newbyteorder("=")), b=y.ravel().astype(y.dtype.newbyteorder("="))
            )
            assert meter == expected, layout


@ENGINES
@pytest.mark.usefixtures("small_blocks")
def test_a_large_strided_bfloat16_tensor_is_exact(new) -> None:
    tensor = torch.randn(3 * SIZE, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)[::3]
    meter, expected = new(pairs=[("x", "y")]), new(pairs=[("x", "y")])
    meter.update(x=tensor, y=torch.arange(SIZE))
    expected.update(x=tensor.contiguous(), y=torch.arange(SIZE))
    assert meter == expected


@ENGINES
@pytest.mark.usefixtures("small_blocks")
def test_a_large_array_with_n_or_with_a_nan_under_raise_is_refused(new) -> None:
    values = np.zeros(2 * SIZE)[::2]
    values[-1] = np.nan
    meter = new(nan_policy="raise")
    with pytest.raises(ValueError, match=rf"x: got n=2 with an array \({SIZE:,} values\)"):
        meter.update(x=values, n=2)
    with pytest.raises(ValueError, match="x: got 1 NaN"):
        meter.update(x=values)
    assert len(meter) == 0


def test_a_large_array_is_not_copied_as_a_whole() -> None:
    values = np.ones(2**21)[::2]  # 8 MiB of values
    swapped = np.ones(2**20).astype(np.dtype(np.float64).newbyteorder())
    for array in (values, swapped, np.broadcast_to(values[:64], (2**14, 64))):
        for keeps_order in (False, True):
            tracemalloc.start()
            try:
                total = sum(block.sum() for block in flat(array, keeps_order=keeps_order))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert total == 2.0**20
            assert peak < 2 * 2**20


@pytest.mark.usefixtures("small_blocks")
def test_clusters_of_a_large_strided_array_are_summed() -> None:
    means = ClusteredMean()
    means.update(np.ones(2 * SIZE)[::2], np.arange(SIZE) % 3)
    assert means.result().mean == 1.0
