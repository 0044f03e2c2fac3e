"""The registries that there are, and what they hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from cfgtrain.check.runner import RUNNER_GIVEN
from cfgtrain.data.builder import SAMPLER_OFFERED
from cfgtrain.errors import UnknownNameError
from cfgtrain.introspection.imports import import_object, near_paths
from cfgtrain.introspection.signatures import Parameters, callable_name, parameters_of, short_repr
from cfgtrain.introspection.source_search import source_place
from cfgtrain.registries import OPTIMIZERS, RUNNERS, SAMPLERS
from cfgtrain.registry.registry import Registry, known_registries
from cfgtrain.suggestions import close_names, one_of

# Arguments that no config states, as whoever builds from it adds them.
_GIVEN = {OPTIMIZERS: ("params",), RUNNERS: RUNNER_GIVEN, SAMPLERS: SAMPLER_OFFERED}


class Entry(NamedTuple):
    """One thing that a ``type=`` may name.

    Attributes:
        name: As a config writes it.
        registry: That holds it; None for what is found by its import path.
        target: The class or function.
    """

    name: str
    registry: Registry | None
    target: Callable[..., Any]

    @property
    def summary(self) -> str:
        """The first sentence of its documentation, or ""."""
        return self.documentation.partition("\n")[0]

    @property
    def documentation(self) -> str:
        """Its own docstring, or that of its constructor; never one of a base class."""
        for owner in (
            self.target,
            vars(self.target).get("__init__") if inspect.isclass(self.target) else None,
        ):
            text = getattr(owner, "__doc__", None)
            if isinstance(text, str) and owner is not object.__init__:
                return inspect.cleandoc(text)
        return ""

    @property
    def path(self) -> str:
        """Its import path."""
        return f"{getattr(self.target, '__module__', '?')}.{callable_name(self.target)}"

    @property
    def place(self) -> str:
        """File and line, or ""."""
        file, line = source_place(self.target)
        return f"{file}:{line}" if file else ""

    @property
    def given(self) -> tuple[str, ...]:
        """The arguments that no config states."""
        return next(
            (names for root, names in _GIVEN.items() if self.registry and root is self.registry.root), ()
        )

    @property
    def parameters(self) -> Parameters | None:
        """What it can be called with; None where that cannot be read."""
        return parameters_of(self.target)


def registries() -> list[Registry]:
    """Return every registry, filled."""
    for registry in known_registries():
        registry.fill()
    return known_registries()


def search(word: str, pattern: str | None) -> list[Entry]:
    """Return the entries of a registry, or of all where ``word`` is itself a pattern.

    Args:
        word: Name of a registry; its plural or capitals will do.
        pattern: Part of a name, or a name with ``*`` and ``?``.

    Raises:
        UnknownNameError: Nothing fits.
    """
    known = registries()
    named = [each for each in known if _plain(each.name) == _plain(word)]
    entries = _all_entries(named or known)
    wanted = pattern if named else word
    found = [entry for entry in entries if wanted is None or _fits(entry.name, wanted)]
    if not named and pattern is not None:
        hint = _meant(word, [each.name for each in known])
        raise UnknownNameError(f"There is no registry {word!r}.{hint} `cfgtrain list` shows all.")
    if not found and named and pattern is None:
        raise UnknownNameError(f"The {named[0].name} registry is empty.")
    if not found:
        where = f"The {named[0].name} registry holds nothing" if named else "There is no registry and no name"
        names = [entry.name for entry in entries] + ([] if named else [each.name for each in known])
        hint = _without_signs(str(wanted), names) or _meant(str(wanted), names)
        raise UnknownNameError(f"{where} like {wanted!r}.{hint}")
    return found


def find(name: str) -> list[Entry]:
    """Return what ``type=name`` may stand for: one entry of each registry that holds it.

    Raises:
        UnknownNameError: There is no such name and no such import path.
    """
    known = registries()
    entries = _all_entries(known)
    found = [entry for entry in entries if name in (entry.name, entry.name.rpartition(".")[2])]
    roots = [each for each in known if each.parent is None]
    found = found or [Entry(name, each, target) for each in roots if (target := each.get(name))]
    if found:
        return found
    target = import_object(name)
    if target is not None:
        return [Entry(name, None, target)]
    if any(_plain(each.name) == _plain(name) for each in known):
        raise UnknownNameError(f"{name!r} is a registry: `cfgtrain list {name}` shows what it holds.")
    near = close_names(name, sorted({entry.name for entry in entries}))
    near = near or (near_paths(name)[1] if "." in name else [])
    hint = f" Did you mean {one_of(near)}?" if near else " `cfgtrain list` shows the registries."
    raise UnknownNameError(f"No registry holds {name!r}, and it is no import path.{hint}")


def registry_facts(registry: Registry) -> dict[str, Any]:
    """Return a registry as plain types."""
    return {
        "name": registry.name,
        "scope": registry.scope,
        "parent": registry.parent.name if registry.parent else None,
        "entries": sorted(registry),
    }


def entry_facts(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain types."""
    parameters = entry.parameters
    return {
        "name": entry.name,
        "registry": entry.registry.name if entry.registry else None,
        "scope": entry.registry.scope if entry.registry else None,
        "path": entry.path,
        "place": entry.place or None,
        "arguments": None
        if parameters is None
        else [_argument_facts(parameters, name) for name in parameters.names],
        "documentation": entry.documentation,
    }


