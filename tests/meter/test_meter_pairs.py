"""Pairs of measures: every result against rationals, for every engine; and what a pair refuses."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_reference import ENGINES, KINDS, is_root, same, to_double

from core.utils.meters import Meter

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NEAR = st.integers(-(2**53), 2**53).flatmap(lambda m: st.integers(-60, 10).map(lambda e: math.ldexp(m, e)))
VALUES = st.one_of(FINITE, NEAR, st.sampled_from([0.0, 5e-324, 2.0**-1022, 1.7976931348623157e308, 1.0, 0.1]))
ANY = VALUES | st.sampled_from([math.inf, -math.inf, math.nan])
THOROUGH = settings(deadline=None, max_examples=60)


def sums(a: list, b: list, w: list[int]) -> dict[str, Fraction]:
    """Return n = Σw and the weighted sums of a, b, their squares and their product."""
    a, b = [Fraction(x) for x in a], [Fraction(x) for x in b]
    total = {"n": Fraction(sum(w))}
    for name, values in {"a": a, "b": b}.items():
        total[name] = sum((k * x for k, x in zip(w, values, strict=True)), Fraction(0))
    for name, (x, y) in {"aa": (a, a), "bb": (b, b), "ab": (a, b)}.items():
        total[name] = sum((k * p * q for k, p, q in zip(w, x, y, strict=True)), Fraction(0))
    return total


def check_pair(meter: Meter, a: list, b: list, w: list[int] | None = None) -> None:
    """Compare the results of the pair ("a", "b") with rationals: by deviations, where the meter goes by sums."""
    w = w or [1] * len(a)
    k, s = len(a), sums(a, b, w)
    ratio, difference = meter.ratio("a", "b"), meter.difference("a", "b")
    assert ratio.n == difference.n == k
    d = [Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)]
    mean_d = sum((v * x for v, x in zip(w, d, strict=True)), Fraction(0)) / s["n"]
    assert same(difference.mean, to_double(mean_d))
    assert math.isnan(ratio.mean) if s["b"] == 0 else same(ratio.mean, to_double(s["a"] / s["b"]))
    if k < 2:
        assert all(math.isnan(x) for x in (ratio.error, difference.error, meter.covariance("a", "b")))
        return
    variance_d = sum((v * (x - mean_d) ** 2 for v, x in zip(w, d, strict=True)), Fraction(0)) / (k - 1)
    assert is_root(difference.error, variance_d / s["n"])
    if s["b"]:
        residuals = [Fraction(x) - s["a"] / s["b"] * Fraction(y) for x, y in zip(a, b, strict=True)]
        squares = sum((v * e**2 for v, e in zip(w, residuals, strict=True)), Fraction(0))
        assert is_root(ratio.error, s["n"] * squares / (k - 1) / s["b"] ** 2)
    product = s["ab"] - s["a"] * s["b"] / s["n"]
    assert same(meter.covariance("a", "b"), to_double(product / (k - 1)))
    variances = (s["aa"] - s["a"] ** 2 / s["n"]) * (s["bb"] - s["b"] ** 2 / s["n"])
    correlation = meter.correlation("a", "b")
    if variances == 0:
        assert math.isnan(correlation)
    else:
        assert is_root(abs(correlation), product**2 / variances)
        assert (correlation < 0) == (product < 0)


@ENGINES
@THOROUGH
@given(pairs=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=30))
def test_every_result_of_arrays_agrees_with_rationals(new, pairs) -> None:
    a, b = map(list, zip(*pairs, strict=True))
    meter = new(pairs=[("a", "b")])
    meter.update(a=np.array(a), b=np.array(b))
    check_pair(meter, a, b)


@ENGINES
@THOROUGH
@given(rows=st.lists(st.tuples(VALUES, VALUES, st.integers(1, 100) | st.integers(1, 2**53)), min_size=1, max_size=15))
def test_every_result_agrees_with_rationals_where_n_differs(new, rows) -> None:
    meter = new("a", "b", pairs=[("b", "a")])
    for x, y, n in rows:
        meter.update(a=x, b=y, n=n)
    check_pair(meter, *map(list, zip(*rows, strict=True)))


@ENGINES
@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.tuples(st.integers(-(2**80), 2**80), VALUES), min_size=1, max_size=9))
def test_integers_of_any_size_are_exact_in_pairs(new, rows) -> None:
    a, b = map(list, zip(*rows, strict=True))
    meter, as_lists = new(pairs=[("a", "b")]), new(pairs=[("a", "b")])
    for x, y in rows:
        meter.update(a=x, b=y)
    as_lists.update(a=a, b=np.array(b))
    check_pair(meter, a, b)
    assert as_lists.state_dict() == meter.state_dict()


def in_units(number: float) -> int:
    """Return a number in units of the smallest float64, 2**-1074: integers are added faster than fractions."""
    numerator, denominator = number.as_integer_ratio()
    return numerator * (2**1074 // denominator)


@pytest.mark.parametrize("seed", range(3))
def test_arrays_of_every_dtype_give_the_same_state_as_their_numbers(seed) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.choice([3, 17, 4100, 20_000]))
    a = [
        rng.standard_normal(size) * 10.0 ** rng.integers(-300, 300, size),
        rng.standard_normal(size).astype(np.float32) * np.float32(2.0**-140),
        rng.standard_normal(size).astype(np.float16),
        torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16),
        rng.standard_normal(size) > 0,
    ]
    integers = [rng.integers(np.iinfo(t).min, np.iinfo(t).max, size, t, True) for t in (np.int64, np.uint64, np.int8)]
    for x in a:
        for y in (*integers, a[0]):
            meters = {kind: kind(pairs=[("a", "b")]) for kind in KINDS}
            for meter in meters.values():
                meter.update(a=x, b=y)
            assert len({str(meter.state_dict()) for meter in meters.values()}) == 1
            numbers = [map(in_units, values.tolist()) for values in (x, y)]
            state = meters[KINDS[0]].state_dict()["pairs"][0]
            assert int(state["ab"], 16) == sum(p * q for p, q in zip(*numbers, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_long_arrays_of_any_range_are_exact_at_every_level(seed) -> None:
    """Arrays with blocks of moderate range, which take the vector path, and others with extremes, which do not."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(5000) * 10.0 ** rng.integers(-30, 30, 5000)
    b = rng.standard_normal(5000) * np.where(rng.random(5000) < 0.0005 * seed, 1e-300, 1.0)
    lengths = rng.integers(0, 10**6, 5000)
    meters = [kind(pairs=[("a", "b"), ("a", "length")]) for kind in KINDS]
    for meter in meters:
        meter.update(a=a, b=b, length=lengths)
    assert all(meter == meters[0] for meter in meters)
    state = meters[-1].state_dict()["pairs"]
    for each, other in zip(state, (b, lengths), strict=True):
        expected = sum(Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), other.tolist(), strict=True))
        assert Fraction(int(each["ab"], 16), 2**2148) == expected


