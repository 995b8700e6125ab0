"""What a meter takes, at its exact value, and what it refuses; for every engine."""

import array
import datetime
import decimal
import enum
import fractions
import math
import warnings
from types import MappingProxyType

import numpy as np
import pytest
import torch
from meter_reference import ENGINES, check

from core.meter import engines
from core.utils.meters import Meter

FLOATS = [0.1, -2.5, 0.0, 1e-40, 6.1e-5, -65504.0, 3.0]
FLOAT_DTYPES = [np.float16, np.float32, np.float64]
INTEGER_DTYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


class Level(enum.IntEnum):
    HIGH = 3


@ENGINES
@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, 0.1),
        (7, 7),
        (True, 1),
        (2**53 + 1, 2**53 + 1),
        (-(2**64) + 1, 1 - 2**64),
        (2**1024 - 1, 2**1024 - 1),
        (-(2**1024) + 1, 1 - 2**1024),
        (Level.HIGH, 3),
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.1), float(np.float16(0.1))),
        (np.bool_(True), 1),
        (np.int64(-(2**63)), -(2**63)),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.array(0.1), 0.1),
        (np.array(2**63 + 1, np.uint64), 2**63 + 1),
        (torch.tensor(0.1), float(np.float32(0.1))),
        (torch.tensor(0.1, dtype=torch.bfloat16), 0.10009765625),
        (torch.tensor(0.1, requires_grad=True) * 1.0, float(np.float32(0.1))),
        (torch.tensor(2**63 - 1), 2**63 - 1),
        (torch.tensor(True), 1),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}"[:40],
)
@pytest.mark.parametrize("n", [1, 3, 2**53, np.int8(5), torch.tensor(4)])
def test_a_scalar_is_taken_at_its_exact_value(new, value, exact, n) -> None:
    meter = new()
    meter.update(x=value, n=n)
    meter.update(x=2.0)
    check(meter, "x", [exact, 2.0], [int(n), 1])


@ENGINES
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_scalars_that_are_not_finite_are_counted_as_such(new, dtype) -> None:
    meter = new(nan_policy="omit")
    for value in (dtype("inf"), dtype("-inf"), dtype("nan"), -dtype("nan"), np.array(dtype("inf"))):
        meter.update(x=value, n=2)
    assert (meter.count("x"), meter.n_samples("x"), meter.nan_count("x")) == (3, 6, 2)
    assert (meter.min("x"), meter.max("x"), meter.result("x").n_inf) == (-math.inf, math.inf, 3)
    meter.update(y=torch.tensor(math.inf, dtype=torch.bfloat16))
    assert meter.mean("y") == math.inf


@ENGINES
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("size", [0, 1, 7, 3000])
def test_float_arrays_are_taken_at_their_exact_values(new, dtype, size) -> None:
    values = np.resize(np.array(FLOATS, dtype), size)
    meter = new()
    meter.update(x=values)
    check(meter, "x", values.tolist())


@ENGINES
@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_integer_arrays_are_taken_at_their_exact_values(new, dtype) -> None:
    info = np.iinfo(dtype)
    values = np.array([info.min, info.max, info.max - 1, 0, 1, 100] * 700, dtype)
    meter = new()
    meter.update(x=values)
    check(meter, "x", [int(value) for value in values])


@ENGINES
def test_bools_count_as_ones_and_zeros(new) -> None:
    meter = new()
    meter.update(x=np.array([True, False, True]), y=torch.tensor([True, True, False]), z=[True, False, True])
    for name in "xyz":
        check(meter, name, [1, 0, 1])


