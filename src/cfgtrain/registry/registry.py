"""Registries: names in a config become classes, and classes become objects."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast, overload

from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    CfgTrainError,
    ErrorFields,
    NameTakenError,
    UnknownNameError,
)
from cfgtrain.introspection.imports import import_object
from cfgtrain.introspection.signatures import argument_problem, callable_name
from cfgtrain.introspection.source_search import place_of
from cfgtrain.origin import argument_location, describe, folder_of, location, place_text
from cfgtrain.registry.lookup_errors import explain_miss
from cfgtrain.suggestions import close_names, with_article

__all__ = ["Registry", "build_cfg", "build_from_cfg"]

Built = TypeVar("Built", bound=Callable[..., Any])

# `type='mmcv.ConvModule'` means ours: configs written for MMCV keep working.
SCOPE_ALIASES = {"mmcv": "cfgtrain"}

# Begins the note of an exception that a class or function raised which a config names.
BUILD_NOTE = "while building"

MIN_SIMILARITY = 0.7  # of a key that may be a misspelling of one that is missing

_registries: weakref.WeakSet[Registry] = weakref.WeakSet()


class Registry:
    """A named table of classes and functions that configs refer to by ``type=``.

    Every registry has a *scope*, by default the top-level package of the module that makes
    it, and may have a *parent*. The rules:

    1. ``"scope.Name"`` reaches a registry of the same family from any member of it.
    2. ``"Name"`` alone is looked up in the registry that is asked, never in its ancestors.
    3. A child's children are reached by the whole path, ``"child.grandchild.Name"``, from
       above, and by their own scope from their parent.
    4. A scope holds no dot: the first dot of a name ends its scope.
    5. Siblings have different scopes; a child that has its parent's scope hides its own
       entries from the parent and is warned about.
    6. What is found is built by the ``build_func`` of the registry that was asked.
    7. Classes, functions and other callables can be registered; a partial needs a name.
    8. A name that no registry holds may be a full import path, such as ``"torch.nn.GELU"``.

    Args:
        name: What the registry holds, for messages.
        build_func: Called as ``build_func(cfg, registry=..., **kwargs)`` by ``build``; the
            parent's, or ``build_from_cfg``, by default.
        parent: The registry this one extends.
        scope: By default inferred from the calling module.
        home: A module whose import fills the registry; imported on the first miss.

    Raises:
        ArgumentError: A scope with a dot, or that of a sibling.
        ArgumentTypeError: ``parent`` is no registry, or another argument is of a wrong type.
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        home: str | None = None,
    ) -> None:
        if parent is not None and not isinstance(parent, Registry):
            raise ArgumentTypeError(f"The parent of a registry is a Registry, not {parent!r}.")
        if build_func is not None and not callable(build_func):
            raise ArgumentTypeError(f"build_func is a function, not {build_func!r}.")
        if not isinstance(scope, str | None):
            raise ArgumentTypeError(f"A scope is a str, not {scope!r}.")
        self._name = name
        self._module_dict: dict[str, Callable[..., Any]] = {}
        self._children: dict[str, Registry] = {}
        self._scope = self.infer_scope() if scope is None else scope
        self.home = home
        self.parent = parent
        inherited: Callable[..., Any] = parent.build_func if parent is not None else build_from_cfg
        self.build_func: Callable[..., Any] = build_func or inherited
        if "." in self._scope or not self._scope:
            raise ArgumentError(f"A scope is one word without a dot, not {self._scope!r}.")
        if parent is not None:
            parent._add_child(self)
        _registries.add(self)

    @property
    def name(self) -> str:
        """What the registry holds."""
        return self._name

    @property
    def scope(self) -> str:
        """The first part of ``"scope.Name"``."""
        return self._scope

    @property
    def module_dict(self) -> dict[str, Callable[..., Any]]:
        """The entries by name."""
        return self._module_dict

    @property
    def children(self) -> dict[str, Registry]:
        """The child registries by scope."""
        return self._children

    @property
    def root(self) -> Registry:
        """The ancestor that has no parent; of a registry without one, itself."""
        return self if self.parent is None else self.parent.root

    def keys(self) -> KeysView[str]:
        """Return the names, in the order in which they were registered."""
        return self._module_dict.keys()

    def __len__(self) -> int:
        return len(self._module_dict)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._module_dict)

    def __bool__(self) -> bool:
        return True  # an empty registry is a registry

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name}, items={self._module_dict})"

    @staticmethod
    def infer_scope() -> str:
        """Return the top-level package of the module that is making a registry."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and isinstance(frame.f_locals.get("self"), Registry):
            frame = frame.f_back
        name = frame.f_globals.get("__name__") if frame is not None else None
        return str(name or "__main__").split(".", 1)[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Split ``"scope.Name"`` at its first dot; without one the scope is None."""
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    def get(self, key: str) -> Callable[..., Any] | None:
        """Return the entry ``key`` names, or None; see the rules above."""
        found = self._module_dict.get(key)
        if found is not None:
            return found
        place = self.locate(key)
        if place is None:
            return None
        registry, name = place
        if name not in registry._module_dict:
            registry.fill()
        return registry._module_dict.get(name)

    def locate(self, key: str) -> tuple[Registry, str] | None:
        """Return the registry whose entry ``key`` is, or would be, and its name there.

        None if the scope leads to no registry of the family.
        """
        if not isinstance(key, str):
            raise ArgumentTypeError(f"The name of {with_article(self._name)} is a str, not {key!r}.")
        scope, name = self.split_scope_key(key)
        if scope is None or self._scope in (scope, SCOPE_ALIASES.get(scope)):
            return self, name
        child = self._children.get(scope) or self._children.get(SCOPE_ALIASES.get(scope, scope))
        if child is not None:
            return child.locate(name)
        return None if self.parent is None else self.root.locate(key)

    def fill(self) -> None:
        """Import the module that fills the registry, if there is one and it has not been yet."""
        if self.home is not None:
            importlib.import_module(self.home)

    def resolve(self, name: str, folder: Path | None = None) -> Callable[..., Any]:
        """Return the entry ``name`` names, or the object at that import path.

        Args:
            name: Of an entry, with or without a scope, or a full import path.
            folder: Of the config, where a module that defines the name may be waiting to
                be imported.

        Raises:
            UnknownNameError: There is neither; what would solve it is told.
        """
        found = self.get(name) or import_object(name)
        if found is None:
            message, hint = explain_miss(self, name, folder, _registries)
            raise UnknownNameError(message, hint=hint)
        return found

    def build(self, cfg: Any, default_args: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Build what ``cfg`` describes; see ``build_from_cfg``."""
        if default_args is not None:
            kwargs["default_args"] = default_args
        return self.build_func(cfg, registry=self, **kwargs)

    @overload
    def register_module(
        self, name: str | Sequence[str] | None = None, force: bool = False, module: None = None
    ) -> Callable[[Built], Built]: ...
    @overload
    def register_module(
        self, name: str | Sequence[str] | None = None, force: bool = False, *, module: Built
    ) -> Built: ...
    @overload
    def register_module(self, name: type[Any], force: bool = False) -> Any: ...

    def register_module(self, name: Any = None, force: bool = False, module: Any = None) -> Any:
        """Register a class or function, as a decorator or by a call.

        Args:
            name: Its name or names; by default its ``__name__``. A class here is what MMCV
                took before 1.3, also as the decorator without parentheses: it is registered,
                with a DeprecationWarning.
            force: Whether it may replace an entry of that name.
            module: What to register; without it a decorator is returned.

        Returns:
            ``module``, or a decorator that returns what it decorates.

        Raises:
            NameTakenError: A name is taken; nothing is registered then.
            ArgumentTypeError: ``module`` cannot be called, or an argument is of another type.
            ArgumentError: A name is empty or holds a dot.
        """
        if not isinstance(force, bool):
            raise ArgumentTypeError(f"force is True or False, not {force!r}.")
        if isinstance(name, type):
            return self.deprecated_register_module(name, force)
        names = _names(name)
        if module is not None:
            self._register_module(module, names, force)
            return module

        def register(decorated: Built) -> Built:
            self._register_module(decorated, names, force)
            return decorated

        return register

    def deprecated_register_module(self, cls: type[Any] | None = None, force: bool = False) -> Any:
        """Register a class as MMCV did before 1.3, with a DeprecationWarning; without one return a decorator."""
        warnings.warn(
            "A class as the first argument of register_module, or register_module without parentheses, "
            "is deprecated: write @REGISTRY.register_module() or register_module(module=...).",
            DeprecationWarning,
            stacklevel=_outside(),
        )
        if cls is None:
            return lambda decorated: self.deprecated_register_module(decorated, force)
        self._register_module(cls, None, force)
        return cls

    def _register_module(
        self, module: Any = None, module_name: str | Sequence[str] | None = None, force: bool = False,
        *, module_class: Any = None,
    ) -> None:  # fmt: skip
        if module_class is not None:
            message = "_register_module(module_class=...) is deprecated: its name is module."
            warnings.warn(message, DeprecationWarning, stacklevel=_outside())
            module = module_class
        if not callable(module) or inspect.ismethod(module):
            raise ArgumentTypeError(f"A class or function is registered, not {module!r}.")
        names = _names(module_name)
        if names is None:
            if not hasattr(module, "__name__"):
                raise ArgumentError(f"{module!r} has no __name__: register it with name=...")
            names = [module.__name__]
        for taken in names if not force else ():
            if taken in self._module_dict:
                raise NameTakenError(
                    f"{taken!r} is in the {self._name} registry already: {place_of(self._module_dict[taken])}. "
                    "Choose another name, or replace it with force=True."
                )
        self._module_dict.update(dict.fromkeys(names, module))

    def _add_child(self, child: Registry) -> None:
        if child.scope in self._children:
            raise ArgumentError(
                f"The {self._name} registry has a child of scope {child.scope!r} already, "
                f"{self._children[child.scope].name!r}: give {child.name!r} a scope of its own."
            )
        if self._scope in (child.scope, SCOPE_ALIASES.get(child.scope)):
            warnings.warn(
                f"The {child.name} registry has the scope of its parent, {child.scope!r}: "
                "its entries cannot be reached from there.",
                stacklevel=_outside(),
            )
        self._children[child.scope] = child


def build_from_cfg(cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build the object that a config describes.

    Args:
        cfg: A mapping with ``type`` (a registered name, an import path, a class or a
            function); its other items are the arguments. Not changed.
        registry: Where a name is looked up.
        default_args: Arguments, ``type`` too, for keys that ``cfg`` does not have.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping, or ``registry`` is no registry.
        UnknownNameError: No registry in reach holds the name, or ``cfg`` has no ``type``.
        BuildError: The arguments do not fit the signature.
        Exception: What the constructor raises, with a note of where in the config it was.
    """
    target, args = resolve_cfg(cfg, registry, default_args)
    problem = argument_problem(target, args, config_keys=("type",))
    if problem is not None:
        raise problem.error(cfg)
    try:
        return target(**args)
    except Exception as error:
        place = place_text(
            **argument_location(cfg, error.argument if isinstance(error, CfgTrainError) else ())
        )
        error.add_note(f"{BUILD_NOTE} {callable_name(target)} from {place or 'a config'}")
        raise


build_cfg = build_from_cfg


def resolve_cfg(
    cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what a config would call, and the keyword arguments for it."""
    if not isinstance(registry, Registry):
        raise ArgumentTypeError(f"A config is built from a Registry, not from {registry!r}.")
    if not (isinstance(cfg, dict | Mapping) or hasattr(cfg, "_cfg_dict")):
        raise ArgumentTypeError(
            f"A config of {with_article(registry.name)} is a dict with a type, not {cfg!r}."
        )
    if not isinstance(default_args, dict | Mapping | None):
        raise ArgumentTypeError(f"default_args is a dict or None, not {default_args!r}.")
    args = {**(default_args or {}), **cfg}
    if "type" not in args:
        message = f'The config of {with_article(registry.name)} must contain the key "type".'
        raise UnknownNameError(message, **missing_key(cfg, "type"))
    kind = args.pop("type")
    if isinstance(kind, str):
        return _resolve_name(kind, cfg, registry), args
    if not callable(kind):
        message = f"type is a name, a class or a function, not {kind!r}."
        raise ArgumentTypeError(message, **location(cfg, "type"))
    return kind, args


def missing_key(cfg: Any, wanted: str) -> ErrorFields:
    """Return the place and hint of an error about a key that a config does not have.

    If the config has a key with a similar name, the error is about that key.
    """
    near = similar_key(cfg, wanted)
    place = location(cfg, near)
    hint = f"Did you mean {wanted!r} instead of {near!r}?" if near is not None else ""
    return {"origin": place["origin"], "key": place["key"], "hint": hint}


def similar_key(cfg: Any, wanted: str) -> str | None:
    """Return the key of a config that is most similar to a name, or None if none is similar enough."""
    near = close_names(wanted, [key for key in cfg if isinstance(key, str)], count=1, cutoff=MIN_SIMILARITY)
    return near[0] if near else None


def known_registries() -> list[Registry]:
    """Return every registry there is, by name and scope."""
    return sorted(_registries, key=lambda registry: (registry.name, registry.scope))


def _resolve_name(name: str, cfg: Any, registry: Registry) -> Callable[..., Any]:
    found = registry._module_dict.get(name)
    if found is not None:
        return found
    try:
        return registry.resolve(name, folder_of(cfg, "type"))
    except UnknownNameError as error:
        place = location(cfg, "type")
        error.origin, error.key = place["origin"], place["key"]
        raise
    except Exception as error:  # the module at an import path may fail in any way
        error.add_note(f"while importing {name!r} for {describe(cfg, 'type') or 'a config'}")
        raise


def _names(name: object) -> list[str] | None:
    if name is None:
        return None
    names = [name] if isinstance(name, str) else name
    if callable(name):
        raise ArgumentTypeError(
            f"A function is registered by @REGISTRY.register_module(), with parentheses, not by {name!r}."
        )
    if not isinstance(names, Sequence) or not all(isinstance(item, str) for item in names):
        raise ArgumentTypeError(f"A name is a str or a sequence of str, not {name!r}.")
    for item in names:
        if not item or "." in item:
            raise ArgumentError(f"A registered name is not empty and holds no dot, as {item!r} does.")
    if not names:
        raise ArgumentError("An empty sequence of names registers nothing.")
    return list(cast("Sequence[str]", names))


def _outside() -> int:
    """Return the stacklevel with which a warning points at the code that uses this module."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__") == __name__ and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level
