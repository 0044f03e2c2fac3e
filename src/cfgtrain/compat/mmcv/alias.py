"""The modules ``mmcv`` and below: light objects whose attributes are those of cfgtrain's own modules."""

from __future__ import annotations

import importlib
import multiprocessing.spawn
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from cfgtrain.compat.mmcv.missing import MISSING_MODULES, MISSING_NAMES, stand_in
from cfgtrain.compat.mmcv.names import IMPORTED, MOVED, NAMED_LIKE_MODULES, UNCHANGED
from cfgtrain.errors import CompatError
from cfgtrain.registries import DATASETS, MODELS
from cfgtrain.utils.versions import MMCV_VERSION

__all__ = ["install"]

ROOT = "mmcv"
_LIBRARY = Path(__file__).parents[2]
_FOLDER = "alias of mmcv: "  # begins the __path__ of packages, which have no folder
_NOTHING = object()


class Source:
    """A module of cfgtrain that has names of a module of MMCV.

    Args:
        entry: As in ``names.MOVED``.
    """

    def __init__(self, entry: str) -> None:
        self.path, _, names = entry.partition(":")
        self.name, _, old = names.partition("=")
        self.old = old or self.name

    @property
    def module(self) -> ModuleType:
        """The module, imported when it is first read."""
        return importlib.import_module(self.path)

    def names(self) -> Sequence[str]:
        """Return the public names that it has, by their names in MMCV."""
        return [self.old] if self.old else _exports(self.module)

    def own(self, name: str) -> str | None:
        """Return the name in the module, or None if this source does not have it."""
        if self.old:
            return self.name if name == self.old else None
        return name

    def get(self, name: str) -> Any:
        """Return the value that the namespace of the module contains, or ``_NOTHING``."""
        own = self.own(name)
        return _NOTHING if own is None else vars(self.module).get(own, _NOTHING)


class AliasModule(ModuleType):
    """A module of MMCV. Its attributes are read from, set on and deleted from modules of cfgtrain."""

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the modules of cfgtrain, a submodule, or the stand-in for a name that is missing."""
        if name == "__all__":
            return _public_names(self.__name__)
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        full = f"{self.__name__}.{name}"
        if full in _SOURCES and full not in _FUNCTIONS:
            return importlib.import_module(full)
        missing = _missing(self.__name__, name)
        if missing is None:
            for source in _SOURCES[self.__name__]:
                if name in source.names():
                    return getattr(source.module, str(source.own(name)))
        for source in _SOURCES[self.__name__]:
            value = source.get(name)
            if value is not _NOTHING:  # one that is missing is there if a program has set it
                return value
        if missing is not None:
            return missing
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how the module is found when it is unpickled, or copied."""
        return _import_alias, (self.__name__,)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute in each module of cfgtrain where it is the same object, or else in the first one."""
        if sys.modules.get(f"{self.__name__}.{name}") is value and isinstance(value, ModuleType):
            if f"{self.__name__}.{name}" not in _FUNCTIONS:  # set by the import system
                super().__setattr__(name, value)
            return
        homes = [] if self._is_local(name) else self._homes(name)
        if not homes:
            super().__setattr__(name, value)
        for source in homes:
            setattr(source.module, str(source.own(name)), value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute where it is set, so that setting it again restores it there."""
        if self._is_local(name):
            super().__delattr__(name)
            return
        homes = self._homes(name)
        if not homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        for source in homes:
            delattr(source.module, str(source.own(name)))
        _deleted[self.__name__, name] = homes

    def __dir__(self) -> list[str]:
        """Return the public names and the submodules."""
        return sorted({*vars(self), *_public_names(self.__name__), *_children(self.__name__)})

    def _is_local(self, name: str) -> bool:
        return name in vars(self) or (name.startswith("__") and name.endswith("__"))

    def _homes(self, name: str) -> list[Source]:
        """Return the modules of cfgtrain in which the attribute is set, or to which a new one belongs."""
        known = _deleted.pop((self.__name__, name), None)
        if known is not None:
            return known
        sources = [source for source in _SOURCES[self.__name__] if source.own(name) is not None]
        public = next((source for source in sources if name in source.names()), None)
        if public is not None:
            value = getattr(public.module, str(public.own(name)))
        else:
            value = next((v for v in (source.get(name) for source in sources) if v is not _NOTHING), _NOTHING)
        if value is not _NOTHING:
            return [each for each in sources if each.get(name) is value] or sources[:1]
        return sources[:1]


class AliasFinder(MetaPathFinder, Loader):
    """Finds and loads the modules of MMCV."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module of MMCV is loaded; None for every other name."""
        if fullname not in _SOURCES:
            return None
        file = _file(fullname)
        spec = ModuleSpec(fullname, self, origin=str(file), is_package=_is_package(fullname))
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(_FOLDER + fullname)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that has no names yet."""
        return AliasModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Set the attributes that do not come from cfgtrain; reloading a module changes nothing else."""
        module.__file__ = module.__spec__.origin if module.__spec__ else None
        module.__doc__ = f"{module.__name__} of MMCV {MMCV_VERSION}: an alias of modules of cfgtrain."
        if module.__name__ in (ROOT, f"{ROOT}.version"):
            module.__version__ = MMCV_VERSION  # type: ignore[attr-defined]  # a module can have any attribute

    def is_package(self, fullname: str) -> bool:
        """Return whether a module of MMCV is a package."""
        return _is_package(fullname)

    def get_filename(self, fullname: str) -> str:
        """Return the file that is shown for a module."""
        return str(_file(fullname))

    def get_source(self, fullname: str) -> str:
        """Return the source of the file that ``inspect`` shows for a module."""
        return _file(fullname).read_text(encoding="utf-8")

    def get_code(self, fullname: str) -> None:
        """Return None: a module has no code of its own, so it cannot be run."""

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """Yield what is installed as ``mmcv``, for ``importlib.metadata.version``."""
        if context.name is None or context.name == ROOT:
            yield importlib.import_module("cfgtrain.compat.mmcv.distribution").AliasDistribution()


