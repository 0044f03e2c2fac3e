"""Checks of objects and classes."""

from __future__ import annotations

from typing import Any

from cfgtrain.arguments import check_type

__all__ = ["has_method", "is_method_overridden", "is_str"]


def is_str(x: object) -> bool:
    """Return whether ``x`` is a str."""
    return isinstance(x, str)


def has_method(obj: object, method: str) -> bool:
    """Return whether ``obj`` has a callable attribute named ``method``."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type[Any], derived_class: Any) -> bool:
    """Return whether a class overrides a method of its base class.

    Args:
        method: Name of the method.
        base_class: The base class.
        derived_class: The derived class, or an instance of it.

    Raises:
        ArgumentError: ``base_class`` is not a class.
    """
    check_type("base_class", base_class, type, "a class")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) is not getattr(base_class, method)
