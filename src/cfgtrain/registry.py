"""Registries: names in a config become classes, and classes become objects."""

from __future__ import annotations

import importlib
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, TypeVar, cast

from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    BuildError,
    NameTakenError,
    UnknownNameError,
    suggest,
)
from cfgtrain.origin import describe, key_path
from cfgtrain.utils.signatures import argument_problem, callable_name

__all__ = ["Registry", "build_cfg", "build_from_cfg"]

Built = TypeVar("Built", bound=Callable[..., Any])

# `type='mmcv.ConvModule'` means ours: configs written for MMCV keep working.
SCOPE_ALIASES = {"mmcv": "cfgtrain"}

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
        ArgumentTypeError: ``parent`` is no registry.
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
        scope, name = self.split_scope_key(key)
        scope = SCOPE_ALIASES.get(scope, scope) if scope else scope
        if scope is None or scope == self._scope:
            return self._own(name)
        if scope in self._children:
            return self._children[scope].get(name)
        root = self
        while root.parent is not None:
            root = root.parent
        return root.get(key) if root is not self else None

    def resolve(self, name: str) -> Callable[..., Any]:
        """Return the entry ``name`` names, or the object at that import path.

        Raises:
            UnknownNameError: There is neither; the nearest names are suggested.
        """
        found = self.get(name) or _import_object(name)
        if found is None:
            hint = suggest(name, [*self._module_dict, *_siblings(name)]) or self._known()
            elsewhere = sorted(r.name for r in _registries if r is not self and name in r._module_dict)
            also = f" (A {elsewhere[0]} has that name.)" if elsewhere else ""
            raise UnknownNameError(f"{name!r} is not in the {self._name} registry.{hint}{also}")
        return found

    def build(self, cfg: Any, default_args: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Build what ``cfg`` describes; see ``build_from_cfg``."""
        if default_args is not None:
            kwargs["default_args"] = default_args
        return self.build_func(cfg, registry=self, **kwargs)

    def register_module(
        self, name: str | Sequence[str] | None = None, force: bool = False, module: Any = None
    ) -> Any:
        """Register a class or function, as a decorator or by a call.

        Args:
            name: Its name or names; by default its ``__name__``.
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
        names = _names(name)
        if module is not None:
            self._register(module, names, force)
            return module

        def register(decorated: Built) -> Built:
            self._register(decorated, names, force)
            return decorated

        return register

    def _register(self, module: Any, names: Sequence[str] | None, force: bool) -> None:
        if not callable(module) or inspect.ismethod(module):
            raise ArgumentTypeError(f"A class or function is registered, not {module!r}.")
        if names is None:
            if not hasattr(module, "__name__"):
                raise ArgumentError(f"{module!r} has no __name__: register it with name=...")
            names = [module.__name__]
        for taken in names if not force else ():
            if taken in self._module_dict:
                raise NameTakenError(
                    f"{taken!r} is in the {self._name} registry already: {_place(self._module_dict[taken])}. "
                    "Choose another name, or replace it with force=True."
                )
        self._module_dict.update(dict.fromkeys(names, module))

    def _add_child(self, child: Registry) -> None:
        if child.scope in self._children:
            raise ArgumentError(
                f"The {self._name} registry has a child of scope {child.scope!r} already, "
                f"{self._children[child.scope].name!r}: give {child.name!r} a scope of its own."
            )
        if child.scope == self._scope:
            import warnings

            warnings.warn(
                f"The {child.name} registry has the scope of its parent, {self._scope!r}: "
                "its entries cannot be reached from there.",
                stacklevel=3,
            )
        self._children[child.scope] = child

    def _own(self, name: str) -> Callable[..., Any] | None:
        if name not in self._module_dict and self.home is not None:
            home, self.home = self.home, None  # before the import, which may ask again
            try:
                importlib.import_module(home)
            except BaseException:
                self.home = home
                raise
        return self._module_dict.get(name)

    def _known(self) -> str:
        names = sorted(self._module_dict)
        if not names:
            return " It is empty: is the module that fills it in custom_imports?"
        listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        return f" It holds {listed}."


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
    problem = argument_problem(target, args)
    if problem is not None:
        raise BuildError(problem.text + at_place(cfg, problem.argument))
    try:
        return target(**args)
    except Exception as error:
        error.add_note(f"while building {callable_name(target)} from {describe(cfg) or 'a config'}")
        raise


build_cfg = build_from_cfg


def resolve_cfg(
    cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what a config would call, and the keyword arguments for it."""
    if not isinstance(registry, Registry):
        raise ArgumentTypeError(f"A config is built from a Registry, not from {registry!r}.")
    if not (isinstance(cfg, Mapping) or hasattr(cfg, "_cfg_dict")):
        raise ArgumentTypeError(f"A {registry.name} is built from a dict with a type, not from {cfg!r}.")
    if not isinstance(default_args, Mapping | None):
        raise ArgumentTypeError(f"default_args is a dict or None, not {default_args!r}.")
    args = {**(default_args or {}), **cfg}
    if "type" not in args:
        raise UnknownNameError(f'The config of a {registry.name} must contain the key "type".{at_place(cfg)}')
    kind = args.pop("type")
    if isinstance(kind, str):
        try:
            return registry.resolve(kind), args
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}{at_place(cfg, 'type')}") from None
    if not callable(kind):
        raise ArgumentTypeError(
            f"type is a name, a class or a function, not {kind!r}.{at_place(cfg, 'type')}"
        )
    return kind, args


def _names(name: object) -> list[str] | None:
    if name is None:
        return None
    names = [name] if isinstance(name, str) else name
    if not isinstance(names, Sequence) or not all(isinstance(item, str) for item in names):
        raise ArgumentTypeError(f"A name is a str or a sequence of str, not {name!r}.")
    for item in names:
        if not item or "." in item:
            raise ArgumentError(f"A registered name is not empty and holds no dot, as {item!r} does.")
    if not names:
        raise ArgumentError("An empty sequence of names registers nothing.")
    return list(cast("Sequence[str]", names))


def _import_object(name: str) -> Callable[..., Any] | None:
    """Return the object at a full import path such as ``torch.nn.GELU``, or None."""
    module_name, dot, attribute = name.rpartition(".")
    if not dot or not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            return None
        raise
    return found if callable(found) else None


def _siblings(name: str) -> list[str]:
    """Return the import paths beside ``name`` in a module that is loaded."""
    module_name = name.rpartition(".")[0]
    module = sys.modules.get(module_name)
    return [f"{module_name}.{each}" for each in dir(module) if each[:1] != "_"] if module else []


def at_place(cfg: Any, key: object = None) -> str:
    """Return a line of its own, "at key (file:line)", for a config that knows its place, else ""."""
    node = getattr(cfg, "_cfg_dict", cfg)
    place = describe(node, key) if key_path(node) else ""
    return f"\n  at {place}" if place else ""


def _place(target: Callable[..., Any]) -> str:
    inner = target.func if isinstance(target, partial) else target
    try:
        file, line = inspect.getsourcefile(cast("Any", inner)), inspect.getsourcelines(inner)[1]
    except (TypeError, OSError):
        return f"{getattr(inner, '__module__', '?')}.{callable_name(target)}"
    return f"{callable_name(target)} at {file}:{line}"
