"""Follow the expressions of a Python config: what their values are, and what they read and change.

What is not followed makes everything that it names opaque. Code that is not of the file, or in a
function, may moreover reach whatever such code has reached before: the *world*, an opaque container.
"""

from __future__ import annotations

import ast
import copy
import operator
import re
from collections.abc import Iterator
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN, KeyPath
from cfgtrain.config.provenance.abstract_value import (
    AbstractValue,
    Container,
    Read,
    is_plain,
    merged,
    parts_in,
)
from cfgtrain.config.templates import TOKEN

# Builtins that run no code but that of their arguments. The first return a number or a text, the second do if
# all arguments are such.
_LOOK = "len|str|int|float|bool|repr|ord|chr|isinstance|any|all|print|format"
_PICK = "abs|round|min|max|sum|pow"
_MAKE = "divmod|range|reversed|zip|enumerate|map|filter|iter|next|set|frozenset|sorted|list|tuple|dict"
_LOOKS, _PICKS = re.compile(_LOOK).fullmatch, re.compile(_PICK).fullmatch
_IS_KNOWN = re.compile(f"{_LOOK}|{_PICK}|{_MAKE}").fullmatch
# Methods that change nothing.
_READS = re.compile(
    "get|items|keys|values|copy|count|index|startswith|endswith|format|join|split|strip|lower|upper|replace"
).fullmatch
# Methods that are followed, and those of them whose first argument is a key, or a dict or list.
_METHODS: dict[Any, frozenset[str]] = {
    dict: frozenset({"get", "pop", "setdefault", "update", "clear", "copy"}),
    list: frozenset({"append", "extend", "insert", "pop", "clear", "copy"}),
}
_TAKE_A_KEY = frozenset({"get", "pop", "setdefault", "insert"})
_TAKE_PARTS = {"update": (dict,), "extend": (list, tuple)}
_OPERATORS = {ast.Add: operator.add, ast.BitOr: operator.or_}
_FOREIGN = (
    *(ast.Lambda, ast.GeneratorExp, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.With, ast.Import, ast.ImportFrom),
)


