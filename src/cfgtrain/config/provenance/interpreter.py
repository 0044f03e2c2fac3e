"""Follow the execution of a Python config, with abstract values in the place of values.

Statements are followed in the order in which they ran, as recorded. Code that is not followed, such
as that of a function, may have changed anything that it can reach, which regions say.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN
from cfgtrain.config.provenance.abstract_value import AbstractValue, Container
from cfgtrain.config.provenance.execution import BLOCKS, Event, Mark, Marker, Record
from cfgtrain.config.provenance.expressions import Expressions
from cfgtrain.config.provenance.heap import Heap
from cfgtrain.config.provenance.reads import read, read_target, stored_names

# With these, any code may set any name of the file; with those but the first three, any builtin too.
_REFLECTION = (
    "globals|locals|vars|exec|eval|compile|setattr|builtins|__builtins__|inspect|gc|ctypes|_getframe|currentframe"
    "|f_globals|f_locals|__globals__|__dict__"
)
_MAY_REFLECT = re.compile(rf"\b(?:{_REFLECTION})\b")
_AS_TEXT = frozenset({"builtins", "__builtins__", "__globals__", "__dict__", "f_globals", "f_locals"})
_NAMES_ALONE = {"globals", "locals", "vars"}
_HOLDS_CODE = re.compile(r"\b(?:def|class|lambda|for)\b")
_QUOTED = re.compile(r"""['"](\w+)['"]""")
# Python runs code when an object of the file's own, or a generator, is dropped, which is not told.
_FINALIZERS = re.compile(r"\b(?:__del__|yield|weakref)\b")

_PLAIN_PATTERNS = (ast.MatchValue, ast.MatchSingleton, ast.MatchOr, ast.MatchAs, ast.Constant, ast.Load)

# What an assignment sets: a name, or the key of a holder.
_Place = str | tuple[AbstractValue, Any] | None


def follow(text: str, record: Record | None, shadowed: frozenset[str] = frozenset()) -> Container:
    """Return what each name of a config stands for at its end.

    Args:
        text: Of the config, as it was parsed.
        record: What of it ran, or None where that was not recorded.
        shadowed: Builtins that it ended with names of its own for.
    """
    return _Interpreter(text, record, shadowed).run()


