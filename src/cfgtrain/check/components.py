"""Check the config of one object against what would be called, without calling it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.errors import BuildError, CfgTrainError, ConfigError, ConfigValueError
from cfgtrain.introspection.signatures import accepted_args, argument_problem, type_problem
from cfgtrain.origin import at_place, dotted, key_path, where
from cfgtrain.registries import HOOKS, INITIALIZERS, PIPELINES
from cfgtrain.registry.registry import Registry, resolve_cfg
from cfgtrain.runner.hooks.hook import STAGES, Hook
from cfgtrain.runner.stages import check_stages
from cfgtrain.suggestions import close_names

__all__ = ["arguments", "component", "is_own", "nested", "problem_at"]


def component(
    node: Any, key: Any, registry: Registry, given: tuple[str, ...] = (), *, partial_args: bool = False
) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the config ``node[key]`` of one object.

    Args:
        node: Dict or list that holds it.
        key: Its key or index there.
        registry: Where its ``type`` is looked up.
        given: Arguments that whoever builds it adds.
        partial_args: Whether others may be added too, so that none can be missing yet.
    """
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        yield problem_at(ConfigValueError, f"{dotted([key])} is a dict with a type, not {cfg!r}.", node, key)
        return
    try:
        target, args = resolve_cfg(cfg, registry)
    except CfgTrainError as error:
        yield error
        return
    except Exception as error:  # an import path may name a module that fails in any way
        yield ConfigValueError(
            f"{cfg['type']!r} cannot be imported: {type(error).__name__}: {error}{at_place(cfg, 'type')}"
        )
        return
    problems = list(arguments(cfg, target, args, given, partial_args))
    if registry is HOOKS:
        problems += _no_hook(cfg, target)
    if not problems and registry in (HOOKS, PIPELINES, INITIALIZERS) and is_own(target):
        problems += _trial(cfg, target, args)
    yield from problems


def arguments(
    cfg: Any, target: Any, stated: Mapping[str, Any], given: tuple[str, ...] = (), partial_args: bool = False
) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the arguments that a config states for a target.

    Args:
        cfg: Where they stand.
        target: What would be called.
        stated: The arguments among its items.
        given: Names of those that whoever calls it adds.
        partial_args: Whether others may be added too, so that none can be missing yet.
    """
    names = {**accepted_args(target, dict.fromkeys(given)), **stated}
    problem = argument_problem(target, names, partial_args=partial_args)
    while problem is not None:
        yield BuildError(problem.at(at_place(cfg, problem.argument)))
        if problem.argument is None:
            break
        del names[problem.argument]  # and on to the next one; one that is missing was probably meant by it
        problem = argument_problem(target, names, partial_args=True)
    for name, value in stated.items():
        wrong = type_problem(target, name, value)
        if wrong is not None:
            yield problem_at(ConfigValueError, wrong, cfg, name)


def nested(node: Any, registry: Registry) -> Iterator[CfgTrainError]:
    """Yield what is wrong inside another object's config, as far as it can be known.

    Its parent may add arguments and may build it from a registry of its own: names that no
    known registry holds are left to the builder, unless they nearly match one or are an
    import path.
    """
    for key, value in _items(node):
        if key == "init_cfg":
            yield from _init_cfg(node, value)
            continue
        kind = value.get("type") if isinstance(value, Mapping) else None
        if isinstance(kind, str) and (
            "." in kind or kind in registry or close_names(kind, registry, count=1)
        ):
            yield from component(node, key, registry, partial_args=True)
        yield from nested(value, registry)


def _init_cfg(node: Any, value: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the config of an initializer, or a list of them."""
    several = isinstance(value, (list, tuple))
    for key, each in enumerate(value) if several else [("init_cfg", value)] if value is not None else []:
        holder = value if several else node
        if not isinstance(each, Mapping) or "override" not in each:
            yield from component(holder, key, INITIALIZERS)
            continue
        bare = each.copy()  # type: ignore[attr-defined]  # a dict or ConfigDict
        override = bare.pop("override")
        yield from component([bare], 0, INITIALIZERS)
        for part in override if isinstance(override, (list, tuple)) else [override]:
            if isinstance(part, Mapping) and "type" in part:
                own = part.copy()  # type: ignore[attr-defined]  # likewise
                own.pop("name", None)
                yield from component([own], 0, INITIALIZERS)


def is_own(target: Any) -> bool:
    """Say whether a class is one of ours, and so can be built to see whether it can be."""
    return str(target.__module__).startswith("cfgtrain.")


def problem_at(kind: type[ConfigError], message: str, node: Any, key: Any) -> ConfigError:
    """Return an error that names the place of ``node[key]``."""
    place = where(node, key)
    return kind(
        message,
        file=place.file if place else None,
        line=place.line if place else None,
        key=key_path(node, key),
        word=place.text if place and not place.file else None,
    )


def _items(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, (list, tuple)) else []


def _no_hook(cfg: Any, target: Any) -> Iterator[CfgTrainError]:
    """Find what registering the hook would refuse."""
    if isinstance(target, type) and not issubclass(target, Hook):
        yield ConfigValueError(f"{target.__name__} is no Hook.{at_place(cfg, 'type')}")
    elif isinstance(target, type):
        try:
            check_stages(target, STAGES)
        except CfgTrainError as error:
            yield ConfigValueError(f"{error}{at_place(cfg, 'type')}")


def _trial(cfg: Any, target: Any, args: dict[str, Any]) -> Iterator[CfgTrainError]:
    """Build one of our own hooks or transforms, which costs nothing, to hear what it says of the values."""
    try:
        target(**args)
    except CfgTrainError as error:
        yield ConfigValueError(f"{error}{at_place(cfg)}")
