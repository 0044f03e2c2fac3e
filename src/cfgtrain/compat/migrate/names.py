"""Where cfgtrain has the names of MMCV 1.x."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

# Where a name is searched if cfgtrain has no module of the same name: those that projects use most come first.
_PACKAGES = (
    "cfgtrain", "cfgtrain.runner", "cfgtrain.cnn", "cfgtrain.parallel", "cfgtrain.utils", "cfgtrain.fileio",
    "cfgtrain.image", "cfgtrain.engine", "cfgtrain.ops", "cfgtrain.visualization", "cfgtrain.video",
    "cfgtrain.arraymisc", "cfgtrain.config", "cfgtrain.data",
)  # fmt: skip


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

    Args:
        module: Such as ``mmcv.runner.hooks``.
        name: A class, function, constant or submodule.
    """
    own = "cfgtrain" + module.removeprefix("mmcv")
    if name == "__version__":
        return None
    parts = own.split(".")
    parents = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    for place in dict.fromkeys((*parents, *_PACKAGES)):
        if name in _exports(place):
            return Counterpart(place, name)
        if place == own and has_module(f"{own}.{name}"):
            return Counterpart(f"{own}.{name}", "")
    return None


@cache
def has_module(path: str) -> bool:
    """Return whether cfgtrain has a public module of this path."""
    if any(part.startswith("_") for part in path.split(".")):
        return False
    try:
        return find_spec(path) is not None
    except (ImportError, ValueError):
        return False


@cache
def _exports(module: str) -> frozenset[str]:
    if not has_module(module):
        return frozenset()
    found = importlib.import_module(module)
    return frozenset(dir(found) if module == "cfgtrain" else getattr(found, "__all__", ()))
