"""Check the config of one object against the signature of its class, without building it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from cfgtrain.config.dict import without
from cfgtrain.config.key_paths import items_of
from cfgtrain.errors import CfgTrainError, ConfigValueError
from cfgtrain.introspection.imports import import_failure
from cfgtrain.introspection.signatures import (
    accepted_args,
    argument_problem,
    callable_name,
    parameters_of,
    short_repr,
    type_hint,
    type_problem,
)
from cfgtrain.origin import Location, argument_location, dotted, location
from cfgtrain.registries import BATCH_TRANSFORMS, HOOKS, INITIALIZERS, METRICS, PIPELINES
from cfgtrain.registry.registry import (
    Registry,
    argument_error,
    known_registries,
    namesakes,
    resolve_cfg,
    similar_key,
)
from cfgtrain.runner.hooks.hook import STAGES, Hook
from cfgtrain.runner.stages import check_stages
from cfgtrain.suggestions import close_names

__all__ = [
    "arguments",
    "component",
    "config_error",
    "import_error",
    "is_builtin",
    "nested",
    "value_error",
    "wrong_value",
]


def component(
    node: Any,
    key: Any,
    registry: Registry,
    given: tuple[str, ...] = (),
    *,
    partial_args: bool = False,
    config_keys: tuple[str, ...] = (),
) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the config ``node[key]`` of one object.

    Args:
        node: Dict or list that contains the config.
        key: Its key or index there.
        registry: Where its ``type`` is looked up.
        given: Names of arguments that are added when it is built.
        partial_args: Whether any other argument may be added too, so that none counts as missing.
        config_keys: Names that the config may have besides ``type`` and arguments, for suggestions.
    """
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        yield wrong_value(node, key, "a dict with a type")
        return
    try:
        target, args = resolve_cfg(cfg, registry)
    except CfgTrainError as error:
        yield error
        return
    except Exception as error:  # an import path may name a module that fails in any way
        yield import_error(error, cfg, "type")
        return
    problems = list(arguments(cfg, target, args, given, partial_args, ("type", *config_keys)))
    if registry is HOOKS:
        problems += _hook_problems(cfg, target)
    tried = registry in (BATCH_TRANSFORMS, HOOKS, INITIALIZERS, METRICS, PIPELINES) and isinstance(
        target, type
    )
    if not problems and tried and is_builtin(target):
        problems += _trial(cfg, target, args)
    yield from problems


def arguments(
    cfg: Any,
    target: Any,
    stated: Mapping[str, Any],
    given: tuple[str, ...] = (),
    partial_args: bool = False,
    config_keys: tuple[str, ...] = (),
) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the arguments that a config gives to a class or function.

    Args:
        cfg: The config that contains the arguments.
        target: The class or function.
        stated: The items of ``cfg`` that are arguments.
        given: Names of arguments that are added when it is called.
        partial_args: Whether any other argument may be added too, so that none counts as missing.
        config_keys: Names that the config may have besides arguments, for suggestions.
    """
    names = {**accepted_args(target, dict.fromkeys(given)), **stated}
    problem = argument_problem(target, names, partial_args=partial_args, config_keys=config_keys)
    while problem is not None:
        yield argument_error(problem, target, cfg)
        if problem.argument is None:
            break
        # Look for the next one. Missing arguments no longer count: this one was probably a misspelled one.
        del names[problem.argument]
        problem = argument_problem(target, names, partial_args=True, config_keys=config_keys)
    for name, value in stated.items():
        wrong = type_problem(target, name, value)
        if wrong is not None:
            hint = f"{type_hint(target, name, value)} {namesakes(target, cfg)}".strip()
            yield ConfigValueError(wrong, hint=hint, argument=name, **location(cfg, name))


def nested(node: Any, registry: Registry) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the configs inside the config of another object.

    The outer object may add arguments and may build from another registry. So a name that is not in
    ``registry`` is only reported if no registry has it, and it is an import path or looks more like a name in
    ``registry`` than like one in another registry.
    """
    for key, value in items_of(node):
        if key == "init_cfg":
            yield from _init_cfg(node, value)
            continue
        kind = _type_of(value)
        if isinstance(kind, str) and _belongs_to(registry, kind):
            # build_norm_layer takes requires_grad itself.
            holder, place = (
                ([without(value, "requires_grad")], 0) if "requires_grad" in value else (node, key)
            )
            yield from component(holder, place, registry, partial_args=True)
        yield from nested(value, registry)


def _belongs_to(registry: Registry, kind: str) -> bool:
    """Return whether a type is one of a registry, or probably a mistake in writing one."""
    others = [each for each in known_registries() if each is not registry]
    if kind in registry:
        # If a project has the name too, the outer object may build the project's.
        return not any(each.home is None and kind in each.module_dict for each in others)
    if any(kind in each for each in others):
        return False
    nearest = close_names(kind, chain(registry, *others), count=1)
    return "." in kind or any(name in registry.keys() for name in nearest)  # noqa: SIM118  # no look-up


