"""Properties of every engine: each bit against rationals, and the same bits for any order, batching and merge tree."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_reference import ENGINES, KINDS, check, same

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TINY = st.integers(-(2**53), 2**53).map(lambda m: math.ldexp(m, -1074))
NEAR = st.integers(-(2**53), 2**53).flatmap(lambda m: st.integers(-80, 20).map(lambda e: math.ldexp(m, e)))
VALUES = st.one_of(FINITE, TINY, NEAR, st.sampled_from([0.0, 5e-324, 2.0**-1022, 1.7976931348623157e308, 1.0, 0.1]))
WEIGHTS = st.one_of(st.integers(1, 100), st.integers(1, 2**53))
THOROUGH = settings(deadline=None, max_examples=150)


@ENGINES
@THOROUGH
@given(values=st.lists(VALUES, max_size=40))
def test_every_bit_agrees_with_rationals(new, values) -> None:
    meter = new()
    meter.update(x=values)
    check(meter, "x", values)


@ENGINES
@THOROUGH
@given(pairs=st.lists(st.tuples(VALUES, WEIGHTS), min_size=1, max_size=20))
def test_every_bit_agrees_with_rationals_where_n_differs(new, pairs) -> None:
    meter = new()
    for value, n in pairs:
        meter.update(x=value, n=n)
    check(meter, "x", *map(list, zip(*pairs, strict=True)))


@ENGINES
@THOROUGH
@given(values=st.lists(st.integers(-(2**80), 2**80) | st.integers(-(2**1024) + 1, 2**1024 - 1), min_size=1, max_size=9))
def test_integers_of_any_size_are_exact(new, values) -> None:
    meter, at_once = new(), new()
    for value in values:
        meter.update(x=value)
    at_once.update(x=values)
    check(meter, "x", values)
    assert at_once.state_dict() == meter.state_dict()
    assert new.load(meter.state_dict()) == meter


@ENGINES
@settings(deadline=None, max_examples=60)
@given(data=st.data(), values=st.lists(VALUES | st.sampled_from([math.inf, -math.inf, math.nan]), max_size=60))
def test_any_order_batching_sharding_and_merge_tree_gives_the_same_state(new, data, values) -> None:
    whole = new("x")
    whole.update(x=values)
    shuffled = data.draw(st.permutations(values))
    shards = [new("x")]
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        batch, shuffled = shuffled[:size], shuffled[size:]
        as_type = data.draw(st.sampled_from(["list", "array", "tensor", "floats"]))
        if as_type == "floats":
            for value in batch:
                shards[-1].update(x=value)
        else:
            shards[-1].update(x={"list": list, "array": np.array, "tensor": torch.DoubleTensor}[as_type](batch))
        if data.draw(st.booleans()):
            shards.append(new("x"))
    while len(shards) > 1:
        a = shards.pop(data.draw(st.integers(0, len(shards) - 1)))
        b = shards.pop(data.draw(st.integers(0, len(shards) - 1)))
        shards.append(a + b)
    assert shards[0].state_dict() == whole.state_dict()


@ENGINES
@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2))
def test_mean_and_error_agree_with_numpy(new, values) -> None:
    meter = new()
    meter.update(x=np.array(values))
    assert meter.mean("x") == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)
    assert meter.error("x") == pytest.approx(np.std(values, ddof=1) / np.sqrt(len(values)), rel=1e-9, abs=1e-9)
    assert (meter.min("x"), meter.max("x")) == (np.min(values), np.max(values))


@ENGINES
@pytest.mark.parametrize("power", range(8))
def test_significands_full_of_ones_fill_no_piece_of_a_sum(new, power) -> None:
    value = math.ldexp(2**53 - 1, power)
    meter = new()
    meter.update(x=np.full(20_000, value), y=np.full(20_000, -value))
    state = meter.state_dict()["measures"]
    s1, s2 = 20_000 * int(value) << 1074, 20_000 * int(value) ** 2 << 2148
    assert [int(state["x"]["s1"], 16), int(state["x"]["s2"], 16)] == [s1, s2]
    assert [int(state["y"]["s1"], 16), int(state["y"]["s2"], 16)] == [-s1, s2]


def random_array(rng: np.random.Generator) -> np.ndarray:
    """Return an array of a random kind, range and size."""
    size = int(rng.choice([1, 3, 8, 17, 100, 1025, 9000]))
    normal = rng.standard_normal(size)
    low = int(rng.choice([-307, -160, -20, 0, 20, 280]))
    makers = [
        lambda: normal,
        lambda: normal * 10.0**low,
        lambda: normal * 10.0 ** rng.integers(low, low + 25, size),
        lambda: rng.integers(-(2**52), 2**52, size) * 5e-324,
        lambda: np.exp(rng.uniform(-700, 700, size)),
        lambda: np.where(rng.random(size) < 0.01, np.nan, normal),
        lambda: np.where(rng.random(size) < 0.01, np.inf, normal * 1e-200),
        lambda: normal.astype(np.float32) * np.float32(10.0) ** rng.integers(-40, 30, size).astype(np.float32),
        lambda: rng.integers(0, 2**32, size, dtype=np.uint32).view(np.float32),
        lambda: rng.integers(0, 2**16, size, dtype=np.uint16).view(np.float16),
        lambda: rng.integers(0, 2**64, size, dtype=np.uint64).view(np.float64),
        lambda: rng.integers(0, 2**64, size, dtype=np.uint64),
        lambda: rng.integers(-(2**63), 2**63, size),
        lambda: rng.integers(-128, 128, size).astype(np.int8),
        lambda: normal > 0,
    ]
    return makers[rng.integers(len(makers))]()


def expected_sums(array: np.ndarray) -> tuple[int, int, dict[str, int]]:
    """Return Σx in units of 2^-1074, Σx² in units of 2^-2148 and the counts, by Python's integers."""
    s1 = s2 = 0
    counts = dict.fromkeys(("k", "nan", "posinf", "neginf"), 0)
    with np.errstate(invalid="ignore"):  # signalling NaNs among the random bits
        wide = array.astype(np.float64) if array.dtype.kind == "f" else array
    for value in wide.tolist():
        if value != value:
            counts["nan"] += 1
            continue
        counts["k"] += 1
        if value in (math.inf, -math.inf):
            counts["posinf" if value > 0 else "neginf"] += 1
            continue
        p, q = value.as_integer_ratio()
        s1 += p * (2**1074 // q)
        s2 += p * p * (2**2148 // (q * q))
    return s1, s2, counts


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("seed", range(4))
def test_sequences_of_mixed_arrays_on_one_state_are_exact_after_each(seed) -> None:
    rng = np.random.default_rng(seed)
    arrays = [random_array(rng) for _ in range(30)]
    meters = {kind: kind() for kind in KINDS}
    s1 = s2 = 0
    counts = dict.fromkeys(("k", "nan", "posinf", "neginf"), 0)
    for array in arrays:
        more1, more2, more = expected_sums(array)
        s1, s2, counts = s1 + more1, s2 + more2, {name: counts[name] + more[name] for name in counts}
        for kind, meter in meters.items():
            meter.update(x=array)
            state = meter.state_dict()["measures"]["x"]
            assert {name: int(state[name], 16) for name in ("s1", "s2", *counts)} == {"s1": s1, "s2": s2, **counts}, (
                kind
            )
    assert len({str(meter.state_dict()) for meter in meters.values()}) == 1


@pytest.mark.parametrize("new", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_flush_to_zero_and_denormals_are_zero_change_nothing(new, dtype) -> None:
    tiny = np.nextafter(dtype(0), dtype(1))
    smallest_normal = np.finfo(dtype).smallest_normal
    values = np.array([tiny, -tiny, tiny * 3, smallest_normal - tiny, smallest_normal, 1.0, 0.0] * 300, dtype)
    only_tiny = values[:3]
    plain, flushed = new(), new()
    plain.update(x=values, y=only_tiny, z=only_tiny[0])
    readings = [plain.mean("y"), plain.error("y"), plain.min("y"), plain.max("z")]
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no flush-to-zero mode")
    try:
        flushed.update(x=values, y=only_tiny, z=only_tiny[0])
        states = [plain.state_dict(), flushed.state_dict(), new.load(flushed.state_dict()).state_dict()]
        flushed_readings = [flushed.mean("y"), flushed.error("y"), flushed.min("y"), flushed.max("z")]
        assert torch.tensor([5e-324], dtype=torch.float64).mul(1.0).item() == 0.0  # the mode was on
    finally:
        torch.set_flush_denormal(False)
    assert states[0] == states[1] == states[2]
    assert all(same(a, b) for a, b in zip(readings, flushed_readings, strict=True))
    assert readings[2:] == [-float(tiny), float(tiny)]