@ENGINES
@settings(deadline=None, max_examples=50)
@given(data=st.data(), rows=st.lists(st.tuples(ANY, ANY), max_size=40))
def test_any_order_and_split_of_pairs_gives_the_same_state(new, data, rows) -> None:
    whole, parts = new(pairs=[("a", "b")]), [new(pairs=[("a", "b")])]
    whole.update(a=[x for x, _ in rows], b=[y for _, y in rows])
    rest = data.draw(st.permutations(rows))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        (batch, rest), as_floats = (rest[:size], rest[size:]), data.draw(st.booleans())
        if as_floats:
            for x, y in batch:
                parts[-1].update({"b": y, "a": x})
        else:
            parts[-1].update(b=torch.DoubleTensor([y for _, y in batch]), a=np.array([x for x, _ in batch]))
        if data.draw(st.booleans()):
            parts.append(new(pairs=[("b", "a")]))
    if not rows:
        parts[0].update(a=[], b=[])
    total = parts[0]
    for part in parts[1:]:
        total = part + total
    assert total.state_dict() == whole.state_dict()
    assert new.load(whole.state_dict()).state_dict() == whole.state_dict()


@ENGINES
def test_a_pair_with_a_nan_on_either_side_is_incomplete(new) -> None:
    a, b = [1.0, math.nan, 3.0, 4.0, 7.0], [2.0, 5.0, math.nan, 1.0, 3.0]
    strict, lenient = new(pairs=[("a", "b")]), new(pairs=[("a", "b")], nan_policy="omit")
    for meter in (strict, lenient):
        meter.update(a=a, b=np.array(b))
    check_pair(lenient, [1.0, 4.0, 7.0], [2.0, 1.0, 3.0])
    assert (lenient.ratio("a", "b").n_nan, lenient.count("a"), lenient.mean("b")) == (2, 4, 2.75)
    ratio, difference = strict.ratio("a", "b"), strict.difference("a", "b")
    values = [ratio.mean, ratio.error, difference.mean, difference.error]
    assert all(math.isnan(x) for x in (*values, strict.covariance("a", "b"), strict.correlation("a", "b")))
    assert (ratio.n, ratio.n_nan) == (3, 2)