@ENGINES
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint16])
def test_layout_and_byte_order_do_not_matter(new, dtype) -> None:
    base = (np.arange(3 * 40 * 50) % 997).astype(dtype).reshape(3, 40, 50)
    packed = np.zeros(100, np.dtype([("pad", np.int8), ("x", dtype)]))
    packed["x"] = base.ravel()[:100]
    read_only = base.copy()
    read_only.flags.writeable = False
    layouts = {
        "c": base,
        "fortran": np.asfortranarray(base),
        "transposed": base.transpose(1, 2, 0),
        "strided": base[:, ::3, 1::2],
        "reversed": base[::-1, ::-2],
        "broadcast": np.broadcast_to(base[0, 0], (4, 50)),
        "swapped": base.astype(base.dtype.newbyteorder("S")),
        "swapped strided": base.astype(base.dtype.newbyteorder("S"))[:, ::2],
        "unaligned": packed["x"],
        "read only": read_only,
        "empty": base[:0],
        "one": base[:1, :1, :1],
        "record array": np.rec.array(base),
        "memoryview": memoryview(base),
    }
    for layout, values in layouts.items():
        meter, flat = new(), new()
        meter.update(x=values)
        flat.update(x=np.asarray(values).ravel().astype(dtype).tolist())
        assert meter.state_dict() == flat.state_dict(), layout
        assert meter.count("x") == np.asarray(values).size


@ENGINES
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "bool", *INTEGER_DTYPES])
def test_tensors_of_every_dtype_and_layout(new, dtype) -> None:
    numbers = [[0, 1, 3, 100], [5, 6, 7, 9]] if "float" not in dtype else [[0.1, 1e-3, 7.0, 100.0], [5.5, -6, 7, 0]]
    tensor = torch.tensor(numbers).to(getattr(torch, dtype))
    for each in (tensor, tensor.T, tensor[:, ::2], tensor[:0], tensor.expand(2, 2, 4)):
        meter = new()
        meter.update(x=each)
        check(meter, "x", [int(x) if dtype == "uint64" else x for x in each.flatten().tolist()])


@ENGINES
def test_tensors_that_require_grad_or_are_conjugate_views_are_read(new) -> None:
    meter = new()
    meter.update(x=torch.ones(3, requires_grad=True) * 2, y=torch.tensor([1 + 2j, 3 - 4j]).conj().imag)
    check(meter, "x", [2.0] * 3)
    check(meter, "y", [-2.0, 4.0])


class Column:
    """What a data frame's column looks like to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values)


@ENGINES
def test_buffers_lists_and_array_likes(new) -> None:
    for values in (
        array.array("d", [0.1, 2.0]),
        array.array("f", [0.5, 2.0]),
        array.array("Q", [2**64 - 1, 1]),
        memoryview(array.array("i", [1, -2])),
        memoryview(np.arange(6.0).reshape(2, 3))[::1],
        [0.1, 2.0],
        (0.1, 2.0),
        [1, 2.5, True, 2**70],
        [2**53 + 1, 0.5],
        [np.float32(0.5), torch.tensor(1.5), np.array(2.0), 3],
        [],
        Column([1.5, 2.0]),
    ):
        meter = new()
        meter.update(x=values)
        flat = np.asarray(values).ravel().tolist() if isinstance(values, Column | memoryview) else list(values)
        check(meter, "x", [x if isinstance(x, int) else float(x) for x in flat])


@ENGINES
def test_any_mapping_will_do(new) -> None:
    meter = new()
    meter.update(MappingProxyType({"x": 1.0}))
    assert meter.count("x") == 1


def sparse():
    return torch.tensor([1.0, 0.0]).to_sparse()


def unicode_array(text: str) -> "array.array[str]":
    """Return an array of type code "u", of which Python 3.13 warns that 3.16 will not have it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return array.array("u", text)


