"""Follow the expressions of a Python config: what their values are, and what they read and change."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN
from cfgtrain.config.provenance.abstract_value import AbstractValue, Container, Read
from cfgtrain.config.provenance.execution import TAKE_A_KEY
from cfgtrain.config.provenance.heap import Heap
from cfgtrain.config.provenance.reads import constant, read, stored_names, tokens_in
from cfgtrain.config.templates import TOKEN

# Builtins that change nothing: those that return a number or text, those that return what they are given or
# parts of it, and those that return a new container of these. And methods that change nothing.
_ATOMS = r"len|str|int|float|bool|repr|ord|chr|isinstance|any|all|print|format|abs|round"
_DERIVED = r"min|max|sum|reversed|zip|enumerate|map|filter|range|divmod|pow|iter|next|set|frozenset"
_MAKE_ATOM = re.compile(_ATOMS).fullmatch
_KNOWN = re.compile(f"{_ATOMS}|{_DERIVED}|sorted|list|tuple|dict").fullmatch
_READING = re.compile(
    r"get|items|keys|values|copy|count|index|startswith|endswith|format|join|split|strip|lower|upper|replace"
).fullmatch
_KEYS = (str, int, float, bool, type(None))


class Expressions:
    """Follows expressions, in the order in which they were evaluated.

    Args:
        heap: What the names stand for.
        numbers: The marks of the expressions that have one.

    Attributes:
        seen: The marks that the statement at hand has passed, with the keys that they recorded.
        untrusted: Names of builtins that may be something else by now; None for all of them.
        imported: What was imported, and the value of the name that it was imported as.
    """

    def __init__(self, heap: Heap, numbers: dict[ast.AST, int]) -> None:
        self.heap = heap
        self.numbers = numbers
        self.seen: dict[int, object] = {}
        self.untrusted: set[str] | None = set()
        self.imported: dict[str, AbstractValue] = {}

    def value(self, node: ast.expr) -> AbstractValue:
        """Follow an expression."""
        if type(node) is ast.Constant:  # most are
            said = node.value
            tokens = tokens_in(said) if type(said) is str else ()
            return AbstractValue(node.lineno, self.heap.time, UNKNOWN if tokens else said, reads=tokens)
        return _FOLLOW.get(type(node), Expressions._other)(self, node)

    def operate(self, node: ast.expr) -> None:
        """Follow an expression whose value is tested or the like."""
        self.heap.operate(self.value(node))

    def key(self, node: ast.expr, value: AbstractValue | None = None) -> Any:
        """Follow a key or index, and return what it came to, or UNKNOWN."""
        if type(node) is ast.Constant:
            return node.value
        if isinstance(node, ast.Slice):
            for limit in filter(None, (node.lower, node.upper, node.step)):
                self.operate(limit)
            return UNKNOWN
        value = value or self.value(node)
        self.heap.operate(value)
        known = self.seen.get(self.numbers.get(node, -1), UNKNOWN)
        return value.expression if known is UNKNOWN and type(value.expression) in _KEYS else known

    def part_of(self, holder: AbstractValue, key: object) -> AbstractValue:
        """Return what stands at a key of a value."""
        container = holder.container
        if container is not None and (
            container.kind in (list, tuple) or (container.kind is None and type(key) is int)
        ):
            index = container.index(key)
            key = UNKNOWN if index is None else index
        part = None if container is None or key is UNKNOWN else container.part(key)
        return part or self.heap.derive(holder)

    # -------------------------------------------------------------------------- names and parts

    def _variable(self, node: ast.Name) -> AbstractValue:
        """Read ``x``: the same container under another name."""
        heap, name = self.heap, node.id
        known = heap.lookup(name)
        is_token = TOKEN.fullmatch(name) is not None
        if known is None:
            if not is_token:
                return AbstractValue(node.lineno, heap.time, region=heap.world.root())
            known = heap.made(Container(None, heap.made(line=node.lineno)), node.lineno)
            heap.bind(name, known)
        reads = (Read(name, (), None if is_token else known, heap.time),)
        return AbstractValue(
            node.lineno, heap.time, known.expression, known.container, known.region, reads, whole=True
        )

    def _subscript(self, node: ast.Subscript) -> AbstractValue:
        """Read ``x["a"]`` and ``x[1:]``."""
        heap, holder, reads = self.heap, self.value(node.value), read(self.heap, node)
        container, key = holder.container, self.key(node.slice)
        if isinstance(node.slice, ast.Slice) and container is not None and container.kind in (list, tuple):
            at = node.slice
            limits = [None if each is None else constant(each) for each in (at.lower, at.upper, at.step)]
            container.settle()
            if UNKNOWN in limits or container.length is None:
                return heap.sequence_of(holder, kind=container.kind, line=node.lineno)
            made = Container(container.kind)
            for item in heap.items(container)[slice(*limits)]:
                heap.append(made, item)
            return AbstractValue(node.lineno, heap.time, container=made, reads=reads, whole=True)
        part = self.part_of(holder, key)
        return AbstractValue(
            node.lineno, heap.time, part.expression, part.container, part.region, reads, whole=True
        )

    def _attribute(self, node: ast.Attribute) -> AbstractValue:
        """Read ``x.y``, a method perhaps, by which ``x`` can be changed later."""
        holder, reads = self.value(node.value), read(self.heap, node)
        if holder.container is None and holder.region is None:
            return self.heap.derive(line=node.lineno, reads=reads)
        return self.heap.foreign(holder, reads=reads).at(node.lineno, self.heap.time)

    # ------------------------------------------------------------------------------ conditions

    def _choice(self, node: ast.IfExp) -> AbstractValue:
        """Read ``a if b else c``: the branch that was taken."""
        self.operate(node.test)
        for branch in (node.body, node.orelse):
            if self.numbers.get(branch) in self.seen:
                return self.value(branch)
        return self._other(node)

    def _operands(self, node: ast.BoolOp) -> AbstractValue:
        """Read ``a or b``: the last operand that was evaluated."""
        last = self.value(node.values[0])
        for each in node.values[1:]:
            self.heap.operate(last)
            number = self.numbers.get(each)
            if number is None:
                last = self.heap.derive(last, self._other(each), line=node.lineno)
            elif number in self.seen:
                last = self.value(each)
        return last

    def _named(self, node: ast.NamedExpr) -> AbstractValue:
        """Read ``(x := a)``."""
        value = self.value(node.value)
        self.heap.bind(node.target.id, value)
        return value

    # -------------------------------------------------------------------------------- displays

    def _display(self, node: ast.Dict) -> AbstractValue:
        """Read ``{"a": 1, **b}``."""
        made, heap = Container(dict), self.heap
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self._spread(made, value)
            elif type(key) is ast.Constant:
                made.slots[key.value] = self.value(value)
            else:
                known, part = self.key(key), self.value(value)
                line, heap.line = heap.line, value.lineno
                heap.set_part(made, known, part)
                heap.line = line
        return heap.made(made, node.lineno)

    def _keywords(self, made: Container, call: ast.Call) -> AbstractValue:
        """Read the keywords of ``dict(x, a=1, **b)``, laid over what is in ``made``."""
        for keyword in call.keywords:
            if keyword.arg is None:
                self._spread(made, keyword.value)
            else:
                made.slots[keyword.arg] = self.value(keyword.value)
        return self.heap.made(made, call.lineno)

    def _sequence(self, node: ast.List | ast.Tuple) -> AbstractValue:
        """Read ``[a, *b]``."""
        made = Container(list if type(node) is ast.List else tuple)
        for item in node.elts:
            if isinstance(item, ast.Starred):
                self._spread(made, item.value)
            else:
                self.heap.append(made, self.value(item))
        return self.heap.made(made, node.lineno)

    def _spread(self, made: Container, node: ast.expr) -> None:
        """Add what ``**node`` or ``*node`` stands for; its parts remember the variable."""
        heap, reads, value = self.heap, read(self.heap, node), self.value(node)
        other = value.container
        if other is not None and other.kind is not None and len(reads) == 1:
            other = heap.copy(other)
            other.slots = {key: part.via(reads[0], key) for key, part in other.slots.items()}
            value = heap.made(other, value.line, reads)
        elif other is None:
            value = value.at(value.line, heap.time, reads)
        line, heap.line = heap.line, node.lineno
        (heap.update if made.kind is dict else heap.extend)(made, value)
        heap.line = line

    def _set(self, node: ast.Set) -> AbstractValue:
        """Read ``{a, b}``."""
        return self.heap.derive(*map(self.value, node.elts), line=node.lineno, reads=read(self.heap, node))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> AbstractValue:
        """Read ``[f(a) for a in b]``: a new list, set or dict of what may be in all that is named."""
        heap, named = self.heap, self._named_in(node)
        if not all(map(self._changes_nothing, ast.walk(node))):
            heap.foreign(*named)
        rest = heap.derive(*named, line=node.lineno)
        for name in stored_names(node, ast.NamedExpr):
            heap.bind(name, rest.at(heap.line, heap.time))
        if isinstance(node, ast.SetComp):
            return rest.at(node.lineno, heap.time, read(self.heap, node))
        kind = list if isinstance(node, ast.ListComp) else dict
        return heap.sequence_of(rest, kind=kind, line=node.lineno).at(
            node.lineno, heap.time, read(self.heap, node)
        )

    def _changes_nothing(self, node: ast.AST) -> bool:
        """Return whether a part of a comprehension changes nothing."""
        if isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Name):
                return self._is_builtin(func.id)
            return isinstance(func, ast.Attribute) and _READING(func.attr) is not None
        return not isinstance(node, ast.Lambda | ast.GeneratorExp)

    # ------------------------------------------------------------------------------- operators

    def _operation(self, node: ast.BinOp) -> AbstractValue:
        """Read ``a + b`` of lists and ``a | b`` of dicts; of anything else only what it reads."""
        heap, left, right, reads = (
            self.heap,
            self.value(node.left),
            self.value(node.right),
            read(self.heap, node),
        )
        a, b = left.container, right.container
        if a is None and b is None and left.region is None and right.region is None:
            return heap.made(None, node.lineno, reads)
        add = heap.extend if isinstance(node.op, ast.Add) else heap.update
        if a is not None and b is not None and a.kind is b.kind and isinstance(node.op, ast.Add | ast.BitOr):
            made = heap.copy(a)
            add(made, right)
            return heap.made(made, node.lineno, reads)
        return heap.derive(left, right, line=node.lineno, reads=reads)

    def _unary(self, node: ast.UnaryOp) -> AbstractValue:
        """Read ``-a`` and ``not a``."""
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not) or (value.container is None and value.region is None):
            return self._plain(node, value)
        return self.heap.derive(value, line=node.lineno, reads=read(self.heap, node))

    def _comparison(self, node: ast.Compare) -> AbstractValue:
        """Read ``a < b``."""
        left, right, *others = node.left, *node.comparators
        # The others are evaluated only if it holds so far.
        return self._plain(node, self.value(left), self.value(right), *map(self._other, others))

    def _text(self, node: ast.JoinedStr) -> AbstractValue:
        """Read an f-string."""
        parts = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        values = [self.value(part.value) for part in parts]
        values += [self.value(part.format_spec) for part in parts if part.format_spec is not None]
        return self._plain(node, *values)

    def _plain(self, node: ast.expr, *values: AbstractValue) -> AbstractValue:
        """Return a number, text or the like that was made of ``values``, if not by code of their own."""
        reads = read(self.heap, node)
        if any(map(self.heap.is_foreign, values)):
            return self.heap.foreign(*values, reads=reads).at(node.lineno, self.heap.time)
        return AbstractValue(node.lineno, self.heap.time, constant(node), reads=reads)

    def _other(self, node: ast.expr) -> AbstractValue:
        """Follow what runs code that is not followed, or not now."""
        made = self.heap.foreign(*self._named_in(node), reads=read(self.heap, node))
        for name in stored_names(node, ast.NamedExpr):
            self.heap.bind(name, made)
        return made.at(node.lineno, self.heap.time)

    def _named_in(self, node: ast.AST) -> list[AbstractValue]:
        known = [self.heap.lookup(each.id) for each in ast.walk(node) if isinstance(each, ast.Name)]
        return [each for each in known if each is not None]

    # --------------------------------------------------------------------------------------- calls

    def _is_builtin(self, name: str) -> bool:
        """Return whether a name still is one of the builtins that change nothing."""
        trusted = self.untrusted is not None and name not in self.untrusted
        return trusted and name not in self.heap.names.slots and _KNOWN(name) is not None

    def _is_deepcopy(self, node: ast.expr) -> bool:
        name = node.value if isinstance(node, ast.Attribute) and node.attr == "deepcopy" else node
        known = self.imported.get("copy.deepcopy" if name is node else "copy")
        return isinstance(name, ast.Name) and known is not None and self.heap.lookup(name.id) is known

    def _call(self, node: ast.Call) -> AbstractValue:
        """Follow calls of builtins and of the methods of dicts and lists; others may do what they like."""
        heap, func = self.heap, node.func
        starred = any(isinstance(arg, ast.Starred) for arg in node.args)
        if isinstance(func, ast.Name) and func.id == "dict" and not starred and self._is_builtin("dict"):
            made = Container(dict)
            for arg in node.args:
                self._spread(made, arg)
            return self._keywords(made, node)
        if isinstance(func, ast.Name) and not starred and not node.keywords and self._is_builtin(func.id):
            return self._builtin(func.id, node)
        if self._is_deepcopy(func) and len(node.args) == 1:
            value = self.value(node.args[0])
            heap.operate(value)
            return self._copied(node, value, value.container and heap.deep_copy(value.container, {}))
        holder = self.value(func.value if isinstance(func, ast.Attribute) else func)
        if isinstance(func, ast.Attribute) and holder.container is not None:
            reads = read(self.heap, node)
            made_by = self._method(holder, holder.container, func.attr, node).at(
                node.lineno, heap.time, reads
            )
            made_by.whole = func.attr == "copy" and isinstance(func.value, ast.Name | ast.Subscript)
            return made_by
        args, reads = self._arguments(node), read(self.heap, node)
        if holder.container is None and holder.region is None:  # a method of a text or number
            return heap.derive(*args, line=node.lineno, reads=reads)
        return heap.foreign(holder, *args, reads=reads).at(node.lineno, heap.time)

    def _arguments(self, node: ast.Call) -> list[AbstractValue]:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        return [self.value(arg.value if isinstance(arg, ast.Starred) else arg) for arg in given]

    def _builtin(self, name: str, node: ast.Call) -> AbstractValue:
        """Follow a call of a builtin that changes nothing."""
        heap, reads = self.heap, read(self.heap, node)
        known_types = [arg for arg in node.args if isinstance(arg, ast.Name) and self._is_builtin(arg.id)]
        args = [self.value(arg) for arg in node.args if arg not in known_types]
        if _MAKE_ATOM(name):
            return self._plain(node, *args)
        if name == "range":
            return heap.made(Container(tuple, heap.made()), node.lineno, reads)
        if name not in ("list", "tuple", "sorted"):
            return heap.derive(*args, line=node.lineno, reads=reads)
        kind = tuple if name == "tuple" else list
        if not args:
            return heap.made(Container(kind), node.lineno)
        known = args[0].container
        if name != "sorted" and known is not None and known.kind in (list, tuple):
            return self._copied(node, args[0], heap.copy(known, kind))
        return heap.sequence_of(*args, kind=kind, line=node.lineno).at(node.lineno, heap.time, reads)

    def _copied(self, node: ast.Call, value: AbstractValue, container: Container | None) -> AbstractValue:
        """Return the copy that a call made of its argument."""
        whole = isinstance(node.args[0], ast.Name | ast.Subscript)
        return AbstractValue(
            node.lineno,
            self.heap.time,
            value.expression,
            container,
            value.region,
            read(self.heap, node),
            whole,
        )

    def _method(
        self, holder: AbstractValue, container: Container, name: str, node: ast.Call
    ) -> AbstractValue:
        """Follow a method of a dict, list or tuple."""
        heap, args, kind = self.heap, self._arguments(node), container.kind
        first = self.key(node.args[0], args[0]) if name in TAKE_A_KEY and node.args else UNKNOWN
        nothing = AbstractValue(heap.line, heap.time, None)
        default = (*args[1:], nothing)[0]
        starred = any(isinstance(arg, ast.Starred) for arg in node.args)
        simple = not node.keywords and not starred
        container.settle()
        match name:
            case "update" if kind is dict and not starred:
                for value in [*args[: len(node.args)], self._keywords(Container(dict), node)]:
                    heap.update(container, value)
                return nothing
            case "append" if kind is list and simple:
                heap.append(container, args[0])
                return nothing
            case "extend" if kind is list and simple:
                heap.extend(container, args[0])
                return nothing
            case "insert" if kind is list and simple and container.length is not None and type(first) is int:
                items, index = heap.items(container), slice(first, None).indices(container.length)[0]
                if container.region is not None:
                    args[1].escape(container.region, heap.time)
                heap.rearrange(container, [*items[:index], args[1], *items[index:]], index)
                return nothing
            case "get" | "setdefault" | "pop" if kind is dict and simple and first is not UNKNOWN:
                part, certain = container.part(first), first in container.slots or container.rest is None
                part = (part or default) if certain else heap.derive(part or default, default)
                if name == "setdefault" and first not in container.slots:
                    heap.set_part(container, first, part)
                elif name == "pop":
                    heap.drop(container, first)
                return part
            case "pop" if kind is list and simple:
                return heap.drop(container, first if args else -1) or heap.derive(holder)
            case "clear" if kind in (dict, list):
                container.replace(nothing)
                container.rest, container.length = None, 0 if kind is list else None
                heap.note(container)
                return nothing
            case "copy" if kind in (dict, list):
                return heap.made(heap.copy(container))
            case "items" | "keys" | "values" | "get" | "count" | "index":
                return heap.derive(holder, *args)
        made = heap.derive(holder, *args) if simple else heap.foreign(holder, *args)
        heap.widen(container, *args)
        return made


_FOLLOW: dict[type[ast.expr], Callable[[Expressions, Any], AbstractValue]] = {
    ast.Name: Expressions._variable,
    ast.Subscript: Expressions._subscript,
    ast.Attribute: Expressions._attribute,
    ast.IfExp: Expressions._choice,
    ast.BoolOp: Expressions._operands,
    ast.NamedExpr: Expressions._named,
    ast.Dict: Expressions._display,
    ast.List: Expressions._sequence,
    ast.Tuple: Expressions._sequence,
    ast.Set: Expressions._set,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.DictComp: Expressions._comprehension,
    ast.BinOp: Expressions._operation,
    ast.UnaryOp: Expressions._unary,
    ast.Compare: Expressions._comparison,
    ast.JoinedStr: Expressions._text,
    ast.Call: Expressions._call,
}