@ENGINES
def test_raise_refuses_a_pair_with_a_nan_and_changes_nothing(new) -> None:
    meter = new(pairs=[("a", "b")], nan_policy="raise")
    meter.update(a=1.0, b=2.0)
    before = meter.state_dict()
    with pytest.raises(ValueError, match=r"b.*NaN.*raise"):
        meter.update(a=[1.0, 2.0], b=[1.0, math.nan])
    assert meter.state_dict() == before


@ENGINES
def test_an_infinity_leaves_no_error_and_an_infinite_or_unknown_value(new) -> None:
    inf = math.inf
    cases = [
        ([1.0, inf], [2.0, 4.0], inf, inf),
        ([1.0, inf], [-2.0, -4.0], -inf, inf),
        ([1.0, -inf], [2.0, 4.0], -inf, -inf),
        ([1.0, 2.0], [inf, 4.0], 0.0, -inf),
        ([1.0, inf], [inf, 4.0], math.nan, math.nan),
        ([inf, 2.0], [inf, 4.0], math.nan, math.nan),
        ([inf, -inf], [3.0, 4.0], math.nan, math.nan),
        ([1.0, inf], [1.0, -1.0], math.nan, inf),
    ]
    for a, b, ratio, difference in cases:
        meter = new(pairs=[("a", "b")])
        meter.update(a=a, b=b)
        results = [meter.ratio("a", "b"), meter.difference("a", "b")]
        assert [same(result.mean, x) for result, x in zip(results, (ratio, difference), strict=True)] == [True, True]
        n_inf = sum(math.isinf(x) or math.isinf(y) for x, y in zip(a, b, strict=True))
        assert {result.n_inf for result in results} == {n_inf}
        unknown = [*(result.error for result in results), meter.covariance("a", "b"), meter.correlation("a", "b")]
        assert all(map(math.isnan, unknown))


@ENGINES
def test_no_data_is_nan_and_a_sum_of_zero_below_the_line_too(new) -> None:
    meter = new(pairs=[("a", "b")])
    assert math.isnan(meter.ratio("a", "b").mean)
    assert meter.ratio("a", "b").n == 0
    meter.update(a=[1.0, 2.0], b=[1.0, -1.0])
    assert math.isnan(meter.ratio("a", "b").mean)
    assert math.isnan(meter.ratio("a", "b").error)
    assert meter.ratio("b", "a").mean == 0.0


@ENGINES
def test_elements_are_paired_by_position_whatever_the_layout_in_memory(new) -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3) ** 2
    meter = new(pairs=[("a", "b")])
    meter.update(a=np.asfortranarray(a), b=torch.from_numpy(b.T.copy()).T)
    meter.update(a=np.asfortranarray(a), b=b)
    check_pair(meter, [*a.ravel(), *a.ravel()], [*b.ravel(), *b.ravel()])


@ENGINES
@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"a": 1.0}, "a: got no 'b'"),
        ({"b": [1.0], "other": 2.0}, "b: got no 'a'"),
        ({"a": [1.0, 2.0], "b": [1.0]}, r"a and b are a pair: got shapes \(2,\) and \(1,\)"),
        ({"a": [1.0], "b": 1.0}, r"shapes \(1,\) and \(\)"),
        ({"a": np.ones((2, 3)), "b": torch.ones(3, 2)}, r"shapes \(2, 3\) and \(3, 2\)"),
        ({"a": [1, 2**70], "b": np.ones(3)}, r"shapes \(2,\) and \(3,\)"),
    ],
)
def test_values_that_do_not_match_are_refused_and_nothing_changes(new, values, match) -> None:
    meter = new(pairs=[("a", "b")])
    meter.update(a=[1.0, 5.0], b=[1.0, 2.0], other=1.0)
    before = meter.state_dict()
    with pytest.raises(ValueError, match=match):
        meter.update(values)
    assert meter.state_dict() == before
    meter.update(other=3.0)  # a measure that is in no pair comes by itself
    assert meter.count("other") == 2