REFUSED = {
    "complex": (1j, r"complex.*abs"),
    "complex array": (np.ones(2, complex), r"complex128.*\(2,\).*abs"),
    "complex scalar": (np.complex64(1), r"complex64.*abs"),
    "str": ("0.3", r"str.*float\(x\)"),
    "bytes": (b"0.3", r"bytes.*float\(x\)"),
    "bytearray": (bytearray(b"0.3"), "bytearray"),
    "None": (None, r"None.*leave"),
    "longdouble": (np.longdouble(1), r"longdouble.*astype\(float\)"),
    "longdouble array": (np.ones(2, np.longdouble), r"astype\(float\)"),
    "Decimal": (decimal.Decimal("0.1"), r"Decimal.*float\(x\)"),
    "Fraction": (fractions.Fraction(1, 3), r"Fraction.*float\(x\)"),
    "object array": (np.array([1.0, None]), r"object.*\(2,\).*astype"),
    "masked": (np.ma.array([1.0, 2.0], mask=[0, 1]), r"masked.*compressed"),
    "masked constant": (np.ma.masked, "masked"),
    "datetime64": (np.datetime64("2020-01-01"), "datetime64.*subtract"),
    "timedelta64": (np.array([1], "timedelta64[s]"), "timedelta64.*divide"),
    "datetime": (datetime.datetime(2020, 1, 1), "datetime.*total_seconds"),
    "timedelta": (datetime.timedelta(1), "timedelta.*total_seconds"),
    "string array": (np.array(["a"]), "U1.*convert"),
    "bytes array": (np.array([b"a"]), "S1.*convert"),
    "structured": (np.zeros(2, [("a", "f8")]), "each field"),
    "sparse tensor": (sparse(), r"sparse.*to_dense"),
    "meta tensor": (torch.empty(2, device="meta"), "meta"),
    "complex tensor": (torch.ones(2, dtype=torch.complex64), r"complex64.*abs"),
    "float8 tensor": (torch.ones(2).to(torch.float8_e5m2), r"float8.*float\(\)"),
    "dict": ({"a": 1.0}, "dict.*measure of its own"),
    "set": ({1.0}, r"set.*list\(x\)"),
    "generator": ((x for x in [1.0]), r"generator.*list\(x\)"),
    "unicode array.array": (unicode_array("ab"), "array"),
    "nested list": ([1.0, [2.0]], r"\[1\].*list.*numbers"),
    "list of arrays": ([np.ones(2)], r"\[0\].*ndarray.*numbers"),
    "list with None": ([1.0, None], r"\[1\].*None"),
    "list with str": ([1.0, "a"], r"\[1\].*str"),
    "class": (np.ndarray, "type"),
    "object": (object(), "object"),
}


@ENGINES
@pytest.mark.parametrize("kind", REFUSED)
def test_other_values_are_refused_with_what_to_do_and_nothing_changes(new, kind) -> None:
    value, match = REFUSED[kind]
    meter = new()
    meter.update(loss=[1.0, 2.0], accuracy=0.5)
    before = meter.state_dict()
    with pytest.raises(TypeError, match=rf"accuracy.*{match}"):
        meter.update(loss=3.0, fresh=[1.0], accuracy=value)
    with pytest.raises(TypeError, match=rf"accuracy.*{match}"):
        meter.update({"loss": 3.0, "accuracy": value})
    assert meter.state_dict() == before


def test_scipy_sparse_is_refused_with_what_to_do() -> None:
    from scipy import sparse as scipy_sparse

    with pytest.raises(TypeError, match=r"x: got a csr_array.*toarray"):
        Meter().update(x=scipy_sparse.csr_array(np.eye(2)))


@pytest.mark.filterwarnings("ignore:.*[Qq]uantiz")
def test_quantised_tensors_are_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"x: got a tensor of torch.qint8.*dequantize"):
        Meter().update(x=torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8))


@ENGINES
@pytest.mark.parametrize("value", [2**1024, -(2**1024), [1, 2**1024], 10**1000])
def test_integers_beyond_the_doubles_are_refused(new, value) -> None:
    with pytest.raises(ValueError, match=r"x.*bits.*2\*\*1024"):
        new().update(x=value)


@ENGINES
@pytest.mark.parametrize(
    ("n", "fault", "match"),
    [
        (0, ValueError, "n=0"),
        (-3, ValueError, "n=-3"),
        (2**53 + 1, ValueError, r"2\*\*53"),
        (2**200, ValueError, r"2\*\*53"),
        (2.0, TypeError, "2.0.*float"),
        (True, TypeError, "True.*bool"),
        (np.bool_(True), TypeError, "bool"),
        (None, TypeError, "None"),
        ("3", TypeError, "'3'.*str"),
        (np.array([2, 3]), TypeError, "ndarray.*positive integer"),
        (torch.tensor(2.5), TypeError, "Tensor.*positive integer"),
    ],
    ids=str,
)
def test_an_n_that_is_no_count_is_refused(new, n, fault, match) -> None:
    meter = new()
    meter.update(loss=1.0)
    before = meter.state_dict()
    with pytest.raises(fault, match=f"loss.*{match}"):
        meter.update(loss=2.0, n=n)
    with pytest.raises(fault, match=f"loss.*{match}"):
        meter.update(loss=[2.0], n=n)
    assert meter.state_dict() == before


