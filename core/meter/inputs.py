"""Converts the values that a meter accepts, exactly, to a few standard forms; refuses all others with advice."""

import array
import operator
import reprlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.meter.array_likes import convert, is_array_like
from core.meter.blocks import Blocks, flat, native_dtype
from core.meter.exact import BFLOAT16, scalar
from core.meter.refusals import DTYPE_WAYS, kind, refusal, way_out, with_article

if TYPE_CHECKING:
    import torch

INTEGER_BITS = 1024  #: Integers are accepted below 2**1024, where the range of doubles ends.
MOST_SAMPLES = 2**53  #: The largest ``n`` of one update.

_EXACT_AS_FLOAT = 2**53  # up to here every integer equals a double
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_TENSOR_DTYPES = ["bfloat16", "float16", "float32", "float64", "bool", *_INTEGERS]


@dataclass(frozen=True, slots=True)
class OnDevice:
    """A CUDA tensor whose values have not been copied to the host yet."""

    tensor: "torch.Tensor"


#: A float; an int that no double equals; a list of these; a flat, aligned array in native byte order with a dtype that
#: :func:`core.meter.exact.measure_array` accepts; blocks of such arrays; or a tensor on a CUDA device.
Standard: TypeAlias = float | int | list[float | int] | NDArray[Any] | Blocks | OnDevice


def standard(name: str, value: object, *, keeps_order: bool = False) -> Standard:
    """Return a value in one of the standard forms, exactly.

    Args:
        name: The measure, for error messages.
        value: The value as the caller passed it.
        keeps_order: Whether the elements of an array stay in C order, as a pair of arrays needs it. Otherwise they come
            in the order of memory, which may save a copy.

    Raises:
        TypeError: ``value`` is neither a real number nor a collection of real numbers.
        ValueError: ``value`` is an integer of magnitude 2**1024 or more.
    """
    if isinstance(value, float):
        # Not float(value): a subclass may define a __float__ of its own, which is not the stored number.
        return float.__float__(value)
    if isinstance(value, int):
        return _integer(name, value)
    if isinstance(value, np.ndarray | np.generic):
        return _from_numpy(name, value, keeps_order=keeps_order)
    # Only a caller that has imported torch can pass a tensor, so the meter need not import it.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _from_tensor(name, value, keeps_order=keeps_order)
    if isinstance(value, list | tuple):
        return _from_list(name, value)
    # The arrays of the typecodes "u" and "w" hold characters.
    if isinstance(value, memoryview) or (isinstance(value, array.array) and value.typecode not in "uw"):
        return _from_numpy(name, np.asarray(value), keeps_order=keeps_order)
    if is_array_like(value):
        return standard(name, convert(name, value), keeps_order=keeps_order)
    raise refusal(name, kind(value), way_out(value))


def weight(n: object, names: Iterable[str]) -> int:
    """Return ``n``, the number of samples that each value of an update is the mean of, as an int.

    Raises:
        TypeError: ``n`` is not an integer.
        ValueError: ``n`` is below 1 or above 2**53.
    """
    try:
        if isinstance(n, bool | np.bool_):
            raise TypeError
        w = operator.index(n)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{_listed(names)}: got n={reprlib.repr(n)} ({type(n).__name__}); "
            "accepted: a positive integer, the number of samples that each value is the mean of"
        ) from None
    if not 1 <= w <= MOST_SAMPLES:
        raise ValueError(f"{_listed(names)}: got n={w}; accepted: from 1 to 2**53")
    return w


def _integer(name: str, value: int) -> float | int:
    value = int(value)
    if -_EXACT_AS_FLOAT <= value <= _EXACT_AS_FLOAT:
        return float(value)
    if value.bit_length() > INTEGER_BITS:
        raise ValueError(f"{name}: got an integer of {value.bit_length()} bits; accepted: below 2**{INTEGER_BITS}")
    return value


def _from_numpy(name: str, value: "NDArray[Any] | np.generic", *, keeps_order: bool) -> Standard:
    # np.asarray would drop the mask, and masked values would be summed.
    if isinstance(value, np.ma.MaskedArray):
        raise refusal(name, "a masked array", "pass x.compressed(), or x.filled(nan) with nan_policy='omit'")
    values = np.asarray(value)
    dtype = values.dtype
    if dtype.kind not in "biuf" or dtype.char == "g":  # "g" is longdouble, which may hold more bits than a double
        shape = f" of shape {values.shape}" if values.ndim else ""
        raise refusal(name, f"{with_article(type(value).__name__)} of dtype {dtype}{shape}", DTYPE_WAYS[dtype.kind])
    return _plain(name, values, keeps_order=keeps_order)