@ENGINES
def test_a_measure_may_be_in_several_pairs(new) -> None:
    meter = new(pairs=[("a", "b"), ("c", "a")])
    meter.update(a=[1.0, 2.0, 4.0], b=[2.0, 1.0, 0.5], c=[1.0, 2.0, 4.0])
    check_pair(meter, [1.0, 2.0, 4.0], [2.0, 1.0, 0.5])
    assert (meter.correlation("a", "c"), meter.difference("c", "a").error) == (1.0, 0.0)
    with pytest.raises(KeyError, match=r"unknown pair 'b', 'c'.*\('a', 'b'\), \('a', 'c'\)"):
        meter.ratio("b", "c")
    with pytest.raises(KeyError, match=r"unknown pair 'a', 'b'.*none; declare it"):
        new().ratio("a", "b")


@ENGINES
def test_meters_with_different_pairs_do_not_merge(new) -> None:
    meter = new(pairs=[("a", "b")])
    with pytest.raises(ValueError, match=r"pairs \[\].*\[\('a', 'b'\)\]"):
        meter.merge(new())


def test_the_declaration_of_pairs_is_checked() -> None:
    with pytest.raises(ValueError, match=r"pairs: got \('a', 'a'\).*two different names"):
        Meter(pairs=[("a", "a")])
    with pytest.raises(ValueError, match=r"pairs: got \('b', 'a'\) twice"):
        Meter(pairs=[("a", "b"), ("b", "a")])
    with pytest.raises(ValueError, match=r"pairs: got \('a', 'c'\).*declared names a, b"):
        Meter("a", "b", pairs=[("a", "c")])
    with pytest.raises(TypeError, match=r"pairs: got 'ab'.*pairs of names"):
        Meter(pairs=["ab"])


@ENGINES
def test_pairs_survive_copies_resets_and_the_other_engine(new) -> None:
    meter = new("a", "b", pairs=[("a", "b")], nan_policy="omit")
    meter.update(a=[0.1, 0.2, math.nan], b=[2**70, 5, 1])
    for other in (copy.copy(meter), copy.deepcopy(meter), pickle.loads(pickle.dumps(meter)), meter.all_reduce()):
        assert other.state_dict() == meter.state_dict()
        other.update(a=1.0, b=2.0)
        assert other.ratio("a", "b").n == 3
    for kind in KINDS:
        assert kind.load(meter.state_dict()).state_dict() == meter.state_dict()
        mixed = kind(pairs=[("a", "b")], nan_policy="omit")
        mixed.merge(meter)
        assert mixed == meter
    meter.reset()
    assert meter.state_dict() == new("a", "b", pairs=[("a", "b")], nan_policy="omit").state_dict()


def by_hand() -> dict:
    """The state after (1.5, 2.0) with n = 2 and (1.0, NaN)."""
    zeros = {"nan": "0x0", "posinf": "0x0", "neginf": "0x0"}
    one = {"k": "0x1", "n": "0x2"}
    a = one | {"s1": hex(3 << 1074), "s2": hex(9 << 2147), "min": (1.5).hex(), "max": (1.5).hex()} | zeros
    b = one | {"s1": hex(4 << 1074), "s2": hex(8 << 2148), "min": (2.0).hex(), "max": (2.0).hex()} | zeros
    whole = a | {"k": "0x2", "n": "0x3", "s1": hex(4 << 1074), "s2": hex(11 << 2147), "min": (1.0).hex()}
    return {
        "format": "pyml.meter/2",
        "nan_policy": "omit",
        "measures": {"a": whole, "b": b | {"nan": "0x1"}},
        "pairs": [{"names": ["a", "b"], "a": a, "b": b, "ab": hex(6 << 2148), "nan": "0x1", "inf": "0x0"}],
    }


@ENGINES
def test_the_state_with_pairs_is_what_the_format_says(new) -> None:
    meter = new(pairs=[("b", "a")], nan_policy="omit")
    meter.update(a=1.5, b=2.0, n=2)
    meter.update(a=1.0, b=math.nan)
    assert meter.state_dict() == by_hand()
    assert new.load(by_hand()).state_dict() == by_hand()


def changed(**fields) -> dict:
    state = copy.deepcopy(by_hand())
    state["pairs"][0].update(fields)
    return state


