"""Read the signatures of classes and functions, and check calls against them."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from cfgtrain.errors import ArgumentError, BuildError
from cfgtrain.origin import location
from cfgtrain.suggestions import suggest, with_article

__all__ = [
    "ArgumentProblem",
    "Parameters",
    "accepted_args",
    "argument_problem",
    "callable_name",
    "check_dict",
    "parameters_of",
    "positional_names",
    "short_repr",
    "signature_text",
    "split_positional",
    "type_hint",
    "type_problem",
]


class Parameters(NamedTuple):
    """The parameters of a class or function that can be given by name.

    Attributes:
        names: All names, in order.
        required: The names without a default.
        open_ended: Whether any other name is accepted as well.
        annotations: Types by name, if they are annotated and can be resolved.
        defaults: Default values by name.
        positional: Name of ``*args``, whose items are given as a list under this name, or None. Also None if any
            other name is accepted, because this one then is no exception.
        num_before: Number of ``names`` before it.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    open_ended: bool
    annotations: dict[str, Any]
    defaults: dict[str, Any]
    positional: str | None = None
    num_before: int = 0


class ArgumentProblem(NamedTuple):
    """What is wrong with a call.

    Attributes:
        message: What is wrong.
        argument: The argument that is wrong, None for one that is missing.
        signature: The signature of the class or function.
        hint: The nearest name, as in ``"Did you mean 'lr'?"``, or ``""``.
    """

    message: str
    argument: str | None
    signature: str
    hint: str = ""

    def error(self, cfg: object) -> BuildError:
        """Return the error about the arguments in a config."""
        return BuildError(
            self.message,
            hint=self.hint,
            signature=self.signature,
            argument=self.argument or (),
            **location(cfg, self.argument),
        )


def argument_problem(
    target: Callable[..., Any],
    args: Mapping[str, Any],
    *,
    given: Collection[str] = (),
    partial_args: bool = False,
    config_keys: Sequence[str] = (),
) -> ArgumentProblem | None:
    """Return what is wrong with the names of ``target(**args)``, or None.

    Args:
        target: A class or function; one without a readable signature is never wrong.
        args: Its keyword arguments.
        given: Names of the arguments that the calling code passes besides, so that ``args`` must not
            contain them.
        partial_args: Whether other arguments will be added, so that none is missing.
        config_keys: Names that a config may have besides arguments, such as ``type``: a wrong name
            may be a misspelling of one of them.
    """
    twice = [name for name in args if name in given]
    if twice:
        message = f"{callable_name(target)} gets the argument {twice[0]!r} from the code that builds it."
        return ArgumentProblem(message, twice[0], signature_text(target), f"Remove {twice[0]!r}.")
    parameters = parameters_of(target)
    if parameters is None:
        return None
    names = (*args, *given)
    known = (*parameters.names, parameters.positional)
    unknown = [] if parameters.open_ended else [name for name in names if name not in known]
    if unknown:
        message = f"{callable_name(target)} takes no argument {unknown[0]!r}."
        hint = suggest(str(unknown[0]), (*filter(None, known), *config_keys))
        return ArgumentProblem(message, unknown[0], signature_text(target), hint)
    missing = [] if partial_args else [name for name in parameters.required if name not in names]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        listed = " and ".join(map(repr, missing))
        message = f"{callable_name(target)} needs the argument{plural} {listed}."
        return ArgumentProblem(message, None, signature_text(target))
    several = parameters.positional
    if several is not None and several in args and not isinstance(args[several], list | tuple):
        message = f"{several} of {callable_name(target)} must be a list of positional arguments, not {args[several]!r}."
        return ArgumentProblem(message, several, signature_text(target))
    return None


def split_positional(
    target: Callable[..., Any], args: Mapping[str, Any]
) -> tuple[list[Any], Mapping[str, Any]]:
    """Return the positional and the keyword arguments of ``target`` for arguments by name.

    They are all keyword arguments, unless there is a list for ``*args``: then the parameters before it are positional
    too.

    Args:
        target: A class or function.
        args: Arguments in which ``argument_problem`` finds nothing wrong.
    """
    parameters = parameters_of(target)
    if parameters is None or parameters.positional is None or parameters.positional not in args:
        return [], args
    before = parameters.names[: parameters.num_before]
    values = [args[name] if name in args else parameters.defaults[name] for name in before]
    rest = {name: value for name, value in args.items() if name not in (*before, parameters.positional)}
    return [*values, *args[parameters.positional]], rest


