"""What a class or function can be called with, and what is wrong with a call."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from cfgtrain.errors import suggest

__all__ = [
    "ArgumentProblem",
    "Parameters",
    "accepted_args",
    "argument_problem",
    "callable_name",
    "parameters_of",
    "type_problem",
]


class Parameters(NamedTuple):
    """What can be given by name.

    Attributes:
        names: Every name, in order.
        required: Those without a default.
        open_ended: Whether any other name is taken as well.
        annotations: Types by name, where they are stated and can be read.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    open_ended: bool
    annotations: dict[str, Any]


class ArgumentProblem(NamedTuple):
    """What is wrong with a call.

    Attributes:
        text: For the user, with what would be right.
        argument: The argument that is wrong, None for one that is missing.
    """

    text: str
    argument: str | None


def argument_problem(
    target: Callable[..., Any], args: Mapping[str, Any], *, partial_args: bool = False
) -> ArgumentProblem | None:
    """Return what is wrong with the names of ``target(**args)``, or None.

    Args:
        target: A class or function; one without a readable signature is never wrong.
        args: Its keyword arguments.
        partial_args: Whether others will be added, so that none can be missing yet.
    """
    parameters = parameters_of(target)
    if parameters is None:
        return None
    unknown = [] if parameters.open_ended else [name for name in args if name not in parameters.names]
    if unknown:
        hint = suggest(unknown[0], [name for name in parameters.names if name not in args])
        text = f"{callable_name(target)} takes no argument {unknown[0]!r}.{hint or _listed(parameters)}"
        return ArgumentProblem(text, unknown[0])
    missing = [] if partial_args else [name for name in parameters.required if name not in args]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        listed = " and ".join(map(repr, missing))
        text = f"{callable_name(target)} needs the argument{plural} {listed}.{_listed(parameters)}"
        return ArgumentProblem(text, None)
    return None


def type_problem(target: Callable[..., Any], name: str, value: Any) -> str | None:
    """Return what is wrong with the type of one argument, or None.

    Only plain annotations are judged (numbers, str, bool, None, containers, Literal and
    unions of these); an int is a float, a list stands for any sequence, and a dict may
    describe any object that is built from it.
    """
    parameters = parameters_of(target)
    annotation = parameters.annotations.get(name) if parameters is not None else None
    if annotation is None or _fits(value, annotation) is not False:
        return None
    wanted = _spelled(annotation)
    return f"{name} of {callable_name(target)} is {wanted}, not {value!r}, which is a {type(value).__name__}."


def accepted_args(target: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``args`` that ``target`` takes by name: what it is offered, not forced to know."""
    parameters = parameters_of(target)
    if parameters is None or parameters.open_ended:
        return dict(args)
    return {name: value for name, value in args.items() if name in parameters.names}


def callable_name(target: Callable[..., Any]) -> str:
    """Return the name of a class, function or partial as messages show it."""
    inner = target.func if isinstance(target, partial) else target
    return str(getattr(inner, "__qualname__", inner))


@lru_cache(maxsize=4096)
def parameters_of(target: Callable[..., Any]) -> Parameters | None:
    """Return what ``target`` takes by name, or None where its signature cannot be read.

    Where a constructor passes its ``**kwargs`` on to ``super().__init__``, what that takes
    is taken too.
    """
    own = _signature_parameters(target)
    if own is None or not own.open_ended or not inspect.isclass(target):
        return own
    names, required, annotations = list(own.names), list(own.required), dict(own.annotations)
    for cls, base in zip(target.__mro__, target.__mro__[1:], strict=False):
        if "__init__" in vars(cls) and not _passes_kwargs_on(cls):
            return Parameters(tuple(names), tuple(required), True, annotations)
        inherited = _signature_parameters(base) if base is not object else Parameters((), (), False, {})
        if inherited is None:
            break
        names += [name for name in inherited.names if name not in names]
        required += [name for name in inherited.required if name not in own.names]
        annotations = {**inherited.annotations, **annotations}
        if not inherited.open_ended:
            return Parameters(tuple(names), tuple(required), False, annotations)
    return own


def _signature_parameters(target: Callable[..., Any]) -> Parameters | None:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return None
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Parameters(
        names=tuple(p.name for p in named),
        required=tuple(p.name for p in named if p.default is p.empty),
        open_ended=any(p.kind is p.VAR_KEYWORD for p in parameters),
        annotations=_annotations(target),
    )


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # an annotation may name anything: one that cannot be read says nothing
        return {}


def _passes_kwargs_on(cls: type) -> bool:
    """Say whether the constructor of ``cls`` hands its ``**kwargs`` to ``super().__init__``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(vars(cls)["__init__"])))
    except (OSError, TypeError, SyntaxError):
        return False
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "__init__"
        ):
            return any(keyword.arg is None for keyword in node.keywords)
    return False


def _fits(value: Any, annotation: Any) -> bool | None:
    """Say whether a value fits an annotation; None where that cannot be judged."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        verdicts = [_fits(value, option) for option in typing.get_args(annotation)]
        return None if None in verdicts and True not in verdicts else True in verdicts
    if origin is typing.Literal:
        return value in typing.get_args(annotation)
    kind = origin or annotation
    if kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    if kind in (list, tuple, Sequence):
        return isinstance(value, (list, tuple)) or (kind is Sequence and isinstance(value, str))
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    return None


def _spelled(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spelled(option) for option in typing.get_args(annotation))
    if origin is typing.Literal:
        return " or ".join(map(repr, typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
    kind = origin or annotation
    return f"a {kind.__name__}" if inspect.isclass(kind) else str(kind)


def _listed(parameters: Parameters) -> str:
    return f" It takes ({', '.join(parameters.names)})."