def complete_but_different() -> dict:
    """The state of a pair with (1.5, 2.0) of n = 2 only, while its first measure has n = 3."""
    state = changed(nan="0x0")
    of_pair = state["pairs"][0]["a"]
    state["measures"]["a"] = of_pair | {"n": "0x3", "s1": hex(9 << 1073), "s2": hex(27 << 2146)}
    state["measures"]["b"]["nan"] = "0x0"
    return state


CORRUPTED = {
    "no pairs": ({key: value for key, value in by_hand().items() if key != "pairs"}, "pairs of type NoneType"),
    "a field is missing": (by_hand() | {"pairs": [{"names": ["a", "b"]}]}, r"got \['names'\].*exactly names, a, b, ab"),
    "unsorted": (changed(names=["b", "a"]), "sorted"),
    "one name": (changed(names=["a"]), "two strings"),
    "twice": (by_hand() | {"pairs": by_hand()["pairs"] * 2}, "each pair once"),
    "text": (changed(ab="6"), "'a', 'b'.*ab '6'.*hex string"),
    "negative": (changed(nan="-0x1"), "count is negative"),
    "observations": (changed(nan="0x2"), "differ in their observations"),
    "counts": (
        changed(b=by_hand()["pairs"][0]["b"] | {"n": "0x3", "s1": hex(6 << 1074), "s2": hex(12 << 2148)}),
        "differ in their counts",
    ),
    "complete": (complete_but_different(), "no observation is incomplete, yet"),
    "outside": (
        changed(a=by_hand()["pairs"][0]["b"], ab=hex(8 << 2148)),  # 2.0, where the measure has 1.5 and 1.0
        "a value of the pair lies outside its measure",
    ),
    "nan": (changed(a=by_hand()["pairs"][0]["a"] | {"nan": "0x1"}), "complete observation has a NaN"),
    "infinity": (changed(inf="0x1"), "infinities does not fit"),
    "large": (changed(ab=hex(2**4300)), "ab is larger"),
    "Cauchy and Schwarz": (changed(ab=hex(7 << 2148)), "sums of squares"),
    "measure": (changed(a=by_hand()["pairs"][0]["a"] | {"s2": "0x1"}), "'a', 'b': a: s2 is smaller"),
}


@ENGINES
@pytest.mark.parametrize("kind", CORRUPTED)
def test_a_corrupt_state_of_pairs_is_refused_with_the_reason(new, kind) -> None:
    state, match = CORRUPTED[kind]
    with pytest.raises(ValueError, match=match):
        new.load(state)


@ENGINES
def test_flush_to_zero_changes_no_product(new) -> None:
    a, b = np.array([5e-324, 2.0**-1040, 1.0] * 50), np.array([1e-45, 3e-42, 2.0**-130] * 50, np.float32)
    plain, flushed = new(pairs=[("a", "b")]), new(pairs=[("a", "b")])
    plain.update(a=a, b=b)
    expected = plain.state_dict(), plain.ratio("a", "b")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no flush-to-zero mode")
    try:
        flushed.update(a=a, b=b)
        result = flushed.state_dict(), flushed.ratio("a", "b")
    finally:
        torch.set_flush_denormal(False)
    assert result == expected


@ENGINES
def test_the_error_of_a_ratio_is_that_of_a_textbook_formula(new) -> None:
    """By NumPy, from the residuals: bits per byte of 200 documents of unequal length."""
    rng = np.random.default_rng(1)
    n_bytes = rng.integers(50, 5000, 200)
    bits = n_bytes * rng.normal(1.1, 0.2, 200)
    meter = new(pairs=[("bits", "bytes")])
    meter.update(bits=bits, bytes=n_bytes)
    ratio = bits.sum() / n_bytes.sum()
    error = np.sqrt(np.sum((bits - ratio * n_bytes) ** 2) / 199 / 200) / n_bytes.mean()
    result = meter.ratio("bits", "bytes")
    assert (result.mean, result.error) == (pytest.approx(ratio, rel=1e-13), pytest.approx(error, rel=1e-11))
    assert meter.covariance("bits", "bytes") == pytest.approx(np.cov(bits, n_bytes)[0, 1], rel=1e-12)
    assert meter.correlation("bytes", "bits") == pytest.approx(np.corrcoef(bits, n_bytes)[0, 1], rel=1e-12)