class Expressions:
    """Follows expressions, in the order in which they were evaluated.

    Args:
        shadowed: Builtins that the file has names of its own for.

    Attributes:
        names: What the names of the file stand for.
        world: What code that is not followed can reach.
        captured: Names that functions of the file mention.
        rebound: Names that functions of the file may set.
        copies: Names of ``copy`` and what is in it, each with its value.
        line: Of the statement at hand, None where it may not have come to its end.
        started: When it began.
        dropped: What it has taken out of containers.
        time: Now.
    """

    def __init__(self, shadowed: frozenset[str]) -> None:
        self.names = {name: AbstractValue(None, 0) for name in ("__name__", "__file__")}
        self.world = AbstractValue(None, 0, container=Container())
        self.shadowed = shadowed
        self.captured: set[str] = set()
        self.rebound: set[str] = set()
        self.copies: dict[str, tuple[AbstractValue, str]] = {}
        self.dropped: list[AbstractValue] = []
        self.line: int | None = None
        self.time = self.started = 1

    def made(
        self, node: ast.expr, parts: Any, reads: tuple[Read, ...] = (), whole: bool = False
    ) -> AbstractValue:
        """Return the new dict, list or tuple that an expression made."""
        return AbstractValue(node.lineno, self.time, UNKNOWN, Container(parts), reads, whole)

    # ---------------------------------------------------------------------------------- what is opaque

    def touch(self, *values: AbstractValue, change: bool = True) -> AbstractValue:
        """Follow code that may change what can be reached from ``values``; return what it may return."""
        self.time += 1
        container = merged(values)
        if container is self.world.container:
            known = [self.names[name] for name in self.captured if name in self.names]
            container, change = merged([*values, *known]), True
            self.bind(AbstractValue(self.line, self.time, container=container), *self.rebound)
        if change:
            container.change(self.line, self.time)
        return AbstractValue(self.line, self.time, container=container)

    def bind(self, value: AbstractValue, *names: str) -> None:
        """Set names."""
        self.names.update(dict.fromkeys(names, value))

    def opaque(self, node: ast.expr) -> AbstractValue:
        """Follow an expression that is not followed further."""
        reads, change = self.reads(node), any(map(self._may_change, ast.walk(node)))
        made = self.touch(*self.mentioned(node), *self.dropped, change=change)
        self.bind(made, *stored_names(node, ast.NamedExpr))
        return made.at(node.lineno, self.time, reads)

    def _may_change(self, node: ast.AST) -> bool:
        """Return whether a part of an expression may change a value that has no code of its own."""
        if isinstance(node, ast.Call):
            func = node.func
            reading = isinstance(func, ast.Attribute) and _READS(func.attr)
            return not reading and not (isinstance(func, ast.Name) and self.is_builtin(func.id))
        return isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load)

    def mentioned(self, node: ast.AST) -> Iterator[AbstractValue]:
        """Yield what the code of ``node`` can reach by name."""
        calls = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
        for each in ast.walk(node):
            if isinstance(each, _FOREIGN) or (isinstance(each, ast.Attribute) and id(each) not in calls):
                yield self.world
        for name, path, loaded in chains(node):
            yield self.known(name, path if loaded and not isinstance(node, ast.stmt) else ())[0]

    def known(self, name: str, path: KeyPath = ()) -> tuple[AbstractValue, int]:
        """Return the value of a name, or at the keys of ``path`` as far as they are known, and how far."""
        if name not in self.names and TOKEN.fullmatch(name):  # nobody else holds what it stands for
            self.bind(AbstractValue(None, 0, container=Container()), name)
        value = self.names.get(name) or (AbstractValue(None, 0) if self.is_builtin(name) else self.world)
        for done, key in enumerate(path):
            part = None if value.parts is None else value.part(key)
            if part is None:
                return value, done
            value = part
        return value, len(path)

    def is_builtin(self, name: str) -> bool:
        """Return whether a name still is one of the builtins that run no code of their own."""
        taken = name in self.names or name in self.shadowed or name in self.rebound
        return not taken and _IS_KNOWN(name) is not None

    # -------------------------------------------------------------------------------- what changes nothing

    def constant_part(self, node: ast.expr) -> AbstractValue | None:
        """Return the value of ``name["a"][0]`` if it is known."""
        name, path, certain = chain(node)
        value, done = self.known(name, path) if certain and name in self.names else (None, 0)
        return value if done == len(path) else None

    def is_quiet(self, node: ast.expr) -> bool:
        """Return whether an expression only looks at values that have no code of their own."""
        if isinstance(node, ast.Name | ast.Subscript):
            value = self.constant_part(node)
            return value is not None and is_plain(value)
        if isinstance(node, ast.BoolOp):
            return all(map(self.is_quiet, node.values))
        return self.is_scalar(node)

    def is_scalar(self, node: ast.expr) -> bool:
        """Return whether an expression changes nothing and its value is a number, a text or the like."""
        scalar, quiet = self.is_scalar, self.is_quiet
        match node:
            case ast.Constant():
                return True
            case ast.Name() | ast.Subscript():
                value = self.constant_part(node)
                return value is not None and value.container is None
            case ast.BinOp(left=left, right=right):
                return scalar(left) and scalar(right)
            case ast.UnaryOp(op=op, operand=operand):
                return quiet(operand) if isinstance(op, ast.Not) else scalar(operand)
            case ast.Compare(left=left, comparators=others):
                return quiet(left) and all(map(quiet, others))
            case ast.BoolOp(values=values):
                return all(map(scalar, values))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return quiet(test) and scalar(body) and scalar(orelse)
            case ast.JoinedStr(values=values):
                return all(map(quiet, values))
            case ast.FormattedValue(value=value, format_spec=spec):
                return quiet(value) and (spec is None or scalar(spec))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if self.is_builtin(name):
                look = quiet if _LOOKS(name) else scalar if _PICKS(name) else None
                return look is not None and all(map(look, args))
        return False

    # ------------------------------------------------------------------------------------- values

    def value(self, node: ast.expr) -> AbstractValue:
        """Follow an expression."""
        if isinstance(node, ast.Constant):  # most are
            said = node.value
            tokens = _tokens_in(said) if type(said) is str else ()
            return AbstractValue(node.lineno, self.time, UNKNOWN if tokens else said, reads=tokens)
        found: AbstractValue | None = None
        match node:
            case ast.Name(id=name):
                known = self.known(name)[0]
                return self._whole(node, known, self.reads(node))
            case ast.Subscript():
                found = self._subscript(node)
            case ast.Dict(keys=keys, values=values):
                found = self._dict(node, zip(keys, values, strict=True), {})
            case ast.List() | ast.Tuple():
                found = self._sequence(node)
            case _ if self.is_scalar(node):
                return AbstractValue(node.lineno, self.time, constant(node), reads=self.reads(node))
            case ast.BinOp(left=left, right=right):
                a, b, operate = self.value(left), self.value(right), _OPERATORS.get(type(node.op))
                kinds = {type(a.parts), type(b.parts)}
                if operate and kinds in ([{dict}] if operate is operator.or_ else [{list}, {tuple}]):
                    found = self.made(node, operate(a.parts, b.parts), self.reads(node))
            case ast.Call() if not any(isinstance(arg, ast.Starred) for arg in node.args):
                found = self._call(node)
        return self.opaque(node) if found is None else found

    def key(self, node: ast.expr) -> Any:
        """Follow a key, an index or a slice; return what it is, or UNKNOWN."""
        if isinstance(node, ast.Slice):
            limits = [
                None if each is None else self.key(each) for each in (node.lower, node.upper, node.step)
            ]
            return UNKNOWN if UNKNOWN in limits else slice(*limits)
        value = self.value(node)
        return value.expression if value.container is None else UNKNOWN

    def _whole(self, node: ast.expr, value: AbstractValue, reads: tuple[Read, ...]) -> AbstractValue:
        return AbstractValue(node.lineno, self.time, value.expression, value.container, reads, whole=True)

    def _subscript(self, node: ast.Subscript) -> AbstractValue | None:
        reads, holder, key = self.reads(node), self.value(node.value), self.key(node.slice)
        if holder.parts is None:  # of what is opaque any part is; the world has code for subscripts
            foreign = holder.container in (None, self.world.container) or key is UNKNOWN
            return None if foreign else self._whole(node, holder, reads)
        if isinstance(key, slice) and type(holder.parts) is not dict:
            return self.made(node, holder.parts[key], reads, whole=True)
        part = None if key is UNKNOWN else holder.part(key)
        return part and self._whole(node, part, reads)

    def _dict(self, node: ast.expr, pairs: Any, made: dict[Any, AbstractValue]) -> AbstractValue | None:
        """Read ``{"a": 1, **b}`` and ``dict(a=1, **b)``."""
        for name, value in pairs:
            spread = self._spread(value, dict) if name is None else {}
            key = name if name is None or isinstance(name, str) else self.key(name)
            if spread is None or key is UNKNOWN:
                return None
            made.update(spread if name is None else {key: self.value(value)})
        return self.made(node, made)

    def _sequence(self, node: ast.List | ast.Tuple) -> AbstractValue | None:
        """Read ``[a, *b]``."""
        made: list[AbstractValue] = []
        for item in node.elts:
            spread = self._spread(item.value, list, tuple) if isinstance(item, ast.Starred) else {}
            if spread is None:
                return None
            made += spread.values() if isinstance(item, ast.Starred) else [self.value(item)]
        return self.made(node, made if isinstance(node, ast.List) else tuple(made))

    def _spread(self, node: ast.expr, *kinds: type) -> dict[Any, AbstractValue] | None:
        """Return what ``**node`` or ``*node`` stands for, if that is known; its parts remember the variable."""
        reads, parts = self.reads(node), self.value(node).parts
        if type(parts) not in kinds:
            return None
        pairs = [*parts.items()] if dict in kinds else [*enumerate(parts)]
        return {key: part.via(reads[0], key) if len(reads) == 1 else part for key, part in pairs}

    # --------------------------------------------------------------------------------------- calls

    def _call(self, node: ast.Call) -> AbstractValue | None:
        """Read calls of builtins that copy, and of the methods of dicts and lists."""
        func, args, keywords = node.func, node.args, [(each.arg, each.value) for each in node.keywords]
        name = func.id if isinstance(func, ast.Name) else ""
        if name == "dict" and len(args) < 2 and self.is_builtin(name):
            first = self._spread(args[0], dict) if args else {}
            return None if first is None else self._dict(node, keywords, first)
        if name in ("list", "tuple") and self.is_builtin(name):
            parts = self.value(args[0]).parts if args else ()
            kind = list if name == "list" else tuple
            return self._copied(node, kind(parts)) if type(parts) in (list, tuple) else None
        module = func.value if isinstance(func, ast.Attribute) else func
        bound, copied = self.copies.get(module.id if isinstance(module, ast.Name) else "", (None, ""))
        if bound is not None and isinstance(module, ast.Name) and bound is self.names.get(module.id):
            copied += f".{func.attr}" if isinstance(func, ast.Attribute) else ""
            value = self.value(args[0]) if len(args) == 1 and not keywords else self.world
            if copied not in ("copy.copy", "copy.deepcopy") or value.container is None or not is_plain(value):
                return None
            deep = copied == "copy.deepcopy"
            return self._copied(
                node, _deep_copy(value.container, {}).parts if deep else copy.copy(value.parts)
            )
        holder = self.value(func.value) if isinstance(func, ast.Attribute) else self.world
        if not isinstance(func, ast.Attribute) or func.attr not in _METHODS.get(type(holder.parts), ()):
            return None
        return self._method(holder, func, node)

    def _copied(self, node: ast.Call, parts: Any) -> AbstractValue:
        whole = bool(node.args) and isinstance(node.args[0], ast.Name | ast.Subscript)
        return self.made(node, parts, self.reads(node), whole)

    def _method(self, holder: AbstractValue, func: ast.Attribute, node: ast.Call) -> AbstractValue | None:
        """Follow a method of a known dict or list."""
        name, args, reads = func.attr, list[Any](), self.reads(node)
        for i, arg in enumerate(node.args):
            value = self.value(arg)
            key = value.expression if value.container is None else UNKNOWN
            args.append(key if name in _TAKE_A_KEY and i == 0 else value)
            if args[0] is UNKNOWN or (name in _TAKE_PARTS and type(value.parts) not in _TAKE_PARTS[name]):
                return None
        added = {str(each.arg): self.value(each.value) for each in node.keywords if each.arg}
        if len(added) < len(node.keywords) or (added and name != "update"):
            return None
        nothing = AbstractValue(node.lineno, self.time, None, reads=reads)
        if name in ("get", "setdefault") and len(args) == 1:
            args.append(nothing)
        if name in _TAKE_PARTS:
            given = args[0].parts if args else {}
            if given is None:
                return None  # the keywords have made it opaque
            args = [{**given, **added} if name == "update" else given]
        result = self.change(holder, name, *args)
        if result is UNKNOWN:
            return None
        if name == "copy":
            return self.made(node, result, reads, whole=isinstance(func.value, ast.Name | ast.Subscript))
        return nothing if result is None else result.at(node.lineno, self.time, reads)

    def change(self, holder: AbstractValue, method: str, *args: Any) -> Any:
        """Apply a method to the parts of a known container; return what it does, UNKNOWN if that fails."""
        container, parts = holder.container, holder.parts
        if container is None or type(parts) not in _METHODS:
            return UNKNOWN
        before = {**parts} if type(parts) is dict else dict(enumerate(parts))
        try:
            result = getattr(parts, method)(*args)
        except (LookupError, TypeError, ValueError):
            return UNKNOWN
        if method not in ("get", "copy"):
            self.time += 1
            container.change(self.line, self.time)
            self.dropped += before.values()
            for key, part in [*(parts.items() if type(parts) is dict else enumerate(parts))]:
                if before.get(key) is not part:
                    parts[key] = self.moved(part)
        return result

    def moved(self, value: AbstractValue) -> AbstractValue:
        """Return a value put elsewhere by this statement, if it did not make it."""
        return value if value.time >= self.started else value.at(self.line, self.time)

    # ------------------------------------------------------------------------------ what is read

    def reads(self, node: ast.expr) -> tuple[Read, ...]:
        """Return the variables and references that an expression reads."""
        if isinstance(node, ast.Name):
            return self.read(node.id, ())
        nodes = list(ast.walk(node))
        bound = {
            each.id for each in nodes if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
        }
        texts = [
            each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        found = [read for text in texts for read in _tokens_in(text)]
        for name, path, _ in chains(node):
            found += self.read(name, path) if name not in bound else ()
        return tuple(dict.fromkeys(found))

    def read(self, name: str, path: KeyPath) -> tuple[Read, ...]:
        """Return what is read at the keys of ``path`` of a name, if that is one of the file."""
        self.time += 1
        if TOKEN.fullmatch(name):
            return (Read(name, path),)
        if name not in self.names:
            return ()
        value, done = self.known(name, path)
        return (Read(name, path[:done], value, self.time, path[done:]),)


def stored_names(node: ast.AST, *kinds: type[ast.AST]) -> Iterator[str]:
    """Yield the names that a statement may set; with ``kinds``, only by these nodes."""
    for each in ast.walk(node):
        match each:
            case _ if kinds and not isinstance(each, kinds):
                pass
            case ast.NamedExpr(target=ast.Name(id=name)) | ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.alias(name=dotted, asname=alias):
                yield alias or dotted.partition(".")[0]
            case ast.MatchMapping(rest=str(name)):
                yield name
            case _ if isinstance(getattr(each, "name", None), str):  # of a definition, a handler or a pattern
                yield str(getattr(each, "name", ""))


def chains(node: ast.AST) -> Iterator[tuple[str, KeyPath, bool]]:
    """Yield the names within ``node``, with the constant keys behind them, and whether these are read."""
    below: set[int] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Subscript) and id(each) not in below:
            name, path, _ = chain(each)
            inner: ast.expr = each
            while name and isinstance(inner, ast.Subscript):
                inner = inner.value
                below.add(id(inner))
            if name:
                yield name, path, isinstance(each.ctx, ast.Load)


