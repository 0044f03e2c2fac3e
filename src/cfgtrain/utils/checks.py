"""Questions about an object or a class."""

from __future__ import annotations

from typing import Any

from cfgtrain.errors import ArgumentError

__all__ = ["has_method", "is_method_overridden", "is_str"]


def is_str(x: object) -> bool:
    """Say whether ``x`` is a str."""
    return isinstance(x, str)


def has_method(obj: object, method: str) -> bool:
    """Say whether ``obj`` has something of that name that can be called."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type[Any], derived_class: Any) -> bool:
    """Say whether a class, or the class of an object, has a method other than its base class has.

    Raises:
        ArgumentError: ``base_class`` is no class.
    """
    if not isinstance(base_class, type):
        raise ArgumentError(f"base_class is a class, not {base_class!r}.")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) is not getattr(base_class, method)