class _Interpreter:
    def __init__(self, text: str, record: Record | None, shadowed: frozenset[str]) -> None:
        self.tree = ast.parse(text)
        self.record = record
        self.marker = Marker(text, insert=False)
        if record is not None:
            self.marker.visit(self.tree)
        self.heap = Heap()
        self.expressions = Expressions(self.heap, self.marker.numbers)
        self.iterated: dict[ast.AST, tuple[AbstractValue, int]] = {}
        self.finalizers = _FINALIZERS.search(text) is not None
        for name in ("__name__", "__file__"):
            self.heap.names.slots[name] = AbstractValue(None, 0)
        reflects = (
            set(_words(self.tree)).intersection(_REFLECTION.split("|"))
            if _MAY_REFLECT.search(text)
            else set()
        )
        untrusted = set(shadowed).union(_QUOTED.findall(text) if reflects else ())
        self.expressions.untrusted = None if reflects - _NAMES_ALONE else untrusted
        if _HOLDS_CODE.search(text):
            captured, stored = _global_names(symtable.symtable(text, "config", "exec"))
            self.heap.captured = frozenset(captured)
            reflects |= stored
        if reflects:
            self.heap.names.region = self.heap.world

    # -------------------------------------------------------------------------------- the record

    def run(self) -> Container:
        """Follow the whole file."""
        numbers, chunks = self.marker.numbers, self.chunks()
        for statement in self.tree.body:
            events = chunks.get(numbers.get(statement, -1), [])
            if numbers.get(statement) is None and not isinstance(statement, BLOCKS):
                self.statement(statement)
                self.finalize()
                continue
            if not events or _number(events[0]) != numbers[statement]:  # its beginning was not kept
                self.havoc(statement, None)
            if events:
                self.play(events)
        return self.heap.names

    def chunks(self) -> dict[int, list[Event]]:
        """Return the events of each statement at the top of the file, as far as they were kept."""
        tops = [self.marker.numbers[node] for node in self.tree.body if node in self.marker.numbers]
        chunks: dict[int, list[Event]] = {top: [] for top in tops}
        first = next((number for number in map(_number, self.record or ()) if number in chunks), None)
        lost = tops if first is None else tops[: tops.index(first)]
        chunk = chunks[lost[-1]] if lost else []
        for event in self.record or ():
            chunk = chunks.get(_number(event), chunk)
            chunk.append(event)
        return chunks

    def play(self, events: list[Event]) -> None:
        """Follow the events of one statement at the top of the file."""
        marks, seen = self.marker.marks, self.expressions.seen
        before = marks[_number(events[0])]
        at = 0
        while at < len(events):
            event, at = events[at], at + 1
            mark = marks[_number(event)]
            if mark.kind != "test":
                seen.clear()
            while at < len(events) and marks[_number(events[at])].kind == "value":
                seen[_number(events[at])] = _key(events[at])
                at += 1
            self.leave(before, mark)
            self.step(mark, self.is_complete(mark, _number(events[at]) if at < len(events) else None))
            before = mark
        self.leave(before, None)

    def is_complete(self, mark: Mark, following: int | None) -> bool:
        """Return whether a statement, or the head of one, came to its end: the mark that followed tells."""
        if mark.following in (None, following):
            return True
        node: Any = mark.node
        if following is None:
            return False
        if not isinstance(node, BLOCKS) or self.marker.marks[following].node is node:
            return isinstance(node, BLOCKS)
        cases = node.cases if isinstance(node, ast.Match) else [node]
        firsts = [block[0] for case in cases for block in (case.body, getattr(case, "orelse", None)) if block]
        return following in [self.marker.numbers.get(first) for first in firsts]

    def step(self, mark: Mark, completed: bool) -> None:
        """Follow what happens at a mark."""
        node: Any = mark.node
        heap, expressions = self.heap, self.expressions
        heap.begin(node.lineno)
        match mark.kind:
            case "statement" if isinstance(node, BLOCKS) and completed:
                self.header(node)
            case "statement" if completed or isinstance(node, ast.Pass | ast.Break | ast.Continue):
                self.statement(node)
            case "statement":
                heads = [
                    part for name in ("test", "iter", "items", "subject") for part in _listed(node, name)
                ]
                for part in heads if isinstance(node, BLOCKS) else [node]:
                    self.havoc(part, node.lineno if node.lineno == node.end_lineno else None)
            case "iteration":
                self.bind_next(node)
            case "exhausted":
                heap.operate(self.iterable(node)[0])
            case "test":
                heap.line = node.test.lineno
                expressions.operate(node.test)
            case "handler":
                if node.type is not None:
                    expressions.value(node.type)
                if node.name:
                    heap.bind(node.name, heap.foreign(touch=False))
        if mark.kind != "end":
            self.finalize()
        for statement in mark.run:
            self.statement(statement)
            self.finalize()

    def finalize(self) -> None:
        """Follow what Python may run when the statement at hand has dropped something."""
        if self.finalizers:
            self.heap.touch(self.heap.world)

    def leave(self, before: Mark, now: Mark | None) -> None:
        """Follow what runs at the end of with statements and loops that are left before a mark."""
        for node in reversed(before.around):
            if now is not None and (
                node in now.around or (now.node is node and now.kind in ("iteration", "test"))
            ):
                continue  # it goes on
            self.heap.begin(node.lineno)
            if isinstance(node, ast.With):
                self.heap.line = _line_of_head(node, node.items[-1].context_expr)
                self.heap.touch(self.heap.world)
            elif isinstance(node, ast.For):
                exhausted = now is not None and now.kind == "exhausted" and now.node is node
                if not exhausted and self.heap.is_foreign(self.iterable(node)[0]):
                    # Its iterator failed, or is dropped, at the break unless a with came between.
                    direct = isinstance(before.last, ast.Break) and node is before.around[-1]
                    self.heap.line = before.last.lineno if direct else None  # type: ignore[attr-defined]
                    self.heap.touch(self.heap.world)
            elif isinstance(node, ast.While) and not isinstance(before.last, ast.Break):
                self.havoc(node.test, None)  # it may have failed

    # -------------------------------------------------------------------------------- statements

    def statement(self, node: ast.stmt) -> None:
        """Follow one simple statement, from its beginning to its end."""
        heap, value = self.heap, self.expressions.value
        heap.begin(node.lineno)
        match node:
            case ast.Assign(targets=targets, value=expression):
                made = value(expression)
                for target in targets:
                    self.store(target, made)
            case ast.Expr(value=expression):
                if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
                    heap.line = expression.func.end_lineno  # the line of the call
                value(expression)
            case ast.AugAssign():
                self.augment(node)
            case ast.AnnAssign(target=target, value=given, annotation=annotation):
                if given is not None:
                    self.store(target, value(given))
                heap.line = annotation.lineno
                value(annotation)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.delete(target)
            case ast.Import(names=aliases):
                for alias in aliases:
                    self.bind_import(alias, alias.name)
            case ast.ImportFrom(names=aliases, module=module):
                for alias in aliases:
                    self.bind_import(alias, f"{module}.{alias.name}")
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self.define(node)
            case ast.Assert(test=test):
                self.expressions.operate(test)
            case ast.Pass() | ast.Break() | ast.Continue() | ast.Global():
                pass
            case _:
                self.havoc(node, node.lineno)

    def header(self, node: ast.stmt) -> None:
        """Follow what a block statement does before its blocks."""
        heap, expressions = self.heap, self.expressions
        match node:
            case ast.If(test=test):
                heap.line = test.lineno
                expressions.operate(test)
            case ast.For(iter=iterable):
                self.iterated[node] = expressions.value(iterable), 0
                heap.operate(self.iterated[node][0])
            case ast.With(items=items):
                heap.line = _line_of_head(node, items[-1].context_expr)
                for item in items:
                    given, reads = expressions.value(item.context_expr), read(heap, item.context_expr)
                    made = heap.foreign(given, reads=reads)
                    if item.optional_vars is not None:
                        self.store(item.optional_vars, made)
            case ast.Match(subject=subject, cases=cases):
                expressions.operate(subject)
                parts = [part for case in cases for part in ast.walk(case.pattern)]
                if any(case.guard for case in cases) or not all(
                    isinstance(part, _PLAIN_PATTERNS) for part in parts
                ):
                    self.havoc(subject, None)
                    for part in [
                        part for case in cases for part in (case.pattern, case.guard) if part is not None
                    ]:
                        self.havoc(part, None)

    def define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """Follow a definition; it is known which names its code may read."""
        heap, decorators = self.heap, node.decorator_list
        parts = list(decorators)
        if isinstance(node, ast.ClassDef):
            parts += [*node.bases, *(keyword.value for keyword in node.keywords)]
        else:
            parts += [each for each in (*node.args.defaults, *node.args.kw_defaults) if each is not None]
        if decorators:
            heap.line = decorators[0].lineno  # the last line to run
        made = heap.foreign(*map(self.expressions.value, parts), touch=False)
        if decorators or isinstance(node, ast.ClassDef):
            heap.touch(heap.world)
        heap.bind(node.name, made)

    def bind_import(self, alias: ast.alias, dotted: str) -> None:
        """Follow the import of a module, or of what is in one."""
        made = self.heap.foreign()
        if alias.name == "*":
            self.heap.widen(self.heap.names, made)
        else:
            self.heap.bind(alias.asname or alias.name.partition(".")[0], made)
            self.expressions.imported[dotted] = made

    def havoc(self, node: ast.AST, line: int | None) -> None:
        """Follow what may have run, in whole or in part: it may have changed whatever it names."""
        heap = self.heap
        heap.begin(line)
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} | {*stored_names(node)}
        made = heap.foreign(*filter(None, map(heap.lookup, sorted(names))))
        for name in stored_names(node):
            if name == "*":
                heap.widen(heap.names, made)
            else:
                heap.bind(name, made)

    # ---------------------------------------------------------------------------- what is written

    def iterable(self, node: ast.For) -> tuple[AbstractValue, int]:
        """Return what a loop goes through, and the number of turns so far."""
        if node not in self.iterated:  # how it began was not kept
            value = self.expressions.value(node.iter)
            followed = value.container is not None and value.container.length is not None
            self.iterated[node] = self.heap.derive(value) if followed else value, 0
        return self.iterated[node]

    def bind_next(self, node: ast.For) -> None:
        """Bind the variables of a loop for its next turn."""
        value, turn = self.iterable(node)
        self.iterated[node] = value, turn + 1
        self.heap.operate(value)
        container, part = value.container, None
        if container is not None and container.kind in (list, tuple) and container.length is not None:
            part = container.part(turn)
        part = part or self.heap.derive(value)
        self.store(node.target, part.at(self.heap.line, self.heap.time, read(self.heap, node.iter)))

    def place(self, target: ast.expr) -> _Place:
        """Return what an assignment to ``target`` sets."""
        match target:
            case ast.Name(id=name):
                return name
            case ast.Subscript(value=value, slice=at):
                return self.expressions.value(value), self.expressions.key(at)
            case ast.Attribute(value=value):
                return self.expressions.value(value), target
        return None

    def store(self, target: ast.expr, value: AbstractValue) -> None:
        """Set a target."""
        heap = self.heap
        if isinstance(target, ast.Starred):
            self.store(target.value, heap.sequence_of(value))
        elif isinstance(target, ast.Tuple | ast.List):
            heap.operate(value)
            container, starred = value.container, any(isinstance(each, ast.Starred) for each in target.elts)
            if container is not None:
                container.settle()
            for i, inner in enumerate(target.elts):
                if container is None or container.length != len(target.elts) or starred:
                    self.store(inner, heap.derive(value, line=value.line, reads=value.reads))
                else:
                    self.store(inner, heap.moved(container.slots[i]))
        else:
            self.put(self.place(target), value)

    def put(self, place: _Place, value: AbstractValue) -> None:
        """Set what ``place`` returned."""
        heap = self.heap
        if isinstance(place, str):
            heap.bind(place, value)
        elif place is not None and isinstance(place[1], ast.Attribute):
            self.expressions.untrusted = None  # it may have been one of a module
            self.expressions.imported.clear()
            heap.foreign(place[0], value)
        elif place is not None:
            holder, key = place
            if key is UNKNOWN:
                heap.operate(value)
            if holder.container is not None:
                heap.set_part(holder.container, key, value)
            elif holder.region is not None:
                value.escape(holder.region, heap.time)
                heap.touch(holder.region)

    def augment(self, node: ast.AugAssign) -> None:
        """Follow ``x += [...]``, ``x |= {...}`` and, as a new value, any other ``x *= 2``."""
        heap, place = self.heap, self.place(node.target)
        reads = read_target(heap, node.target)
        if isinstance(place, str):
            before = heap.lookup(place) or heap.foreign()
        elif place is not None and not isinstance(place[1], ast.Attribute):
            before = self.expressions.part_of(*place)
        else:
            before = heap.foreign(*(place or ())[:1])
        value = self.expressions.value(node.value)
        reads += read(self.heap, node.value)
        container = before.container
        if container is not None and container.kind is not tuple:
            if container.kind is list and isinstance(node.op, ast.Add):
                heap.extend(container, value)
            elif container.kind is dict and isinstance(node.op, ast.BitOr):
                heap.update(container, value)
            else:
                heap.widen(container, value)
            if container.kind is not None:
                return
        if container is None and before.region is None and value.container is None and value.region is None:
            self.put(place, AbstractValue(node.target.lineno, heap.time, reads=reads))
            return
        made = heap.derive(before, value, reads=reads)
        if made.region is not None:
            heap.touch(made.region)
        self.put(place, made.at(heap.line, heap.time))

    def delete(self, target: ast.expr) -> None:
        """Follow ``del name`` and ``del x[key]``."""
        if isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self.delete(each)
            return
        place = self.place(target)
        if isinstance(place, str):
            self.heap.drop(self.heap.names, place)
        elif place is not None and place[0].container is not None and not isinstance(place[1], ast.Attribute):
            self.heap.drop(place[0].container, place[1])
        else:
            self.put(place, self.heap.foreign(touch=False))