@ENGINES
@pytest.mark.parametrize(
    "value", [np.ones(3), np.ones(1), [1.0, 2.0], [1, 2**70], torch.ones(2), array.array("d", [1.0]), np.ones((2, 0))]
)
def test_an_array_with_n_is_refused(new, value) -> None:
    meter = new()
    meter.update(x=value, n=1)
    before = meter.state_dict()
    with pytest.raises(ValueError, match=r"x.*n=32.*drop n"):
        meter.update(y=1.0, x=value, n=32)
    assert meter.state_dict() == before


@ENGINES
def test_names_of_a_subclass_of_str_are_plain_strings_inside(new) -> None:
    meter = new(np.str_("x"))
    meter.update({np.str_("x"): 1.0})
    meter.update(x=2.0)
    assert meter.count(np.str_("x")) == 2
    assert [type(name) for name in meter.results()] == [str]


@ENGINES
def test_names_are_checked(new) -> None:
    meter = new()
    with pytest.raises(TypeError, match=r"3.*int.*str"):
        meter.update({3: 1.0})
    with pytest.raises(TypeError, match=r"x.*in the mapping.*keyword"):
        meter.update({"x": 1.0}, x=2.0)
    with pytest.raises(TypeError, match=r"float without a name"):
        meter.update(1.0)
    with pytest.raises(TypeError, match="positional"):
        meter.update({"x": 1.0}, {"y": 1.0})
    assert meter.results() == {}


@ENGINES
def test_a_float_subclass_counts_as_its_value(new) -> None:
    class Loud(float):
        def __float__(self):
            raise AssertionError("not to be called")

    meter = new()
    meter.update(x=Loud(0.1))
    meter.update(x=[Loud(0.2), 1.0])
    check(meter, "x", [0.1, 0.2, 1.0])


@ENGINES
def test_what_does_not_convert_is_refused_with_its_own_reason(new) -> None:
    class OnItsDevice:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("use .get() for a copy")

    meter = new()
    with pytest.raises(TypeError, match=r"x: got an OnItsDevice.*use \.get\(\)"):
        meter.update(x=OnItsDevice())
    with pytest.raises(TypeError, match=r"x: got a Tensor.*does not convert"):
        torch.func.vmap(lambda x: meter.update(x=x))(torch.ones(2))
    assert meter.results() == {}


@ENGINES
def test_an_error_from_a_value_itself_comes_through_and_changes_nothing(new) -> None:
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise OSError("the disk is gone")

    meter = new()
    with pytest.raises(OSError, match="disk"):
        meter.update(x=1.0, y=Broken())
    assert meter.results() == {}
    assert math.isnan(Meter("x").mean("x"))


@ENGINES
@pytest.mark.parametrize("wrap", [lambda x: x, torch.from_numpy], ids=["array", "tensor"])
def test_bools_whose_bytes_are_neither_0_nor_1_are_true(new, wrap) -> None:
    flags = np.array([0, 255, 2, 1], np.uint8).view(np.bool_)
    meter = new(pairs=[("x", "y")])
    meter.update(x=wrap(flags), y=wrap(flags))
    meter.update(x=wrap(flags)[1], y=wrap(flags)[2])
    assert (meter.mean("x"), meter.max("y"), meter.count("x")) == (0.8, 1.0, 5)
    assert meter.ratio("x", "y").mean == 1.0


@pytest.mark.parametrize("engine", engines.available())
def test_messages_about_wrong_arguments_are_short_and_name_no_internals(engine: str) -> None:
    meter = Meter(engine=engine)
    with pytest.raises(TypeError, match=r"x: got n=array.{,60} \(ndarray\); accepted: a positive integer"):
        meter.update(x=1.0, n=np.arange(0.5, 900.0))
    with pytest.raises(TypeError, match=r"^update\(\) takes (at most|from 0 to) 1 positional argument"):
        meter.update({}, {})  # type: ignore[call-arg] # what is tested
