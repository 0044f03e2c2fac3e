"""All registries and their entries."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from cfgtrain.check.runner import RUNNER_GIVEN
from cfgtrain.data.builder import SAMPLER_OFFERED
from cfgtrain.errors import UnknownNameError
from cfgtrain.introspection.imports import import_object, near_paths
from cfgtrain.introspection.signatures import Parameters, callable_name, parameters_of, short_repr
from cfgtrain.introspection.source_search import source_place
from cfgtrain.registries import (
    COLLATE_FUNCTIONS,
    CONV_LAYERS,
    MODULE_WRAPPERS,
    NORM_LAYERS,
    OPTIMIZERS,
    PADDING_LAYERS,
    RUNNERS,
    SAMPLERS,
)
from cfgtrain.registry.registry import Registry, known_registries
from cfgtrain.suggestions import close_names, one_of, suggest

# Arguments that cfgtrain passes itself when it builds an object, so that no config contains them.
_SUPPLIED = {
    OPTIMIZERS: ("params",),
    RUNNERS: RUNNER_GIVEN,
    SAMPLERS: SAMPLER_OFFERED,
    COLLATE_FUNCTIONS: ("batch",),
    MODULE_WRAPPERS: ("module",),
    CONV_LAYERS: (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "bias",
    ),
    NORM_LAYERS: ("num_features", "num_channels", "normalized_shape"),
    PADDING_LAYERS: ("padding",),
}


class Entry(NamedTuple):
    """A class or function that ``type=`` can name.

    Attributes:
        name: The name to write in a config.
        registry: The registry that contains it; None if it was found by its import path.
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
        """Its own docstring, or that of its constructor, but not one that is inherited."""
        documented = [self.target]
        if inspect.isclass(self.target) and "__init__" in vars(self.target):
            documented.append(vars(self.target)["__init__"])
        texts = (getattr(each, "__doc__", None) for each in documented)
        return next((inspect.cleandoc(text) for text in texts if isinstance(text, str)), "")

    @property
    def path(self) -> str:
        """Its import path."""
        return f"{getattr(self.target, '__module__', '?')}.{callable_name(self.target)}"

    @property
    def place(self) -> str:
        """File and line of its definition, or ""."""
        file, line = source_place(self.target)
        return f"{file}:{line}" if file else ""

    @property
    def supplied(self) -> tuple[str, ...]:
        """The arguments that cfgtrain passes itself."""
        return next(
            (names for root, names in _SUPPLIED.items() if self.registry and root is self.registry.root), ()
        )

    @property
    def parameters(self) -> Parameters | None:
        """Its parameters, or None if they cannot be read."""
        return parameters_of(self.target)


def registries() -> list[Registry]:
    """Return every registry, with the entries of cfgtrain registered."""
    for registry in known_registries():
        registry.fill()
    return known_registries()


def search(word: str, pattern: str | None) -> list[Entry]:
    """Return the entries of a registry, or of all registries if ``word`` is not one of them.

    Args:
        word: The name of a registry, in singular or plural and any case, or else a pattern.
        pattern: A part of a name, or a glob.

    Raises:
        UnknownNameError: Nothing matches.
    """
    known = registries()
    named = [each for each in known if _normalized(each.name) == _normalized(word)]
    entries = _all_entries(named or known)
    wanted = pattern if named else word
    found = [entry for entry in entries if wanted is None or _matches(entry.name, wanted)]
    if not named and pattern is not None:
        hint = suggest(word, sorted({each.name for each in known}))
        raise UnknownNameError(f"There is no registry {word!r}.{hint} `cfgtrain list` lists all registries.")
    if not found and named and pattern is None:
        raise UnknownNameError(f"The {named[0].name} registry is empty.")
    if not found:
        where = f"No name in the {named[0].name} registry" if named else "No registry and no name"
        names = [entry.name for entry in entries] + ([] if named else [each.name for each in known])
        hint = _glob_hint(str(wanted), names) or suggest(str(wanted), sorted(set(names)))
        raise UnknownNameError(f"{where} matches {wanted!r}.{hint}")
    return found


def find(name: str) -> list[Entry]:
    """Return what ``type=name`` can refer to: one entry for each registry that contains the name.

    Raises:
        UnknownNameError: The name is neither registered nor an import path.
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
    if any(_normalized(each.name) == _normalized(name) for each in known):
        raise UnknownNameError(
            f"{name!r} is a registry. `cfgtrain list {shlex.quote(name)}` lists its names."
        )
    near = close_names(name, sorted({entry.name for entry in entries}))
    near = near or (near_paths(name)[1] if "." in name else [])
    hint = f" Did you mean {one_of(near)}?" if near else " `cfgtrain list` lists all registries."
    raise UnknownNameError(f"{name!r} is neither a registered name nor an import path.{hint}")


def describe_registry(registry: Registry) -> dict[str, Any]:
    """Return a registry as plain types."""
    return {
        "name": registry.name,
        "scope": registry.scope,
        "parent": registry.parent.name if registry.parent else None,
        "entries": sorted(registry),
    }


def describe_entry(entry: Entry) -> dict[str, Any]:
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
        else [_describe_argument(parameters, name) for name in parameters.names],
        "documentation": entry.documentation,
    }


def _describe_argument(parameters: Parameters, name: str) -> dict[str, Any]:
    facts = {
        "name": name,
        "type": annotation(parameters, name) or None,
        "required": name in parameters.required,
    }
    return (
        {**facts, "default": short_repr(parameters.defaults[name])} if name in parameters.defaults else facts
    )


def annotation(parameters: Parameters, name: str) -> str:
    """Return the type annotation of an argument as text, or "" if it has none."""
    kind = parameters.annotations.get(name)
    if kind is None:
        return ""
    text = kind.__qualname__ if inspect.isclass(kind) and not hasattr(kind, "__args__") else str(kind)
    for module in ("typing.", "collections.abc."):
        text = text.replace(module, "")
    return text.replace("NoneType", "None")


def _all_entries(found: Sequence[Registry]) -> list[Entry]:
    """Return the entries of some registries, under their names in the topmost of these registries."""
    tops = [each for each in found if each.parent not in found]
    return sorted((entry for each in tops for entry in _entries(each)), key=_order)


def _entries(registry: Registry) -> Iterator[Entry]:
    """Yield the entries of a registry and its children, under their names in this registry."""
    for name, target in registry.module_dict.items():
        yield Entry(name, registry, target)
    for scope, child in registry.children.items():
        for entry in _entries(child):
            yield entry._replace(name=f"{scope}.{entry.name}")


def _order(entry: Entry) -> tuple[str, str, str]:
    return (entry.registry.root.name if entry.registry else "", entry.name.lower(), entry.name)


def _matches(name: str, pattern: str) -> bool:
    name, pattern = name.lower(), pattern.lower()
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?[") else pattern in name


def _normalized(name: str) -> str:
    """Return the name of a registry in lower case and singular, so that HOOKS matches hook."""
    return name.lower().replace("_", " ").replace("-", " ").removesuffix("s")


def _glob_hint(pattern: str, names: list[str]) -> str:
    """Return a hint if a glob such as ``res*`` matches nothing, but the text ``res`` would."""
    part = pattern.strip("*")
    found = [name for name in names if part and part != pattern and _matches(name, part)]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f" Without the *, {part!r} matches {found[0]!r}{more}." if found else ""
