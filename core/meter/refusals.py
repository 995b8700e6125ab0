"""The errors for values that a meter does not accept: what came, what is accepted, and what to do instead."""

import datetime
import decimal
import fractions
from collections.abc import Iterable

_ACCEPTED = "a real number, or an array, tensor or list of real numbers"

#: Advice for NumPy arrays, by the kind of their dtype.
DTYPE_WAYS = {
    "c": "pass x.real, x.imag or abs(x)",
    "f": "pass x.astype(float), which rounds",
    "m": "divide by a unit, as x / numpy.timedelta64(1, 's')",
    "M": "subtract a start and divide by a unit",
    "O": "pass x.astype(float), if its items are numbers",
    "S": "convert it, as by x.astype(float)",
    "T": "convert it, as by x.astype(float)",
    "U": "convert it, as by x.astype(float)",
    "V": "pass each field as a measure of its own",
}


def refusal(name: str, came: str, way_out: str = "") -> TypeError:
    """Return the error for a value of a type that meters do not accept. ``way_out`` says what to do instead."""
    return TypeError(f"{name}: got {came}; accepted: {_ACCEPTED}{'; ' + way_out if way_out else ''}")


def way_out(value: object) -> str:
    """Return advice for a value of a type that is refused."""
    match value:
        case None:
            return "leave the measure out of this call"
        case str() | bytes() | bytearray():
            return "convert it, as by float(x)"
        case complex():
            return "pass x.real, x.imag or abs(x)"
        case decimal.Decimal() | fractions.Fraction():
            return "pass float(x), which rounds"
        case datetime.timedelta():
            return "pass x.total_seconds()"
        case datetime.date():
            return "subtract a start and pass .total_seconds()"
        case dict():
            return "pass each entry as a measure of its own"
    if type(value).__module__.startswith("scipy.sparse"):
        return "pass x.toarray(), or x.data for the stored values only"
    return "pass list(x)" if isinstance(value, Iterable) else "convert it, as by float(x)"


def kind(value: object) -> str:
    """Return the type of a value with an article, such as "an int"."""
    return "None" if value is None else f"{with_article(type(value).__name__)}"


def with_article(noun: str) -> str:
    """Return a noun after "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"
