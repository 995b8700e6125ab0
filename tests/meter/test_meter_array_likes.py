"""Columns and arrays of other libraries: taken exactly, or refused; for every engine."""

import math

import numpy as np
import pytest
import torch
from meter_reference import ENGINES, check

from core.meter.inputs import OnDevice, standard

BIG = 2**53 + 1  # the smallest positive integer that float64 cannot hold


class Column:
    """A column of integers that converts as those of pandas, Polars and Arrow do: a null makes it float64."""

    def __init__(self, values, dtype="Int64", nulls_become=np.float64):
        self.values, self.dtype, self.nulls_become = values, dtype, nulls_become

    def __array__(self, dtype=None, copy=None):
        if None not in self.values:
            return np.array(self.values)
        if self.nulls_become is object:
            return np.array(self.values, object)
        return np.array([math.nan if value is None else value for value in self.values], self.nulls_become)


class Exported:
    """An object that offers its values by the DLPack protocol only."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@ENGINES
@pytest.mark.parametrize("dtype", ["Int64", "int64", "UInt64", "int64[pyarrow]"])
def test_integers_that_nulls_have_rounded_are_refused(new, dtype) -> None:
    meter = new()
    meter.update(x=Column([BIG, 1], dtype))
    check(meter, "x", [BIG, 1])
    for values in ([BIG, None], [None, 2**53], [-(2**53) - 1, None]):
        with pytest.raises(TypeError, match=r"x: got a Column of integers that convert to float64, which rounds.*drop"):
            meter.update(y=1.0, x=Column(values, dtype))
    with pytest.raises(TypeError, match=r"x: got a Column of integers that convert to objects.*drop the nulls"):
        meter.update(x=Column([1, None], dtype, object))
    assert meter.names() == ["x"]


@ENGINES
def test_nulls_beside_integers_that_float64_holds_are_nan(new) -> None:
    meter = new(nan_policy="omit")
    meter.update(x=Column([2**53 - 1, None, -7]), y=Column([1e300, None], "interval[int64]"))
    assert (meter.nan_count("x"), meter.sum("x"), meter.max("y")) == (1, 2.0**53 - 8, 1e300)


@ENGINES
def test_columns_of_pandas(new) -> None:
    pandas = pytest.importorskip("pandas")
    meter = new(nan_policy="omit")
    meter.update(x=pandas.Series([BIG, 1], dtype="Int64"), y=pandas.Series([0.1, None], dtype="Float64"))
    assert (meter.sum("x"), meter.mean("y"), meter.nan_count("y")) == (float(BIG + 1), 0.1, 1)
    for refused in (
        pandas.Series([BIG, None], dtype="Int64"),
        pandas.array([BIG, None], dtype="Int64"),
        pandas.DataFrame({"a": [BIG, None]}, dtype="Int64"),
        pandas.DataFrame({"a": [BIG, 2], "b": [0.5, 1.0]}),
    ):
        with pytest.raises(TypeError, match=r"z: got .* of integers that convert to"):
            meter.update(z=refused)


@ENGINES
def test_columns_of_polars(new) -> None:
    polars = pytest.importorskip("polars")
    meter = new(nan_policy="omit")
    meter.update(x=polars.Series([BIG, 1]), y=polars.Series([3, None]))
    assert (meter.sum("x"), meter.mean("y"), meter.nan_count("y")) == (float(BIG + 1), 3.0, 1)
    for refused in (polars.Series([BIG, None]), polars.DataFrame({"a": [BIG, 2], "b": [0.5, None]})):
        with pytest.raises(TypeError, match=r"z: got a .* of integers that convert to float64"):
            meter.update(z=refused)


@ENGINES
def test_objects_with_dlpack_only_are_read(new) -> None:
    meter = new(pairs=[("x", "y")])
    meter.update(x=Exported(torch.tensor([0.1, 2.5, 3.0, 4.0])), y=torch.ones(4))
    meter.update(z=Exported(torch.tensor([0.1, 2.0], dtype=torch.bfloat16)))  # a dtype that NumPy lacks
    meter.update(x=Exported(torch.tensor(7)), y=1.0)
    check(meter, "x", [float(np.float32(0.1)), 2.5, 3.0, 4.0, 7])
    check(meter, "z", [0.10009765625, 2.0])


@ENGINES
def test_an_object_whose_dlpack_fails_is_refused_with_the_reason(new) -> None:
    class Broken(Exported):
        def __dlpack__(self, **options):
            raise BufferError("no memory to share")

    with pytest.raises(TypeError, match=r"x: got a Broken.*no memory to share"):
        new().update(x=Broken(torch.ones(2)))


@ENGINES
def test_an_array_that_refuses_numpy_is_read_by_dlpack(new) -> None:
    class OnDeviceOnly(Exported):
        def __array__(self, dtype=None, copy=None):
            raise TypeError("use .get() for a copy")

    meter = new()
    meter.update(x=OnDeviceOnly(torch.tensor([1.0, 2.0])))
    check(meter, "x", [1.0, 2.0])


class CudaTensor(torch.Tensor):
    """A CPU tensor that says it is on a CUDA device."""

    @property
    def is_cuda(self) -> bool:
        return True

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def on_device(value, dtype=torch.float32) -> CudaTensor:
    return torch.tensor(value, dtype=dtype).as_subclass(CudaTensor)


def test_a_list_of_0_d_cuda_tensors_is_one_array_on_the_device() -> None:
    taken = standard("x", [on_device(0.1), on_device(2.0), on_device(3.0)])
    assert isinstance(taken, OnDevice)
    assert taken.tensor.tolist() == [float(np.float32(0.1)), 2.0, 3.0]


@ENGINES
def test_a_list_of_cuda_tensors_and_other_numbers_is_read_exactly(new) -> None:
    meter = new()
    meter.update(x=[on_device(0.1), 2**70, on_device(BIG, torch.int64), on_device(1.5, torch.float64)])
    check(meter, "x", [float(np.float32(0.1)), 2**70, BIG, 1.5])
    with pytest.raises(TypeError, match=r"x\[1\].*CudaTensor.*numbers"):
        meter.update(x=[1.0, on_device([1.0, 2.0])])