def _type_of(value: Any) -> Any:
    """Return the ``type`` of a config, or the value of a key that may be a misspelling of it."""
    if not isinstance(value, Mapping):
        return None
    return value["type"] if "type" in value else value.get(similar_key(value, "type"))


def _init_cfg(node: Any, value: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the config of an initializer, or a list of them."""
    several = isinstance(value, (list, tuple))
    for key, each in enumerate(value) if several else [("init_cfg", value)] if value is not None else []:
        holder = value if several else node
        if not isinstance(each, Mapping) or "override" not in each:
            yield from component(holder, key, INITIALIZERS, config_keys=("override",))
            continue
        override = each["override"]
        yield from component([without(each, "override")], 0, INITIALIZERS, config_keys=("override",))
        for part in override if isinstance(override, (list, tuple)) else [override]:
            if isinstance(part, Mapping) and "type" in part:
                yield from component([without(part, "name")], 0, INITIALIZERS)


def is_builtin(target: Any) -> bool:
    """Return whether a class belongs to cfgtrain: then building it has no side effects."""
    return str(target.__module__).startswith("cfgtrain.")


def wrong_value(node: Any, key: Any, right: str) -> ConfigValueError:
    """Return an error for a value of a config.

    Args:
        node: The part of the config that contains it.
        key: Its key.
        right: What the value must be.
    """
    return ConfigValueError(f"{dotted([key])} must be {right}, not {node[key]!r}.", **location(node, key))


def config_error(error: CfgTrainError, node: Any, key: Any = None) -> ConfigValueError:
    """Return an error about a value as one about ``node[key]``, unless it has a place already.

    Without a key, the error is about the argument that it names, if that is in ``node``.
    """
    if error.key is not None:
        place = Location(origin=error.origin, key=error.key)
    elif key is not None:
        place = location(node, key)
    else:
        place = argument_location(node, error.argument)
    return ConfigValueError(error.message, hint=error.hint, argument=error.argument, **place)


def import_error(error: Exception, node: Any, key: str) -> ConfigValueError:
    """Return the error for the import path ``node[key]``, whose module raised ``error``."""
    message = f"{node[key]!r} cannot be imported: {import_failure(error)}."
    return ConfigValueError(message, **location(node, key))


def _hook_problems(cfg: Any, target: Any) -> Iterator[CfgTrainError]:
    """Yield the reasons for which a runner would reject the hook."""
    if isinstance(target, type) and not issubclass(target, Hook):
        yield ConfigValueError(f"{target.__name__} is not a Hook.", **location(cfg, "type"))
    elif isinstance(target, type):
        try:
            check_stages(target, STAGES)
        except CfgTrainError as error:
            yield config_error(error, cfg, "type")


def _trial(cfg: Any, target: Any, args: dict[str, Any]) -> Iterator[CfgTrainError]:
    """Build a hook, metric, transform or initializer of cfgtrain, whose constructor validates its arguments."""
    try:
        target(**args)
    except CfgTrainError as error:
        if not error.argument:
            error.argument = tuple(filter(None, [_rejected(target, args)]))
        yield config_error(error, cfg)
    except Exception as error:  # a value that the constructor cannot process
        yield value_error(error, cfg, target, args)


def value_error(error: Exception, cfg: Any, target: Any, args: Mapping[str, Any]) -> ConfigValueError:
    """Return the error for values that a constructor does not accept, at the one that it rejects.

    Args:
        error: What the constructor raised.
        cfg: Config of the object.
        target: The class or function; it is called again, to find the value.
        args: Its arguments.
    """
    name = _rejected(target, args) or (next(iter(args)) if len(args) == 1 else None)
    values = "these values" if name is None else f"{name}={args[name]!r}"
    place = location(cfg, name)
    parameters = parameters_of(target)
    if name is not None and args[name] is None and parameters is not None and name in parameters.defaults:
        message = f"{callable_name(target)} does not accept {values}."
        hint = f"Leave it out for the default, {short_repr(parameters.defaults[name])}."
        return ConfigValueError(message, hint=hint, argument=name, **place)
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    message = f"{callable_name(target)} does not accept {values}: {reason.rstrip('.')}."
    return ConfigValueError(message, argument=name or (), **place)


def _rejected(target: Any, args: Mapping[str, Any]) -> str | None:
    """Return the argument without which a call succeeds, or None if there is no such argument."""
    for name in args:
        with suppress(Exception):  # a required argument is missing, or another one is wrong as well
            target(**{key: value for key, value in args.items() if key != name})
            return name
    return None