def _plain(name: str, values: NDArray[Any], *, keeps_order: bool) -> Standard:
    """Return a 0-d array as a scalar, and any other as a flat array or as blocks."""
    if not values.ndim:
        number = scalar(values.astype(native_dtype(values)).reshape(1))
        return number if isinstance(number, float) else _integer(name, number)
    return flat(values, keeps_order=keeps_order)


def _from_tensor(name: str, tensor: "torch.Tensor", *, keeps_order: bool) -> Standard:
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    advice = None
    if tensor.is_quantized:
        advice = "pass x.dequantize()"
    elif tensor.is_meta:
        advice = "a meta tensor has no values; create it on a real device"
    elif tensor.is_nested or tensor.layout != torch.strided:
        advice = "pass x.to_dense(), or x.values() for the stored values only"
    elif dtype not in _TENSOR_DTYPES:
        advice = "pass x.real, x.imag or x.abs()" if tensor.is_complex() else "convert it, as by x.float()"
    if advice is not None:
        came = f"a tensor of {tensor.dtype}, layout {tensor.layout}, on {tensor.device}"
        raise refusal(name, came, advice)
    values = tensor.detach()
    if _is_freed(values):
        raise refusal(name, kind(tensor), "its storage has been freed or shrunk; read it before that, or gather it")
    if values.is_cuda:
        return OnDevice(values)
    values = values.cpu().resolve_neg()  # no copy for a tensor in CPU memory
    try:
        if values.dtype == torch.bfloat16:  # NumPy has no such type, so its bits travel as integers
            values_of_bits = values.view(torch.int16).numpy().view(BFLOAT16)
            return _plain(name, values_of_bits, keeps_order=keeps_order)
        return _plain(name, values.numpy(), keeps_order=keeps_order)
    except RuntimeError as fault:  # a tensor without memory, such as one inside torch.func.vmap
        raise refusal(name, kind(tensor), f"it does not convert to a NumPy array: {fault}") from fault


def _is_freed(tensor: "torch.Tensor") -> bool:
    """Return whether the storage is too small: libraries that shard parameters free it while they are not in use."""
    try:
        n_bytes = tensor.untyped_storage().nbytes()
    except NotImplementedError:  # inside torch.func.vmap, which has its own refusal
        return False
    last = tensor.numel() - 1
    if last >= 0 and not tensor.is_contiguous():
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return last >= 0 and n_bytes < (tensor.storage_offset() + last + 1) * tensor.element_size()


def _from_list(name: str, items: "list[object] | tuple[object, ...]") -> Standard:
    # The exact type, not isinstance: see standard() for subclasses of float.
    if {*map(type, items)} <= {float}:
        return np.array(items, np.float64)
    numbers = [_item(f"{name}[{i}]", item) for i, item in enumerate(items)]
    on_device = [number.tensor for number in numbers if isinstance(number, OnDevice)]
    if on_device and len(on_device) == len(numbers) and len({(each.dtype, each.device) for each in on_device}) == 1:
        import torch

        # One copy for the whole list. To copy each item, the host would have to wait for the device once per item.
        return OnDevice(torch.stack(on_device))
    read = [_on_host(number) for number in numbers]
    return np.array(read, np.float64) if all(isinstance(number, float) for number in read) else read


def _item(where: str, item: object) -> float | int | OnDevice:
    number = standard(where, item)
    if isinstance(number, float | int) or (isinstance(number, OnDevice) and not number.tensor.ndim):
        return number
    raise TypeError(f"{where}: got {kind(item)}; accepted in a list: numbers; join the items into one array or tensor")


def _on_host(number: float | int | OnDevice) -> float | int:
    """Return an item of a list as a number; the host waits for a device."""
    if isinstance(number, OnDevice):
        number = standard("", number.tensor.cpu())  # type: ignore[assignment]  # a 0-d tensor is a number
    assert isinstance(number, float | int)
    return number


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "update"
