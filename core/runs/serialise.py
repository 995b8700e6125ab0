"""Results to and from plain dicts, by cattrs. ``strict_json`` writes the dicts, NaN and infinities included."""

from __future__ import annotations

import functools
import warnings
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from core.runs.strict_json import decode_float
from core.utils.collection import ResultCollection
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultRecord, ResultSource, ScalarResult

T = TypeVar("T")

_reported: set[str] = set()


class UnknownFieldWarning(UserWarning):
    """A file holds a field that this version does not know. It is ignored, with one warning per field."""


@functools.cache
def converter() -> cattrs.Converter:
    """Return the converter of the result classes. A protocol becomes a dict, which is an object in JSON.

    Floats stay floats here; ``strict_json.dumps`` writes NaN as null and infinities as strings, which are taken back.
    """
    made = cattrs.Converter()
    made.register_structure_hook(float, lambda value, _: decode_float(value))
    for kind in (int, bool, str):
        made.register_structure_hook(kind, _exactly)
    protocol = override(unstruct_hook=dict, struct_hook=lambda value, _: value)
    made.register_unstructure_hook(ResultMetadata, make_dict_unstructure_fn(ResultMetadata, made, protocol=protocol))
    metadata = make_dict_structure_fn(ResultMetadata, made, protocol=protocol)
    made.register_structure_hook(ResultMetadata, _tolerant(ResultMetadata, metadata))
    made.register_unstructure_hook(
        ResultSource, make_dict_unstructure_fn(ResultSource, made, _cattrs_omit_if_default=True)
    )
    made.register_unstructure_hook(
        ResultRecord, make_dict_unstructure_fn(ResultRecord, made, source=override(omit_if_default=True))
    )
    for cls in (ScalarResult, ResultSource, ResultRecord, ResultCollection):
        made.register_structure_hook(cls, _tolerant(cls, make_dict_structure_fn(cls, made)))
    return made


def _exactly(value: Any, kind: type[Any]) -> Any:
    """Return a value that is of exactly this type. A file with "3" in place of a number is corrupt: do not guess."""
    if type(value) is not kind:
        raise ValueError(f"got {value!r} ({type(value).__name__}); accepted: {kind.__name__}")
    return value


def _tolerant(cls: type[Any], structure: Any) -> Any:
    """Wrap a structure function: it ignores fields that it does not know, with one warning per field."""
    known = {attribute.name for attribute in attrs.fields(cls)}

    def tolerate(value: Any, kind: Any) -> Any:
        for name in sorted(set(value) - known - {"schema", "evaluation"}) if isinstance(value, dict) else ():
            label = f"{cls.__name__}.{name}"
            if label not in _reported:
                _reported.add(label)
                warnings.warn(
                    f"ignoring the unknown field {label}; was the file written by a newer version?",
                    UnknownFieldWarning,
                    stacklevel=2,
                )
        return structure(value, kind)

    return tolerate


def unstructure(value: Any) -> Any:
    """Return a result class as a dict for ``strict_json.dumps``."""
    return converter().unstructure(value)


def structure(value: Any, cls: type[T]) -> T:
    """Return the object of a class from its dict, as ``json.loads`` returns it.

    Raises:
        ValueError: The dict does not fit the class; the message says where and why.
    """
    try:
        return converter().structure(value, cls)
    except cattrs.BaseValidationError as error:
        raise ValueError(
            "; ".join(cattrs.transform_error(error, path=cls.__name__, format_exception=_reason))
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{cls.__name__}: {error}") from None


def _reason(error: BaseException, _kind: type[Any] | None) -> str:
    return f"missing field {error}" if isinstance(error, KeyError) else str(error)
