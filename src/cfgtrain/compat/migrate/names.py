"""Where cfgtrain has the names of MMCV 1.x, as code that says ``cfgtrain`` imports them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.mmcv.missing import MISSING_MODULES, MISSING_NAMES
from cfgtrain.compat.mmcv.names import IMPORTED, MOVED, UNCHANGED
from cfgtrain.suggestions import suggest
from cfgtrain.utils.versions import MMCV_VERSION

BY_HAND = "Replace it by hand; until then it needs `import cfgtrain.compat.mmcv` before it."
_VERSION = "cfgtrain has its own version number. Remove the check of MMCV's version."
_PRIVATE = "It is private in MMCV. Replace it by hand."
_MODULES = frozenset({*MOVED, *UNCHANGED, *MISSING_MODULES})


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
    below = _below(module)
    if name == "__version__" or reason_for_missing(module, name) or below not in _MODULES:
        return None
    parts = ["cfgtrain", *filter(None, below.split("."))]
    for place in (".".join(parts[:count]) for count in range(len(parts), 0, -1)):
        if name in exports(place) and (place != "cfgtrain" or not below or not _is_package(name)):
            return Counterpart(place, name)
    for path, new, old in _sources(below):
        if old == name:
            return Counterpart(path, new)
        if not old and name in exports(path):
            return Counterpart(path, name)
    child = f"{below}.{name}".removeprefix(".")
    if child in UNCHANGED:
        return Counterpart(f"cfgtrain.{child}", "")
    return _private(below, name)


def resolve(
    module: str, attributes: Sequence[str]
) -> tuple[Counterpart | None, list[str], tuple[str, str] | None]:
    """Follow attributes from a module of MMCV.

    Returns:
        The counterpart of the first one that is no module, or of the last module; the attributes after it; and the
        module and name that have no counterpart, or None. There is no counterpart if there are no attributes.
    """
    found = None
    for i, name in enumerate(attributes):
        if is_module(f"{module}.{name}") and not (i == len(attributes) - 1 and counterpart(module, name)):
            module = f"{module}.{name}"
            new = own_module(module)
            found = Counterpart(new, "") if new else None
            continue
        found = counterpart(module, name)
        return (None, [], (module, name)) if found is None else (found, list(attributes[i + 1 :]), None)
    if found or not attributes:
        return found, [], None
    return None, [], (module.rpartition(".")[0], attributes[-1])


def is_mmcv(module: str) -> bool:
    """Return whether a module is ``mmcv`` or below it."""
    return module == "mmcv" or module.startswith("mmcv.")


def is_module(path: str) -> bool:
    """Return whether MMCV has a module of this path, such as ``mmcv.runner``, that cfgtrain has too."""
    below = _below(path)
    return below in MOVED or below in UNCHANGED


def own_module(path: str) -> str | None:
    """Return the module of cfgtrain that has all names of a module of MMCV, or None."""
    below = _below(path)
    if below in UNCHANGED:
        return f"cfgtrain.{below}"
    entries = MOVED.get(below, ())
    if not below:
        return "cfgtrain"
    return entries[0] if len(entries) == 1 and ":" not in entries[0] else None


def reason_for_missing(module: str, name: str) -> str:
    """Return why cfgtrain does not have a name of MMCV and what to do, or ``""``."""
    return MISSING_NAMES.get(_below(module), {}).get(name, "")


def reason_by_name(name: str) -> str:
    """Return why cfgtrain does not have a class or function that a module of MMCV has, or ``""``."""
    return next((names[name] for names in MISSING_NAMES.values() if name in names), "")


def unknown_module(path: str) -> str:
    """Return the message for a module that MMCV does not have, or ``""`` if it has it."""
    if _below(path) in _MODULES:
        return ""
    near = suggest(path, [f"mmcv.{below}" for below in _MODULES if below])
    return f"MMCV {MMCV_VERSION} has no module {path}.{near}"


def unknown_name(module: str, name: str) -> str:
    """Return the message for a name that no module of MMCV has in public, or ``""``.

    Args:
        module: A module of MMCV.
        name: A name without a counterpart.
    """
    below = _below(module)
    if name.startswith("_") or reason_for_missing(module, name) or f"{below}.{name}".strip(".") in _MODULES:
        return ""
    places = sorted((each for each in _MODULES if each and name in _public_names(each)), key=len)
    near = (
        f" Did you mean 'mmcv.{places[0]}.{name}'?" if places else suggest(name, sorted(_public_names(below)))
    )
    return f"MMCV {MMCV_VERSION} has no {module}.{name}.{near}"


def add_missing(report: FileReport, line: int, module: str, name: str) -> None:
    """List a name of a module of MMCV that has no counterpart."""
    if name in ("__version__", "version_info"):
        report.add(line, f"{module}.{name} has no counterpart.", _VERSION)
        return
    report.missing.append(f"{module}.{name}")
    unknown = unknown_module(module) or unknown_name(module, name)
    if unknown:
        report.add(line, unknown, "Correct the name.")
    else:
        reason = reason_for_missing(module, name) or (_PRIVATE if name.startswith("_") else BY_HAND)
        report.add(line, f"cfgtrain has no {module}.{name}.", reason)


@cache
def exports(module: str) -> frozenset[str]:
    """Return the names that a module of cfgtrain, or another one, exports."""
    found = _imported(module)
    return frozenset(dir(found) if module == "cfgtrain" else getattr(found, "__all__", ()))


def _below(path: str) -> str:
    return path.removeprefix("mmcv").removeprefix(".")


def _is_package(name: str) -> bool:
    """Return whether a name is that of a module directly below ``cfgtrain``."""
    return find_spec(f"cfgtrain.{name}") is not None


def _imported(module: str) -> object:
    """Return a module, or None if there is none."""
    try:
        if find_spec(module) is None:
            return None
    except (ImportError, ValueError):
        return None
    return importlib.import_module(module)


def _sources(below: str) -> Iterator[tuple[str, str, str]]:
    """Yield the modules that have names of a module of MMCV.

    Yields:
        The module; and its name and that in MMCV, if it has one name only, else twice ``""``.
    """
    if below in UNCHANGED:
        yield f"cfgtrain.{below}", "", ""
    for entry in (*MOVED.get(below, ()), *IMPORTED.get(below, ())):
        path, _, names = entry.partition(":")
        if not names:
            yield path, "", ""
        for name in names.split():
            new, _, old = name.partition("=")
            yield path, new, old or new


def _private(below: str, name: str) -> Counterpart | None:
    """Return where a private name is that a module of MMCV, or a module in this package, has."""
    if not name.startswith("_") or name.startswith("__"):
        return None
    inside = sorted(each for each in _MODULES if each.startswith(f"{below}.")) if below else []
    for each in (below, *inside):
        for path, new, old in _sources(each):
            if old == name:
                return Counterpart(path, new)
            if not old and name in vars(_imported(path) or object):
                return Counterpart(path, name)
    return None


@cache
def _public_names(below: str) -> set[str]:
    """Return the names that a module of MMCV has, as far as cfgtrain knows them."""
    found = set(MISSING_NAMES.get(below, ()))
    for path, _, old in _sources(below):
        found |= {old} if old else exports(path)
    start = f"{below}." if below else ""
    found |= {each.removeprefix(start).partition(".")[0] for each in _MODULES if each.startswith(start)}
    return {each for each in found if each and not each.startswith("_")}