def _argument_facts(parameters: Parameters, name: str) -> dict[str, Any]:
    facts = {
        "name": name,
        "type": annotation(parameters, name) or None,
        "required": name in parameters.required,
    }
    return (
        {**facts, "default": short_repr(parameters.defaults[name])} if name in parameters.defaults else facts
    )


def annotation(parameters: Parameters, name: str) -> str:
    """Return the type of an argument as its source might write it, "" where none is stated."""
    kind = parameters.annotations.get(name)
    if kind is None:
        return ""
    text = kind.__qualname__ if inspect.isclass(kind) and not hasattr(kind, "__args__") else str(kind)
    for module in ("typing.", "collections.abc."):
        text = text.replace(module, "")
    return text.replace("NoneType", "None")


def _all_entries(found: Sequence[Registry]) -> list[Entry]:
    """Return what some registries hold, each thing under the name that the uppermost of them finds."""
    tops = [each for each in found if each.parent not in found]
    return sorted((entry for each in tops for entry in _entries(each)), key=_order)


def _entries(registry: Registry) -> Iterator[Entry]:
    """Yield what a registry and those below it hold, by the names that are found from it."""
    for name, target in registry.module_dict.items():
        yield Entry(name, registry, target)
    for scope, child in registry.children.items():
        for entry in _entries(child):
            yield entry._replace(name=f"{scope}.{entry.name}")


def _order(entry: Entry) -> tuple[str, str, str]:
    return (entry.registry.root.name if entry.registry else "", entry.name.lower(), entry.name)


def _fits(name: str, pattern: str) -> bool:
    name, pattern = name.lower(), pattern.lower()
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?[") else pattern in name


def _plain(name: str) -> str:
    """Return the name of a registry without what people add to it: HOOKS is hook."""
    return name.lower().replace("_", " ").replace("-", " ").removesuffix("s")


def _without_signs(pattern: str, names: list[str]) -> str:
    """Point at the names that a pattern such as ``res*`` misses and ``res`` would find."""
    part = pattern.strip("*")
    held = [name for name in names if part and part != pattern and _fits(name, part)]
    more = f" and {len(held) - 1} more" if len(held) > 1 else ""
    return f" {part!r} without the * is in {held[0]!r}{more}." if held else ""


def _meant(word: str, names: list[str]) -> str:
    near = close_names(word, sorted(set(names)))
    return f" Did you mean {one_of(near)}?" if near else ""
