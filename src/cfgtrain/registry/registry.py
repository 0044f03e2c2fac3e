"""Registries: look up the classes that a config names, and build objects from them."""

from __future__ import annotations

import importlib
import inspect
import warnings
import weakref
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from cfgtrain.arguments import check_type
from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    BuildError,
    CfgTrainError,
    ErrorFields,
    NameTakenError,
    UnknownNameError,
)
from cfgtrain.introspection.error_hints import torch_error_hint
from cfgtrain.introspection.frames import find_caller, in_modules
from cfgtrain.introspection.imports import import_object, near_paths
from cfgtrain.introspection.signatures import (
    ArgumentProblem,
    argument_problem,
    callable_name,
    positional_names,
    split_positional,
)
from cfgtrain.introspection.source_search import place_of
from cfgtrain.origin import argument_location, describe, folder_of, location, place_text
from cfgtrain.registry.lookup_errors import describe_namesakes, explain_unknown_name
from cfgtrain.suggestions import close_names, one_of, with_article

__all__ = ["Registry", "build_cfg", "build_from_cfg"]

Built = TypeVar("Built", bound=Callable[..., Any])

# `type='mmcv.ConvModule'` is looked up here, so that configs written for MMCV keep working.
SCOPE_ALIASES = {"mmcv": "cfgtrain"}

# Begins the note of an exception that a class or function raised which a config names.
MAX_VALUE = 40  # characters of a value in the note
MAX_VALUES = 6
BUILD_NOTE = "while building"

MIN_SIMILARITY = 0.7  # of a key that may be a misspelling of one that is missing

_registries: weakref.WeakSet[Registry] = weakref.WeakSet()


