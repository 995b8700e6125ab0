"""The attributes that a subclass or a user adds to an object, so that copies of it keep them."""

from __future__ import annotations

from collections.abc import Container
from typing import Any


def added_attributes(instance: object, own_slots: Container[str]) -> Any:
    """Return the attributes except those in ``own_slots``, in the form of ``object.__getstate__``."""
    attributes: Any = object.__getstate__(instance)
    if not isinstance(attributes, tuple):
        return attributes
    in_dict, in_slots = attributes
    added = {name: value for name, value in in_slots.items() if name not in own_slots}
    return (in_dict, added) if added else in_dict


def set_attributes(instance: object, attributes: Any) -> None:
    """Set the attributes that :func:`added_attributes` returned, as ``copy`` and ``pickle`` do."""
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(attributes)
        return
    in_dict, in_slots = attributes if isinstance(attributes, tuple) else (attributes, {})
    if in_dict:
        instance.__dict__.update(in_dict)
    for name, value in in_slots.items():
        setattr(instance, name, value)