def _global_names(table: symtable.SymbolTable, top: bool = True) -> tuple[set[str], set[str]]:
    """Return the names of the file that the functions and classes within it read, and those that they set."""
    read: set[str] = set()
    stored: set[str] = set()
    for inner in table.get_children():
        if not top or inner.get_name() not in ("listcomp", "setcomp", "dictcomp"):  # those are run at once
            found = [symbol for symbol in inner.get_symbols() if symbol.is_global()]
            read.update(symbol.get_name() for symbol in found)
            stored.update(symbol.get_name() for symbol in found if symbol.is_assigned())
        below = _global_names(inner, top=False)
        read |= below[0]
        stored |= below[1]
    return read, stored


def _words(tree: ast.Module) -> Iterator[str]:
    """Yield the names of a file, its attributes and modules included, and those that it may have as text."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word):
                yield word
            case ast.alias(name=word):
                yield from word.split(".")
            case ast.Constant(value=str(word)) if word in _AS_TEXT:
                yield word


def _line_of_head(node: ast.stmt, last: ast.expr) -> int | None:
    """Return the line of a block statement if it has but one up to its body, else None."""
    return node.lineno if last.end_lineno == node.lineno else None


def _listed(node: ast.stmt, name: str) -> list[ast.AST]:
    part = getattr(node, name, [])
    return part if isinstance(part, list) else [part]


def _number(event: Event) -> int:
    return event[0] if isinstance(event, tuple) else event


def _key(event: Event) -> object:
    return event[1] if isinstance(event, tuple) else UNKNOWN