class AliasFolder:
    """Lists the modules of a package for ``pkgutil``, which reads this from ``sys.path_hooks``."""

    def __init__(self, entry: str) -> None:
        if not entry.startswith(_FOLDER):
            raise ImportError(f"{entry!r} is not the entry of a package of the alias")
        self._package = entry.removeprefix(_FOLDER)

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> None:
        """Return None: all modules are found by ``AliasFinder``."""

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """Yield the name of each module, and whether it is a package."""
        for name in _children(self._package):
            yield prefix + name, _is_package(f"{self._package}.{name}")


class AliasImport:
    """Imports the alias in a process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (__package__,)


def _import_alias(name: str) -> ModuleType:
    """Import a module of MMCV in a process that may not have the alias yet."""
    install()
    return importlib.import_module(name)


def install() -> None:
    """Make ``import mmcv`` import cfgtrain, in this process and in those that ``multiprocessing`` starts.

    An MMCV that is installed is not imported. Another call changes nothing.

    MMCV has no models and datasets of its own, so a config written for it that names one means that of a project, also
    if cfgtrain has the name.

    Raises:
        CompatError: The real ``mmcv`` is imported already.
    """
    imported = sys.modules.get(ROOT)
    if imported is not None and not isinstance(imported, AliasModule):
        raise CompatError(
            f"mmcv is imported already, from {getattr(imported, '__file__', None)}, so cfgtrain cannot take its "
            "place: its classes would exist twice. Import cfgtrain.compat.mmcv first, or start the program with "
            "python -m cfgtrain.compat.mmcv."
        )
    for registry in (MODELS, DATASETS):
        registry.projects_first = True
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, AliasFinder())
    sys.path_hooks.append(AliasFolder)
    prepare = multiprocessing.spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**prepare(name), "alias_of_mmcv": AliasImport()}

    multiprocessing.spawn.get_preparation_data = get_preparation_data


def _table() -> dict[str, tuple[Source, ...]]:
    """Return the modules of cfgtrain that have the names of each module of MMCV."""
    moved = {name: (f"cfgtrain.{name}",) for name in UNCHANGED} | MOVED | dict.fromkeys(MISSING_MODULES, ())
    return {
        f"{ROOT}.{name}".rstrip("."): tuple(map(Source, (*entries, *_single(IMPORTED.get(name, ())))))
        for name, entries in sorted(moved.items())
    }


def _single(entries: Sequence[str]) -> Iterator[str]:
    """Yield an entry of one name for each name of the entries."""
    for entry in entries:
        path, _, names = entry.partition(":")
        yield from (f"{path}:{name}" for name in names.split())


_SOURCES = _table()
_FUNCTIONS = {f"{ROOT}.{name}" for name in NAMED_LIKE_MODULES} | {
    f"{ROOT}.ops.{name}" for name in MISSING_NAMES["ops"] if f"ops.{name}" in MISSING_MODULES
}
_deleted: dict[tuple[str, str], list[Source]] = {}


def _missing(module: str, name: str) -> Any:
    """Return the stand-in for a name that cfgtrain does not have, or None."""
    below = module.removeprefix(ROOT).removeprefix(".")
    reason = MISSING_NAMES.get(below, {}).get(name)
    if reason is None:
        return None
    package = module.rpartition(".")[0]  # the class of a package and of its module is the same
    is_in_package = name in MISSING_NAMES.get(package.removeprefix(ROOT).removeprefix("."), {})
    return stand_in(f"{package if is_in_package else module}.{name}", reason)


def _exports(module: ModuleType) -> list[str]:
    """Return the ``__all__`` of a module; without one, its constants and the classes and functions that it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("__")]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (name.isupper() or getattr(value, "__module__", None) == module.__name__)
    ]


def _children(package: str) -> list[str]:
    return [name.rpartition(".")[2] for name in _SOURCES if name.rpartition(".")[0] == package]


def _is_package(name: str) -> bool:
    return bool(_children(name))


def _file(name: str) -> Path:
    """Return the file that is shown for a module: that of its first module of cfgtrain."""
    for source in _SOURCES[name]:
        if source.path.startswith("cfgtrain."):
            path = _LIBRARY.joinpath(*source.path.split(".")[1:])
            return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return Path(__file__)


def _public_names(module: str) -> list[str]:
    names = dict.fromkeys(name for source in _SOURCES[module] for name in source.names())
    below = module.removeprefix(ROOT).removeprefix(".")
    return [*names, *(name for name in MISSING_NAMES.get(below, ()) if name not in names)]