def positional_names(target: Callable[..., Any], args: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of the parameters that positional arguments fill, or None if they are not known.

    They are not known if the signature has ``*args`` or cannot be read, or if there are too many arguments.
    """
    try:
        names = _cached_positional(target)
    except TypeError:  # target is not hashable
        names = _positional(target)
    return None if names is None or len(args) > len(names) else names[: len(args)]


def _positional(target: Callable[..., Any]) -> tuple[str, ...] | None:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


_cached_positional = lru_cache(maxsize=4096)(_positional)


def type_problem(target: Callable[..., Any], name: str, value: Any) -> str | None:
    """Return what is wrong with the type of one argument, or None.

    Only simple annotations are checked (numbers, str, bool, None, containers, Literal and
    unions of these). An int is valid for a float, a list for any sequence, and a dict for any
    object, because the object may be built from it.
    """
    parameters = parameters_of(target)
    annotation = parameters.annotations.get(name) if parameters and name in parameters.names else None
    if annotation is None or _fits(value, annotation) is not False:
        return None
    wanted = _spelled(annotation, with_items=isinstance(value, (list, tuple)))
    return f"{name} of {callable_name(target)} must be {wanted}, not {value!r}."


def type_hint(target: Callable[..., Any], name: str, value: Any) -> str:
    """Return the value that was probably meant by one of the wrong type, as in ``"Did you mean 4?"``, or ``""``."""
    parameters = parameters_of(target)
    annotation = parameters.annotations.get(name) if parameters else None
    meant: list[tuple[Any, str]] = []
    if isinstance(value, str):
        options = _literals(annotation)
        if options:
            return suggest(value, options).strip()
        meant = [*((each, ", without quotes") for each in _read(value)), ([value], "")]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value in (0, 1):
            meant.append((bool(value), ""))
        if isinstance(value, float) and value.is_integer():
            meant.append((int(value), ""))
    for each, how in meant:
        if annotation is not None and _fits(each, annotation) is True:
            return f"Did you mean {each!r}{how}?"
    return ""


def _literals(annotation: Any) -> list[str]:
    """Return the texts that an annotation lists with ``Literal``."""
    if typing.get_origin(annotation) is typing.Literal:
        return [each for each in typing.get_args(annotation) if isinstance(each, str)]
    return [text for each in typing.get_args(annotation) for text in _literals(each)]


def _read(text: str) -> list[Any]:
    """Return the value that a text is the literal of, if it is one."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return [words[text.lower()]]
    try:
        return [ast.literal_eval(text.strip())]
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []


def check_dict(name: str, target: Callable[..., Any], args: Mapping[str, Any], *given: str) -> None:
    """Raise if a dict does not hold arguments of a function that will be called with it.

    Args:
        name: Name of the argument that is the dict, for the error.
        target: The function.
        args: The dict.
        given: Names of arguments that are added when it is called.

    Raises:
        ArgumentError: The function has no such argument, needs another one, or one of the wrong type.
    """
    problem = argument_problem(target, {**dict.fromkeys(given), **args})
    if problem is not None:
        path = (name, problem.argument) if problem.argument is not None else (name,)
        raise ArgumentError(f"{name}: {problem.message}", hint=problem.hint, argument=path)
    for key, value in args.items():
        wrong = type_problem(target, key, value)
        if wrong is not None:
            raise ArgumentError(f"{name}: {wrong}", hint=type_hint(target, key, value), argument=(name, key))


def accepted_args(target: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``args`` that ``target`` accepts by name."""
    parameters = parameters_of(target)
    if parameters is None or parameters.open_ended:
        return dict(args)
    return {name: value for name, value in args.items() if name in parameters.names}


def callable_name(target: Callable[..., Any]) -> str:
    """Return the name of a class, function or partial, or of the class of another object, for messages."""
    inner = target.func if isinstance(target, partial) else target
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def signature_text(target: Callable[..., Any]) -> str:
    """Return a signature such as ``"Cat(name, age=0)"``, with the parameters that can be given by name."""
    parameters = parameters_of(target)
    if parameters is None:
        return f"{callable_name(target)}(...)"
    words = [
        f"{name}={short_repr(parameters.defaults[name])}" if name in parameters.defaults else name
        for name in parameters.names
    ]
    if parameters.positional is not None:
        words.insert(parameters.num_before, f"*{parameters.positional}")
    return f"{callable_name(target)}({', '.join([*words, *(['**kwargs'] if parameters.open_ended else [])])})"


def short_repr(value: Any) -> str:
    """Return the repr of a default, or ``...`` if that is long or contains an address in memory."""
    text = value.__qualname__ if inspect.isclass(value) or inspect.isroutine(value) else repr(value)
    return text if len(text) <= 40 and " at 0x" not in text and "\n" not in text else "..."


def parameters_of(target: Callable[..., Any]) -> Parameters | None:
    """Return the parameters of ``target``, or None if its signature cannot be read.

    If a constructor passes its ``**kwargs`` to ``super().__init__``, the parameters of that are included.
    """
    try:
        return _cached_parameters(target)
    except TypeError:  # target is not hashable
        return _parameters(target)


def _parameters(target: Callable[..., Any]) -> Parameters | None:
    own = _signature_parameters(target)
    if own is None or not own.open_ended or not inspect.isclass(target):
        return own
    names, required = list(own.names), list(own.required)
    annotations, defaults = dict(own.annotations), dict(own.defaults)
    for cls, base in zip(target.__mro__, target.__mro__[1:], strict=False):
        inherited = _signature_parameters(base) if base is not object else Parameters((), (), False, {}, {})
        if inherited is None:
            break
        filled = _filled_by(cls, inherited)
        if filled is None:
            return Parameters(tuple(names), tuple(required), True, annotations, defaults)
        taken = {*names, *filled}
        names += [name for name in inherited.names if name not in taken]
        required += [name for name in inherited.required if name not in taken]
        annotations = {**inherited.annotations, **annotations}
        defaults |= {name: value for name, value in inherited.defaults.items() if name not in taken}
        if not inherited.open_ended:
            return Parameters(tuple(names), tuple(required), False, annotations, defaults)
    return own


_cached_parameters = lru_cache(maxsize=4096)(_parameters)


def _signature_parameters(target: Callable[..., Any]) -> Parameters | None:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return None
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unnamed = open_ended or any(p.kind is p.POSITIONAL_ONLY for p in parameters)
    several = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL and not unnamed), None)
    return Parameters(
        names=tuple(p.name for p in named),
        required=tuple(p.name for p in named if p.default is p.empty),
        open_ended=open_ended,
        annotations=_annotations(target, {p.name for p in named if p.default is None}),
        defaults={p.name: p.default for p in named if p.default is not p.empty},
        positional=several,
        num_before=sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in named),
    )


def _annotations(target: Callable[..., Any], optional: set[str]) -> dict[str, Any]:
    """Return the types by name; those in ``optional``, as in ``x: int = None``, may be None as well."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
        return {name: hint | None if name in optional else hint for name, hint in hints.items()}
    except Exception:  # an annotation that cannot be resolved is ignored
        return {}


def _filled_by(cls: type, inherited: Parameters) -> set[str] | None:
    """Return the arguments that the constructor of ``cls`` itself passes to the inherited one.

    None if it uses its ``**kwargs`` for anything other than passing them to ``super().__init__``
    once: the effect of ``kwargs.pop("x")`` or of an ``if`` is not known.
    """
    if "__init__" not in vars(cls):
        return set()
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(vars(cls)["__init__"]))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(function, ast.FunctionDef) or function.args.kwarg is None:
        return None
    kwargs = function.args.kwarg.arg
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == kwargs]
    calls = [node for node in ast.walk(function) if _passes_on(node, kwargs)]
    if len(uses) != 1 or not calls:
        return None
    call = cast("ast.Call", calls[0])
    explicit_self = not isinstance(cast("ast.Attribute", call.func).value, ast.Call)  # Base.__init__(self)
    args = call.args[explicit_self:]
    if args and isinstance(args[-1], ast.Starred) and function.args.vararg is not None:
        args = args[:-1]  # super().__init__(*args, **kwargs): a config has keyword arguments only
    if any(isinstance(arg, ast.Starred) for arg in args):
        return None
    return {*inherited.names[: len(args)], *(k.arg for k in call.keywords if k.arg is not None)}


