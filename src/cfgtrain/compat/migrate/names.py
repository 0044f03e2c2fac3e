"""Where cfgtrain has the names of MMCV 1.x, as code that says ``cfgtrain`` imports them."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from cfgtrain.compat.mmcv.missing import MISSING_NAMES
from cfgtrain.compat.mmcv.names import MOVED, UNCHANGED


class Counterpart(NamedTuple):
    """A name of cfgtrain.

    Attributes:
        module: The module to import from.
        name: The name in it; ``""`` if the counterpart is the module itself.
    """

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """The import path."""
        return f"{self.module}.{self.name}" if self.name else self.module


@cache
def counterpart(module: str, name: str) -> Counterpart | None:
    """Return what cfgtrain has for a name in a module of MMCV, or None.

    The nearest package that exports the name is preferred to the module that defines it.

    Args:
        module: Such as ``mmcv.runner.hooks``.
        name: A class, function, constant or submodule.
    """
    if name == "__version__" or reason_for_missing(module, name):
        return None
    own = "cfgtrain" + module.removeprefix("mmcv")
    parts = own.split(".")
    for place in (".".join(parts[:count]) for count in range(len(parts), 0, -1)):
        if name in exports(place):
            return Counterpart(place, name)
    below = module.removeprefix("mmcv").removeprefix(".")
    for entry in MOVED.get(below, ()):
        path, _, single = entry.partition(":")
        new, _, old = single.partition("=")
        if single and name == (old or new):
            return Counterpart(path, new)
        if not single and name in exports(path):
            return Counterpart(path, name)
    child = f"{below}.{name}".removeprefix(".")
    return Counterpart(f"cfgtrain.{child}", "") if child in UNCHANGED else None


def is_module(path: str) -> bool:
    """Return whether MMCV has a module of this path, such as ``mmcv.runner``, that cfgtrain knows."""
    below = path.removeprefix("mmcv").removeprefix(".")
    return below in MOVED or below in UNCHANGED


def own_module(path: str) -> str | None:
    """Return the module of cfgtrain that has all names of a module of MMCV, or None."""
    below = path.removeprefix("mmcv").removeprefix(".")
    if below in UNCHANGED:
        return f"cfgtrain.{below}"
    entries = MOVED.get(below, ())
    if not below:
        return "cfgtrain"
    return entries[0] if len(entries) == 1 and ":" not in entries[0] else None


def reason_for_missing(module: str, name: str) -> str:
    """Return why cfgtrain does not have a name of MMCV and what to do, or ``""``."""
    return MISSING_NAMES.get(module.removeprefix("mmcv").removeprefix("."), {}).get(name, "")


@cache
def exports(module: str) -> frozenset[str]:
    """Return the names that a module of cfgtrain, or another one, exports."""
    try:
        if find_spec(module) is None:
            return frozenset()
    except (ImportError, ValueError):
        return frozenset()
    found = importlib.import_module(module)
    return frozenset(dir(found) if module == "cfgtrain" else getattr(found, "__all__", ()))