def chain(node: ast.expr) -> tuple[str, KeyPath, bool]:
    """Return the name and the first keys of ``name["a"][0]``, and whether all are constant.

    The name of anything else is "".
    """
    keys: list[object] = []
    certain = True
    while isinstance(node, ast.Subscript):
        key = constant(node.slice)
        certain = certain and key is not UNKNOWN
        keys = [] if key is UNKNOWN else [key, *keys]
        node = node.value
    return node.id if isinstance(node, ast.Name) else "", tuple(keys), certain


def constant(node: ast.expr) -> Any:
    """Return the value of a constant or of ``-1``; UNKNOWN for any other expression."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    return UNKNOWN


def _deep_copy(container: Container, known: dict[int, Container]) -> Container:
    """Return a copy of a known container and of all within it."""
    if id(container) in known:
        return known[id(container)]
    twin, parts = known.setdefault(id(container), Container()), container.parts
    values = [
        AbstractValue(
            part.line,
            part.time,
            part.expression,
            part.container and _deep_copy(part.container, known),
            part.reads,
        )
        for part in parts_in(parts)
    ]
    twin.parts = dict(zip(parts, values, strict=True)) if type(parts) is dict else type(parts)(values)
    return twin


def _tokens_in(text: str) -> tuple[Read, ...]:
    """Return the references within a string."""
    return tuple(Read(token, ()) for token in TOKEN.findall(text)) if "__" in text else ()
