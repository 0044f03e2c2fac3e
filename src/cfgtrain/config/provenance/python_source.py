"""What each name of a Python config was made of, read off its text without running it.

The statements are followed from top to bottom, as Python runs them, but with spots in the
place of values: ``spots`` says what a spot knows.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from cfgtrain.config.keys import Path, value_at
from cfgtrain.config.provenance.abstract_value import Parts, Read, Spot, descent, reads, trail
from cfgtrain.config.provenance.file_source import FileSource, Use
from cfgtrain.config.templates import TOKEN

# How many variables are followed back one through another.
MAX_STEPS = 8

_MAKES_DICT = ("dict", "OrderedDict", "ConfigDict", "Config", "defaultdict")
_COPIES = ("list", "tuple", "copy", "deepcopy", *_MAKES_DICT)


class PythonSource(FileSource):
    """A ``.py`` config, read as ``bindings`` reads it."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through assignments, ``dict(...)`` calls, displays and names."""
        return (self._nearest(path)[0].line or None) if path else None

    def _nearest(self, path: Path) -> tuple[Spot, object, bool]:
        """Return the last spot of the trail to ``path``, what stands there, and whether the spot is of that.

        Whoever asks for one key asks for those beside it: what is above them is followed once.
        """
        above = self._above.get(path[:-1])
        if above is None:
            above = self._above[path[:-1]] = self._nearest(path[:-1])
        spot, holder, found = above
        key = path[-1]
        value = holder[key] if type(holder) is dict and key in holder else value_at(holder, (key,))
        part = spot.part(key, holder) if found else None
        if part is None:
            return spot, value, False
        return part if part.older is None else part.fitting(value), value, True

    @cached_property
    def _above(self) -> dict[Path, tuple[Spot, object, bool]]:
        """What is known of the dicts and lists that hold what was asked for, the file first."""
        whole = Parts()
        whole.named.update(self.names)
        return {(): (Spot(0, parts=whole), self.tree, True)}

    def uses(self, path: Path) -> list[Use]:
        """Return what the expression at ``path``, or the nearest one around it, read."""
        spots = trail(self.names, self.tree, path)
        return [self._use(read, 0) for read in reads(spots, path)]

    @cached_property
    def names(self) -> dict[str, Spot]:
        """What each name of the file is bound to at its end."""
        with _no_collection():
            return bindings(ast.parse(self.parseable))

    def _use(self, read: Read, depth: int) -> Use:
        if read.spot is None:
            return self._referenced(read.name, read.path)
        path = (read.name, *read.path)
        last = self.names.get(read.name)
        # Set anew since then, the name no longer says what it was.
        value = value_at(self.tree, path[:1]) if last is not None and last.is_same(read.spot) else ...
        spots = descent(read.spot, value, read.path)
        value = spots[-1].literal() if value is ... else value_at(value, read.path)
        inner = reads(spots, path) if depth < MAX_STEPS else []
        uses = tuple(self._use(each, depth + 1) for each in inner)
        return Use(path, False, self._place(spots[-1].line), value, uses)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put off the collection of garbage, for milliseconds.

    A syntax tree is thousands of objects, none of which is garbage before all of them are: each
    collection on the way walks them in vain.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def bindings(tree: ast.Module) -> dict[str, Spot]:
    """Return what each top-level name of a file is bound to at its end."""
    reader = _Reader()
    reader.run(tree.body)
    return reader.names


