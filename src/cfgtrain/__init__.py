"""cfgtrain: train PyTorch models from config files.

``import cfgtrain`` costs nothing and never loads torch: a name is looked up in the
packages below on first use. What needs torch has a package of its own to import:
``cfgtrain.runner``, ``cfgtrain.cnn``, ``cfgtrain.data``, ...
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

# In the order in which they are searched for a name: those that import least come first.
_PACKAGES = (
    "errors",
    "utils",
    "registry",
    "fileio",
    "config",
    "image",
    "visualization",
    "video",
    "arraymisc",
)

if _TYPE_CHECKING:
    from cfgtrain.arraymisc import *
    from cfgtrain.config import *
    from cfgtrain.errors import *
    from cfgtrain.fileio import *
    from cfgtrain.image import *
    from cfgtrain.registry.registry import *
    from cfgtrain.utils import *
    from cfgtrain.video import *
    from cfgtrain.visualization import *

    __version__: str


def __getattr__(name: str) -> _Any:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("cfgtrain")
    if name.startswith("__"):
        raise AttributeError(name)
    for package in _PACKAGES:
        module = importlib.import_module(f"cfgtrain.{package}")
        if name in module.__all__:
            globals()[name] = getattr(module, name)  # the next lookup finds it at once
            return globals()[name]
    try:
        return importlib.import_module(f"cfgtrain.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"cfgtrain.{name}":
            raise
    errors = importlib.import_module("cfgtrain.errors")
    raise AttributeError(f"cfgtrain has no {name!r}.{errors.suggest(name, __dir__())}")


def __dir__() -> list[str]:
    import importlib
    import pkgutil

    names = {module.name for module in pkgutil.iter_modules(__path__)}
    for package in _PACKAGES:
        names.update(importlib.import_module(f"cfgtrain.{package}").__all__)
    return sorted(names | {"__version__"})
