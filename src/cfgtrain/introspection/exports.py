"""Names that a package exports."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

__all__ = ["public_names"]


def public_names(namespace: Mapping[str, object]) -> list[str]:
    """Return the ``__all__`` of a package: the names that its ``__init__`` has imported from modules.

    Args:
        namespace: The ``globals()`` of the ``__init__``. Modules in it, and names that begin with an underscore,
            are not exported.
    """
    return [
        name
        for name, value in namespace.items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