class _Reader:
    """Follows statements; ``names`` is what they have bound so far."""

    def __init__(self) -> None:
        self.names: dict[str, Spot] = {}
        self.loops = 0

    def run(self, body: list[ast.stmt]) -> None:
        """Follow statements, and those within them that run at the top of the file."""
        for statement in body:
            self._run_one(statement)

    def _run_one(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                spot = self.value(value)
                for target in targets:
                    self.bind(target, spot)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.bind(target, self.value(value))
            case ast.AugAssign(target=target, op=op, value=value):
                self.augment(target, op, value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr=method)) as call):
                self.call(target, method, call)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.delete(target)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self.name(name, Spot(statement.lineno))
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    self.name((alias.asname or alias.name).partition(".")[0], Spot(statement.lineno))
            case _:
                self.run_block(statement)

    def run_block(self, statement: ast.stmt) -> None:
        """Follow what an if, for, while, with, try or match holds: every branch in turn."""
        if isinstance(statement, ast.For):
            self.bind(statement.target, Spot(statement.lineno, reads=self.read(statement.iter)))
        for item in statement.items if isinstance(statement, ast.With) else ():
            if item.optional_vars is not None:
                self.bind(item.optional_vars, Spot(statement.lineno, reads=self.read(item.context_expr)))
        loop = isinstance(statement, ast.For | ast.While)
        self.loops += loop
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            for inner in getattr(statement, block, []):
                self.run([inner] if isinstance(inner, ast.stmt) else inner.body)
        self.loops -= loop

    # ------------------------------------------------------------------------ what is written

    def name(self, name: str, spot: Spot) -> None:
        """Bind a name; what it was stays behind the new spot."""
        self.names[name] = spot.over(self.names.get(name))

    def bind(self, target: ast.expr, spot: Spot) -> None:
        """Bind a name, several at once, or a key of something that is known."""
        if isinstance(target, ast.Name):
            self.name(target.id, spot)
        elif isinstance(target, ast.Tuple | ast.List):
            items = spot.parts.items if spot.parts is not None and spot.parts.items is not None else []
            for i, inner in enumerate(target.elts):
                matched = len(items) == len(target.elts)
                self.bind(inner, items[i] if matched else Spot(spot.line, reads=spot.reads))
        elif isinstance(target, ast.Subscript):
            holder = self.holder(target.value)
            if holder is not None:
                self.put(holder, _constant(target.slice), spot)

    def put(self, parts: Parts, key: object, spot: Spot) -> None:
        """Set one part; a key that is not a constant (``...``) may be any."""
        if parts.items is None and key is not ...:
            parts.named[key] = spot.over(parts.named.get(key))
        elif parts.items is not None and isinstance(key, int) and -len(parts.items) <= key < len(parts.items):
            parts.items[key] = spot.over(parts.items[key])
        else:
            parts.other = spot.over(parts.other)
            parts.whole = False

    def augment(self, target: ast.expr, op: ast.operator, value: ast.expr) -> None:
        """Follow ``x += [...]``, ``x |= {...}`` and, as a new value, any other ``x *= 2``."""
        holder, spot = self.holder(target), self.value(value)
        if holder is not None and isinstance(op, ast.Add | ast.BitOr):
            self.add_all(holder, spot)
            return
        name, path, _ = _chain(target)
        before = Read(name, path, self.names.get(name))
        self.bind(target, Spot(target.lineno, reads=(before, *self.read(value))))

    def call(self, target: ast.expr, method: str, call: ast.Call) -> None:
        """Follow the methods that change a dict or list in place."""
        holder = self.holder(target)
        if holder is None:
            return
        args = [self.value(arg) for arg in call.args]
        if method == "update":
            for spot in [*args, self.dict_of(call)]:
                self.add_all(holder, spot)
        elif method in ("append", "add") and args:
            self.add_all(holder, Spot(call.lineno, parts=Parts(args)))
        elif method == "extend" and args:
            self.add_all(holder, args[0])
        elif method == "setdefault" and len(args) == 2:
            key = _constant(call.args[0])
            if key not in holder.named:
                self.put(holder, key, args[1])
        elif method == "insert" and len(args) == 2 and holder.items is not None and not self.loops:
            index = _constant(call.args[0])
            if isinstance(index, int):
                holder.items.insert(index, args[1])
            else:
                holder.whole = False
        elif method in ("pop", "clear", "remove", "insert", "sort", "reverse", "popitem"):
            self.drop(holder, _constant(call.args[0]) if method == "pop" and call.args else ...)

    def add_all(self, holder: Parts, spot: Spot) -> None:
        """Add the parts of one dict or list to another, in place."""
        parts = spot.parts
        if holder.items is not None:
            if parts is not None and parts.items is not None and not self.loops:
                holder.items += parts.items
            else:  # how many there are cannot be read off
                first = parts.items[0] if parts is not None and parts.items else spot
                holder.other = first.over(holder.other)
        elif parts is not None and parts.items is None:
            for key, part in parts.named.items():
                self.put(holder, key, part)
            holder.other = parts.other or holder.other
        else:
            holder.other = spot.over(holder.other)

    def delete(self, target: ast.expr) -> None:
        """Follow ``del name`` and ``del x[key]``."""
        if isinstance(target, ast.Name):
            self.names.pop(target.id, None)
        elif isinstance(target, ast.Subscript):
            holder = self.holder(target.value)
            if holder is not None:
                self.drop(holder, _constant(target.slice))

    def drop(self, parts: Parts, key: object) -> None:
        """Forget one part, or all whose place cannot be told any more."""
        if parts.items is None:
            parts.named.pop(key, None)
            parts.whole = parts.whole and key is not ...
        elif isinstance(key, int) and -len(parts.items) <= key < len(parts.items) and not self.loops:
            del parts.items[key]
        else:
            parts.items.clear()
            parts.whole = False

    def holder(self, node: ast.expr) -> Parts | None:
        """Return the parts of ``x`` or ``x["a"][0]``, to be changed."""
        if isinstance(node, ast.Name):
            spot = self.names.get(node.id)
            return None if spot is None else spot.parts
        if isinstance(node, ast.Subscript):
            outer = self.holder(node.value)
            inner = None if outer is None else _part(outer, _constant(node.slice))
            return None if inner is None else inner.parts
        return None

    # --------------------------------------------------------------------------- what is read

    def value(self, node: ast.expr) -> Spot:
        """Return the spot that an expression makes."""
        if type(node) is ast.Constant:  # most are
            said = node.value
            return Spot(node.lineno, said, None, _tokens(said) if type(said) is str else ())
        read = _READERS.get(type(node))
        return Spot(node.lineno, node, None, self.read(node)) if read is None else read(self, node)

    def variable(self, node: ast.Name) -> Spot:
        """Read ``x``: the same parts under another name."""
        known = self.names.get(node.id)
        return Spot(node.lineno, node, known.parts if known else None, self.read(node))

    def choice(self, node: ast.IfExp) -> Spot:
        """Read ``a if b else c``."""
        return self.value(node.body).over(self.value(node.orelse))

    def display(self, node: ast.Dict) -> Spot:
        """Read ``{"a": 1, **b}``."""
        parts = Parts()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self.spread(parts, value)
            else:
                self.put(parts, _constant(key), self.value(value))
        return Spot(node.lineno, parts=parts)

    def dict_of(self, call: ast.Call, given: Sequence[ast.expr] = ()) -> Spot:
        """Read the keywords of ``dict(a=1, **b)``, laid over ``given``."""
        parts = Parts()
        named, read = parts.named, self.value
        for each in given:
            self.spread(parts, each)
        for keyword in call.keywords:
            name, value = keyword.arg, keyword.value
            if name is None:
                self.spread(parts, value)
            else:
                named[name] = read(value).over(named[name]) if name in named else read(value)
        return Spot(call.lineno, parts=parts)

    def sequence(self, node: ast.List | ast.Tuple) -> Spot:
        """Read ``[a, *b]``."""
        parts = Parts([], list if type(node) is ast.List else tuple)
        for item in node.elts:
            if isinstance(item, ast.Starred):
                self.spread(parts, item.value)
            elif parts.items is not None and not self.loops:
                parts.items.append(self.value(item))
            else:
                self.add_all(parts, Spot(item.lineno, parts=Parts([self.value(item)])))
        return Spot(node.lineno, parts=parts)

    def call_of(self, call: ast.Call) -> Spot:
        """Read ``dict(x, a=1)``, ``list(x)``, ``x.copy()`` and ``copy.deepcopy(x)``; of other calls what they read."""
        func = call.func
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        if name in _MAKES_DICT:
            return self.dict_of(call, call.args[-1:])
        method = name == "copy" and isinstance(func, ast.Attribute) and not call.args
        given = [func.value] if method and isinstance(func, ast.Attribute) else call.args[-1:]
        if name not in _COPIES or not given:
            return Spot(call.lineno, reads=self.read(call))
        parts = self.value(given[0]).parts
        return Spot(call.lineno, given[0], parts and parts.copy(), self.read(call))

    def subscript(self, node: ast.Subscript) -> Spot:
        """Read ``x["a"]`` and ``x[1:]``."""
        at = node.slice
        holder, key = self.holder(node.value), _constant(at)
        if holder is not None and holder.items is not None and isinstance(at, ast.Slice) and not holder.other:
            limits = [None if each is None else _constant(each) for each in (at.lower, at.upper, at.step)]
            if ... not in limits and holder.whole:
                return Spot(
                    node.lineno, node, Parts(holder.items[slice(*limits)], holder.kind), self.read(node)
                )
        part = None if holder is None else _part(holder, key)
        return Spot(node.lineno, node, part.parts if part else None, self.read(node))

    def operation(self, node: ast.BinOp) -> Spot:
        """Read ``a + b`` of lists and ``a | b`` of dicts; of anything else only what it reads."""
        if isinstance(node.op, ast.Add | ast.BitOr):
            left, right = self.value(node.left), self.value(node.right)
            if left.parts is not None and right.parts is not None:
                parts = left.parts.copy()
                self.add_all(parts, right)
                return Spot(node.lineno, parts=parts, reads=self.read(node))
        return Spot(node.lineno, node, None, self.read(node))

    def spread(self, parts: Parts, node: ast.expr) -> None:
        """Add what ``**node`` or ``*node`` stands for; its parts remember the variable."""
        spot, whole = self.value(node), self.read(node)
        known = spot.parts.copy() if spot.parts is not None else None
        if known is not None and len(whole) == 1:
            known.named = {key: part.through(whole[0], key) for key, part in known.named.items()}
            if known.items is not None:
                known.items = [part.through(whole[0], i) for i, part in enumerate(known.items)]
        self.add_all(parts, Spot(node.lineno, parts=known, reads=whole))

    def read(self, node: ast.expr) -> tuple[Read, ...]:
        """Return the variables and references that an expression reads."""
        if type(node) is ast.Name:
            known = self.names.get(node.id)
            return (Read(node.id, (), known),) if known is not None or TOKEN.fullmatch(node.id) else ()
        nodes = list(ast.walk(node))
        bound = {name.id for name in nodes if isinstance(name, ast.Name) and not _loads(name)}
        found: list[Read] = []
        below: set[int] = set()
        for inner in nodes:
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                found += _tokens(inner.value)
            if id(inner) in below or not isinstance(inner, ast.Name | ast.Subscript):
                continue
            name, path, links = _chain(inner)
            known = self.names.get(name)
            if name not in bound and (known is not None or TOKEN.fullmatch(name)):
                below.update(links)
                found.append(Read(name, path, known))
        return tuple(dict.fromkeys(found))