class Registry:
    """A named table of classes and functions that configs refer to by ``type=``.

    Every registry has a *scope*, by default the top-level package of the module that creates
    it, and may have a *parent*. A registry, its ancestors and their descendants are a family. The rules:

    1. ``"scope.Name"`` is looked up in the registry of the family that has this scope.
    2. ``"Name"`` alone is looked up in the registry itself, never in its ancestors.
    3. An entry of a grandchild is ``"child.grandchild.Name"``; in its parent, ``"grandchild.Name"``
       is enough.
    4. A scope does not contain a dot: the first dot of a name ends its scope.
    5. Siblings have different scopes. A child with the scope of its parent causes a warning, because
       its entries cannot be reached from the parent.
    6. An entry is built by the ``build_func`` of the registry on which ``build`` was called.
    7. Classes, functions and other callables can be registered; a partial needs a name.
    8. A name that is in no registry may be a full import path, such as ``"torch.nn.GELU"``.
    9. A registry of cfgtrain (with a ``home``) finds a name that it does not have in a registry of a project: its
       descendants, and registries without a parent that have its name, such as ``Registry("dataset")``. If several
       have the name with different entries, it needs a scope. For these registries, that is their scope too.

    Args:
        name: What the registry contains, for messages.
        build_func: Called as ``build_func(cfg, registry=..., **kwargs)`` by ``build``; a function
            or its import path. By default that of the parent, or ``build_from_cfg``.
        parent: The registry that this one extends.
        scope: By default inferred from the calling module.
        home: A module whose import fills the registry. It is imported when a name is not found.

    Attributes:
        projects_first: Whether a name that this registry and one of a project have means that of the project where
            cfgtrain builds a part of a config itself; see ``cfgtrain.registry.projects``.

    Raises:
        ArgumentError: The scope contains a dot, or is that of a sibling.
        ArgumentTypeError: ``parent`` is not a registry, or another argument has a wrong type.
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | str | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        home: str | None = None,
    ) -> None:
        check_type("parent", parent, Registry | None, "a Registry or None")
        check_type("build_func", build_func, Callable | str | None, "a function or its import path")
        check_type("scope", scope, str | None, "a str or None")
        self._name = name
        self._module_dict: dict[str, Callable[..., Any]] = {}
        self._children: dict[str, Registry] = {}
        self._forced: set[str] = set()  # names that were registered with force=True
        self._scope = self.infer_scope() if scope is None else scope
        self.home = home
        self.projects_first = False
        self.parent = parent
        self._given_build_func = build_func
        if "." in self._scope or not self._scope:
            raise ArgumentError(f"A scope must be one word without a dot, not {self._scope!r}.")
        if parent is not None:
            parent._add_child(self)
        _registries.add(self)

    @property
    def name(self) -> str:
        """What the registry contains."""
        return self._name

    @property
    def scope(self) -> str:
        """The first part of ``"scope.Name"``."""
        return self._scope

    @cached_property
    def build_func(self) -> Callable[..., Any]:
        """The function that ``build`` calls; an import path is resolved when it is first read.

        Raises:
            ArgumentError: There is no function at the import path.
        """
        given = self._given_build_func
        if given is None:
            return build_from_cfg if self.parent is None else self.parent.build_func
        return _import_build_func(given, self._name) if isinstance(given, str) else given

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
        """The topmost ancestor; the registry itself if it has no parent."""
        return self if self.parent is None else self.parent.root

    def keys(self) -> KeysView[str]:
        """Return the names in the order of registration."""
        return self._module_dict.keys()

    def __len__(self) -> int:
        return len(self._module_dict)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._module_dict)

    def __bool__(self) -> bool:
        return True  # even if it is empty

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name}, items={self._module_dict})"

    @staticmethod
    def infer_scope() -> str:
        """Return the top-level package of the module that creates a registry."""
        frame = find_caller(lambda frame: isinstance(frame.f_locals.get("self"), Registry)).frame
        return str(frame.f_globals.get("__name__") or "__main__").split(".", 1)[0]

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Split ``"scope.Name"`` at its first dot; without a dot, the scope is None."""
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    def get(self, key: str) -> Callable[..., Any] | None:
        """Return the entry for ``key``, or None; see the rules above."""
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
        """Return the registry in which ``key`` is looked up, and the name there.

        None if no registry of the family has the scope.
        """
        check_type("key", key, str, "a str")
        scope, name = self.split_scope_key(key)
        if scope is None or self._scope in (scope, SCOPE_ALIASES.get(scope)):
            return self, name
        child = self._children.get(scope) or self._children.get(SCOPE_ALIASES.get(scope, scope))
        if child is not None:
            return child.locate(name)
        return None if self.parent is None else self.root.locate(key)

    def fill(self) -> None:
        """Import the module that fills the registry, if there is one."""
        if self.home is not None:
            importlib.import_module(self.home)

    def project_registries(self, name: str) -> list[Registry]:
        """Return the registries of projects that have an entry for ``name``; see the last rule above.

        A project written for MMCV has registries of its own for what MMCV has none, such as datasets, and children of
        MMCV's registries.

        Args:
            name: The name without a scope, or with that of a registry without a parent.
        """
        if self.home is None:
            return []
        scope, own = self.split_scope_key(name)
        return [
            each
            for each in known_registries()
            if each.home is None
            and own in each._module_dict
            and (each.root is self if each.parent is not None else each.name.rstrip("s") == self._name)
            and (scope is None or (each.parent is None and each.scope == scope))
        ]

    def resolve(self, name: str, folder: Path | None = None) -> Callable[..., Any]:
        """Return the entry for ``name``, or the object at that import path.

        Args:
            name: The name of an entry, with or without a scope, or a full import path.
            folder: The folder of the config. If the name is unknown, it is searched for a module that
                defines it.

        Raises:
            UnknownNameError: There is neither. The message suggests a solution.
        """
        found = self.get(name) or import_object(name)
        if found is None:
            of_projects = {entry for each in self.project_registries(name) if (entry := each.get(name))}
            if len(of_projects) == 1:
                return of_projects.pop()
            message, hint = explain_unknown_name(self, name, folder, _registries)
            raise UnknownNameError(message, hint=hint)
        return found

    def build(self, cfg: Any, default_args: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Build the object that ``cfg`` describes; see ``build_from_cfg``."""
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
            name: Its name or names; by default its ``__name__``. A class, as in MMCV before 1.3 and
                with the decorator without parentheses, is registered with a DeprecationWarning.
            force: Whether it may replace an entry of the same name. It also takes precedence over an entry of cfgtrain
                that is registered later, because its module was not imported yet.
            module: The class or function. Without it, a decorator is returned.

        Returns:
            ``module``, or a decorator that returns what it decorates.

        Raises:
            NameTakenError: A name is registered already. Nothing is registered.
            ArgumentTypeError: ``module`` cannot be called, or an argument has a wrong type.
            ArgumentError: A name is empty or contains a dot.
        """
        check_type("force", force, bool, "True or False")
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
        """Register a class as in MMCV before 1.3, with a DeprecationWarning; without a class return a decorator."""
        warnings.warn(
            "A class as the first argument of register_module, or register_module without parentheses, "
            "is deprecated: write @REGISTRY.register_module() or register_module(module=...).",
            DeprecationWarning,
            stacklevel=_stack_level(),
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
            message = "_register_module(module_class=...) is deprecated: write module=..."
            warnings.warn(message, DeprecationWarning, stacklevel=_stack_level())
            module = module_class
        if not callable(module) or inspect.ismethod(module):
            raise ArgumentTypeError(f"Only a class or function can be registered, not {module!r}.")
        names = _names(module_name)
        if names is None:
            if not hasattr(module, "__name__"):
                raise ArgumentError(f"{module!r} has no __name__: register it with name=...")
            names = [module.__name__]
        if self._forced and self.home is not None:
            root = self.home.partition(".")[0]
            if str(getattr(module, "__module__", "")).partition(".")[0] == root:
                names = [
                    each for each in names if each not in self._forced
                ]  # replaced before the home was imported
        if force:
            self._forced.update(names)
        for taken in names if not force else ():
            if taken in self._module_dict:
                raise NameTakenError(
                    f"{taken!r} is already in the {self._name} registry: {place_of(self._module_dict[taken])}. "
                    "Choose another name, or replace the entry with force=True."
                )
        self._module_dict.update(dict.fromkeys(names, module))

    def _add_child(self, child: Registry) -> None:
        if child.scope in self._children:
            raise ArgumentError(
                f"The {self._name} registry already has a child with the scope {child.scope!r}, "
                f"{self._children[child.scope].name!r}: give {child.name!r} another scope."
            )
        if self._scope in (child.scope, SCOPE_ALIASES.get(child.scope)):
            warnings.warn(
                f"The {child.name} registry has the scope of its parent, {child.scope!r}: "
                "its entries cannot be reached from there.",
                stacklevel=_stack_level(),
            )
        self._children[child.scope] = child


def build_from_cfg(cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build the object that a config describes.

    Args:
        cfg: A mapping with ``type`` (a registered name, an import path, a class or a
            function); its other items are the arguments. Not changed.
        registry: The registry in which a name is looked up.
        default_args: Arguments, which may include ``type``, for keys that ``cfg`` does not have.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping, or ``registry`` is not a registry.
        UnknownNameError: No registry of the family has the name, or ``cfg`` has no ``type``.
        BuildError: The arguments do not fit the signature.
        Exception: Any exception from the constructor, with a note with the location in the config.
    """
    target, args = resolve_cfg(cfg, registry, default_args)
    return construct(target, args, cfg)


build_cfg = build_from_cfg


def construct(
    target: Callable[..., Any],
    settings: Mapping[str, Any],
    cfg: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a class or function that a config names, with ``target(*args, **kwargs, **settings)``.

    A list in ``settings`` under the name of the ``*args`` of the target gives its positional arguments.

    Args:
        target: The class or function.
        settings: The arguments from the config.
        cfg: The config, for the locations in messages.
        args: Positional arguments from the calling code.
        kwargs: Keyword arguments from the calling code.

    Raises:
        BuildError: The arguments do not fit the signature, or the config has one of the calling code.
        Exception: Any exception from the constructor, with a note with the location in the config.
    """
    kwargs = kwargs or {}
    names = positional_names(target, args) if args else ()
    problem = argument_problem(
        target,
        settings,
        given=(*(names or ()), *kwargs),
        partial_args=names is None,
        config_keys=("type",),
    )
    if problem is not None:
        raise argument_error(problem, target, cfg)
    if not args:
        args, settings = split_positional(target, settings)
    try:
        return target(*args, **kwargs, **settings)
    except (Exception, SystemExit) as error:
        place = argument_location(cfg, error.argument if isinstance(error, CfgTrainError) else ())
        values = _plain_values(settings) if torch_error_hint(error) else ""
        error.add_note(
            f"{BUILD_NOTE} {callable_name(target)} from {place_text(**place) or 'a config'}{values}"
            f"{'. ' if (others := namesakes(target, cfg)) else ''}{others}"
        )
        if not hasattr(error, "build_location"):  # the innermost
            error.build_location = place  # type: ignore[union-attr]  # for a report that has fields
        raise


def argument_error(problem: ArgumentProblem, target: Callable[..., Any], cfg: Any) -> BuildError:
    """Return the error about the arguments in a config; see ``namesakes`` for what the hint ends with.

    Args:
        problem: What is wrong.
        target: The class or function that the config names.
        cfg: The config.
    """
    return problem._replace(hint=f"{problem.hint} {namesakes(target, cfg)}".strip()).error(cfg)


def namesakes(target: Callable[..., Any], cfg: Any) -> str:
    """Return which class a config names if there are several with the name, and how to name the others.

    Args:
        target: The class or function that the config names.
        cfg: The config.

    Returns:
        The text, or ``""`` if the name is that of one class only.
    """
    kind = cfg.get("type") if isinstance(cfg, Mapping) else None
    return describe_namesakes(kind, target, known_registries()) if isinstance(kind, str) else ""


def _plain_values(settings: Mapping[str, Any]) -> str:
    """Return the arguments that are numbers or short texts, such as ``", with width=64"``, or ``""``."""
    plain = [
        f"{name}={value!r}"
        for name, value in settings.items()
        if isinstance(value, bool | int | float | str | None) and len(repr(value)) <= MAX_VALUE
    ]
    return f", with {', '.join(plain[:MAX_VALUES])}" if plain else ""


def resolve_cfg(
    cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the class or function that a config names, and the keyword arguments for it."""
    check_type("registry", registry, Registry, "a Registry")
    if not (isinstance(cfg, dict | Mapping) or hasattr(cfg, "_cfg_dict")):
        raise ArgumentTypeError(
            f"A config of {with_article(registry.name)} must be a dict with a type, not {cfg!r}."
        )
    check_type("default_args", default_args, dict | Mapping | None, "a dict or None")
    args = {**(default_args or {}), **cfg}
    if "type" not in args:
        message = f'The config of {with_article(registry.name)} must contain the key "type".'
        raise UnknownNameError(message, **missing_key(cfg, "type"))
    kind = args.pop("type")
    if isinstance(kind, str):
        return _resolve_name(kind, cfg, registry), args
    if not callable(kind):
        message = f"type must be a name, a class or a function, not {kind!r}."
        raise ArgumentTypeError(message, **location(cfg, "type"))
    return kind, args


def missing_key(cfg: Any, wanted: str) -> ErrorFields:
    """Return the place and hint of an error about a key that a config does not have.

    If the config has a key with a similar name, the error is about that key.
    """
    near = similar_key(cfg, wanted)
    hint = f"Did you mean {wanted!r} instead of {near!r}?" if near is not None else ""
    place = location(cfg, near)
    return {"origin": place["origin"], "key": place["key"], "hint": hint}


def similar_key(cfg: Any, wanted: str) -> str | None:
    """Return the key of a config that is most similar to a name, or None if none is similar enough."""
    near = close_names(wanted, [key for key in cfg if isinstance(key, str)], count=1, cutoff=MIN_SIMILARITY)
    return near[0] if near else None


def known_registries() -> list[Registry]:
    """Return all registries, sorted by name and scope."""
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


def _import_build_func(path: str, registry_name: str) -> Callable[..., Any]:
    try:
        found = import_object(path)
    except Exception as error:  # the module at the import path may fail in any way
        error.add_note(f"while importing {path!r}, the build_func of the {registry_name} registry")
        raise
    if found is not None:
        return found
    reached, near = near_paths(path)
    if reached == path:
        reason = "it cannot be called."
    else:
        missing = path[len(reached) :].lstrip(".").split(".")[0]
        reason = f"{reached!r} has no {missing!r}." if reached else f"there is no module {missing!r}."
    hint = f" Did you mean {one_of(near)}?" if near else ""
    raise ArgumentError(
        f"The build_func of the {registry_name} registry cannot be imported from {path!r}: {reason}{hint}"
    )


def _names(name: object) -> list[str] | None:
    if name is None:
        return None
    names = [name] if isinstance(name, str) else name
    if callable(name):
        raise ArgumentTypeError(
            f"To register a function, write @REGISTRY.register_module() with parentheses; the name {name!r} is not a str."
        )
    if not isinstance(names, Sequence) or not all(isinstance(item, str) for item in names):
        raise ArgumentTypeError(f"A name must be a str or a sequence of str, not {name!r}.")
    for item in names:
        if not item or "." in item:
            raise ArgumentError(f"A registered name must not be empty or contain a dot, as {item!r} does.")
    if not names:
        raise ArgumentError("The sequence of names is empty.")
    return list(cast("Sequence[str]", names))


def _stack_level() -> int:
    """Return the ``stacklevel`` with which a warning names the code that uses this module."""
    return find_caller(in_modules(__name__)).stack_level