def _passes_on(node: ast.AST, kwargs: str) -> bool:
    """Return whether a node is ``super().__init__(..., **kwargs)``."""
    match node:
        case ast.Call(func=ast.Attribute(attr="__init__"), keywords=keywords):
            spread = [keyword.value for keyword in keywords if keyword.arg is None]
            return any(isinstance(value, ast.Name) and value.id == kwargs for value in spread)
    return False


def _fits(value: Any, annotation: Any) -> bool | None:
    """Return whether a value fits an annotation; None if that is not known."""
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
        return _fits_sequence(value, kind, typing.get_args(annotation))
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    # An object may be made from the value, as a Path from a str, but a tensor cannot be made from a str.
    return (
        False if isinstance(value, str) and getattr(kind, "__name__", "") in ("Tensor", "ndarray") else None
    )


def _fits_sequence(value: Any, kind: Any, inner: tuple[Any, ...]) -> bool | None:
    """Return whether a value fits a list, tuple or Sequence of some types; None if that cannot be judged."""
    if isinstance(value, (str, bytes)):
        return kind is Sequence and inner in ((), (str,), (Any,))
    if not isinstance(value, Sequence if kind is Sequence else (list, tuple)):
        return False
    if not inner or (kind is tuple and inner[-1] is not Ellipsis):  # of any items, or of one type for each
        return True
    verdicts = {_fits(item, inner[0]) for item in value}
    return False if False in verdicts else None if None in verdicts else True


def _spelled(annotation: Any, with_items: bool) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spelled(option, with_items) for option in typing.get_args(annotation))
    if origin is typing.Literal:
        return " or ".join(map(repr, typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
    kind = origin or annotation
    name = kind.__name__ if inspect.isclass(kind) else str(kind)
    items = [each for each in typing.get_args(annotation) if each is not Ellipsis]
    if with_items and kind in (list, tuple, Sequence) and len(items) == 1 and inspect.isclass(items[0]):
        name += f" of {items[0].__name__}"
    return with_article(name)