# How the expressions are read that say more than which variables they read.
_READERS: dict[type[ast.expr], Any] = {
    ast.Name: _Reader.variable,
    ast.Dict: _Reader.display,
    ast.List: _Reader.sequence,
    ast.Tuple: _Reader.sequence,
    ast.Call: _Reader.call_of,
    ast.Subscript: _Reader.subscript,
    ast.IfExp: _Reader.choice,
    ast.BinOp: _Reader.operation,
}


def _tokens(text: str) -> tuple[Read, ...]:
    """Return the references within a string."""
    return tuple(Read(token, (), None) for token in TOKEN.findall(text)) if "__" in text else ()


def _loads(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _chain(node: ast.expr) -> tuple[str, Path, list[int]]:
    """Return the name, the constant keys and the ids of the links of ``name["a"][0]``.

    The name of anything else is "".
    """
    keys: list[object] = []
    links = []
    while isinstance(node, ast.Subscript):
        key = _constant(node.slice)
        keys = [] if key is ... else [key, *keys]
        node = node.value
        links.append(id(node))
    return node.id if isinstance(node, ast.Name) else "", tuple(keys), links


def _constant(node: ast.expr) -> Any:
    """Return a constant key or index; ``...`` for an expression."""
    if isinstance(node, ast.Constant):
        return node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        return -node.operand.value  # type: ignore[operator]  # Python would have refused to run it
    return ...


def _part(parts: Parts, key: object) -> Spot | None:
    if parts.items is None:
        return parts.named.get(key) or parts.other
    if isinstance(key, int) and -len(parts.items) <= key < len(parts.items) and parts.whole:
        return parts.items[key]
    return parts.other
