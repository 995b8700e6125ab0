"""Scalars and lists of NumPy and PyTorch, on the C++ engine's short path as on the general one."""

import math

import numpy as np
import pytest
import torch
from meter_reference import ENGINES

SCALARS = [
    np.float16(2**-24),
    np.float32(0.1),
    np.float32(1e-45),
    np.float64(0.1),
    np.float32("inf"),
    np.int8(-3),
    np.uint8(255),
    np.int32(-(2**31)),
    np.int64(2**53),
    np.int64(2**53 + 1),
    np.int64(-(2**53) - 1),
    np.int64(2**63 - 1),
    np.uint64(2**64 - 1),
    np.bool_(True),
    *(torch.tensor(0.1, dtype=dtype) for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)),
    torch.tensor(1e-45),
    torch.nn.Parameter(torch.tensor(0.25)),
    torch.tensor(2.0, requires_grad=True) * 3,
    torch.tensor(2**63 - 1),
    torch.tensor(2**53 + 1),
    torch.tensor(True),
    torch.tensor([1.0, 2.0])[1],
    torch.tensor([0.5]),
    torch.tensor(1 + 2j).conj().imag,  # its memory holds 2, and it is -2
]


@ENGINES
@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_scalar_is_taken_at_its_exact_value(new, scalar) -> None:
    meter, expected = new("x", "y"), new("x", "y")
    meter.update(x=scalar)
    meter.update({"y": scalar})
    value = scalar.item()
    expected.update(x=value, y=value)
    assert meter.state_dict() == expected.state_dict()


@ENGINES
def test_a_scalar_with_n_counts_as_n_samples(new) -> None:
    meter = new("x")
    meter.update(x=np.float32(0.5), n=3)
    meter.update(x=torch.tensor(1.5), n=1)
    assert (meter.n_samples("x"), meter.mean("x")) == (4, 0.75)
    with pytest.raises(ValueError, match=r"x.*n=2.*drop n"):
        meter.update(x=torch.tensor([1.5]), n=2)
    with pytest.raises(ValueError, match=r"x.*n=2.*drop n"):
        meter.update(x=[np.float32(1.5)], n=2)


@ENGINES
def test_a_nan_scalar_is_refused_under_raise(new) -> None:
    meter = new("x", nan_policy="raise")
    for value in (np.float32("nan"), torch.tensor(math.nan), [1.0, math.nan], (np.float16("nan"),)):
        with pytest.raises(ValueError, match=r"x.*1 NaN"):
            meter.update(x=value)
    assert meter.count("x") == 0


@ENGINES
@pytest.mark.parametrize("wrap", [list, tuple])
def test_a_list_of_scalars_is_an_observation_for_each(new, wrap) -> None:
    items = wrap([0.1, np.float32(0.1), 3, True, np.int64(-7), np.float16(0.5), -0.0, math.nan, math.inf] * 30)
    meter, expected = new("x"), new("x")
    meter.update(x=items)
    meter.update(x=wrap([]))
    for item in items:
        expected.update(x=item)
    assert meter.state_dict() == expected.state_dict()


@ENGINES
def test_a_list_with_one_bad_item_changes_nothing(new) -> None:
    meter = new("x", "y")
    with pytest.raises(TypeError, match=r"x\[2\].*str"):
        meter.update(y=1.0, x=[1.0, np.float32(2), "3"])
    assert meter.count("x") == meter.count("y") == 0


@ENGINES
@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(1j),
        torch.empty((), device="meta"),
        torch.tensor(1.0).to_sparse(),
        torch.tensor(1.0).to(torch.float8_e4m3fn),
    ],
    ids=repr,
)
def test_a_0_d_tensor_that_is_no_real_number_is_refused(new, tensor) -> None:
    meter = new("x")
    with pytest.raises(TypeError, match=r"x: got a tensor of torch\."):
        meter.update(x=tensor)
    assert meter.count("x") == 0
