"""Run a Python config once, and record which of its statements ran, in which order.

A file without control flow needs no record: each of its statements ran, once, from top to bottom.
Any other gets *marks*: calls put into its syntax tree that append a number to a record. They stand
at the top level of the file alone, never in a function. The recorder is a constant of the code, so
that the config does not see it among its names, and every line keeps its number.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from cfgtrain.config.formats import compile_python, parse_python
from cfgtrain.errors import ConfigSyntaxError

# How many events are kept: the last ones.
MAX_EVENTS = 20_000
# A longer text is not kept as a key.
MAX_KEY = 200

# What a mark appends: its number, or that and the key that an expression came to.
Event = int | tuple[int, object]
Record = tuple[Event, ...]

# A word that may be control flow, in a text with a line break in front. What is missed is not marked, and not told.
_CONTROL_FLOW = re.compile(r"""[\s)\]}'"\d](?:if|for|while|try|with|match|and|or)\b""")
# A line that begins a statement at the top of a file, if it is not within a text or brackets.
_STATEMENT = re.compile(r"^(?!(?:elif|else|except|finally)\b)[^\s#)\]}]", re.M)
_DEFINITION = re.compile(r"\s*(?:@|(?:async\s+)?def\b|class\b)")
_RECORDER = "\0the recorder stands here"  # until the code is compiled
_KEYS = frozenset({str, int, float, bool, type(None)})
_LARGE = 2**63
# Methods whose first argument is a key or index.
TAKE_A_KEY = frozenset({"get", "pop", "setdefault", "insert"})
_TAKE_NO_MARKS = (
    *(ast.Constant, ast.Name, ast.expr_context, ast.operator, ast.cmpop),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.JoinedStr),
)


BLOCKS = (ast.If, ast.For, ast.While, ast.Try, ast.TryStar, ast.With, ast.Match)


class _Recorder:
    """Collects the events of one execution."""

    __slots__ = ("events", "mark")

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.mark = self.events.append

    def reached(self, number: int, value: Any) -> Any:
        """Record that an expression was evaluated; return its value."""
        self.mark(number)
        return value

    def key(self, number: int, value: Any) -> Any:
        """Record what an expression came to, if that is a simple key; return it."""
        kind = type(value)
        simple = len(value) <= MAX_KEY if kind is str else kind in _KEYS and -_LARGE < (value or 0) < _LARGE
        self.mark((number, value) if simple else number)
        return value


def execute(
    text: str, shown: str, namespace: dict[str, Any], tree: ast.Module | None = None
) -> Record | None:
    """Run a Python config in ``namespace``.

    Args:
        text: The config.
        shown: The file as people know it.
        namespace: Takes the names that the config sets.
        tree: The config once more, where the text is not yet what is to be run; it is changed.

    Returns:
        What ran, or None for a file without control flow, and for one too deep to be marked.

    Raises:
        ConfigSyntaxError: It is not Python.
    """
    recorder = _Recorder()
    codes = _marked(text, shown, tree, recorder) if _CONTROL_FLOW.search(f"\n{text}") else None
    for code in codes or [_with_recorder(compile_python(tree or text, shown), recorder)]:
        exec(code, namespace)  # noqa: S102  # Python configs are code
    return None if codes is None else tuple(recorder.events)


def _marked(text: str, shown: str, tree: ast.Module | None, recorder: _Recorder) -> list[CodeType] | None:
    """Return the code of a config with marks, in one piece or several, None where it takes none."""
    try:
        if tree is None and "__future__" not in text and "\r" not in text:
            with suppress(ConfigSyntaxError):  # a line of a text or a bracket was taken for a statement
                return [_with_recorder(code, recorder) for code in _pieces(text, shown)]
        tree = parse_python(text, shown) if tree is None else tree
        Marker(text, insert=True).visit(tree)
        return [_with_recorder(compile_python(tree, shown), recorder)]
    except (RecursionError, ConfigSyntaxError):
        return None


def _pieces(text: str, shown: str) -> Iterator[CodeType]:
    """Yield the code of the statements with marks, and of those between them, which take no syntax tree."""
    marker = Marker(text, insert=True)
    starts = [0, *(match.start() for match in _STATEMENT.finditer(text) if match.start()), len(text)]
    flowing = {bisect(starts, match.start()) - 1 for match in _CONTROL_FLOW.finditer(f"\n{text}")}
    flows = [i in flowing and _DEFINITION.match(text, starts[i]) is None for i in range(len(starts) - 1)]
    begin, line = 0, 0
    for i, flow in enumerate(flows, 1):
        if i == len(flows) or flows[i] != flow:
            piece: str | ast.Module = "\n" * line + text[begin : starts[i]]
            if flow:
                piece = marker.visit(parse_python(str(piece), shown))
            yield compile_python(piece, shown)
            line += text.count("\n", begin, starts[i])
            begin = starts[i]


def _takes_marks(text: str) -> bool:
    """Return whether a statement at the top of a file may hold control flow of its own."""
    return _CONTROL_FLOW.search(f"\n{text}") is not None and _DEFINITION.match(text) is None


def _with_recorder(code: CodeType, recorder: _Recorder) -> CodeType:
    constants = [recorder if type(each) is str and each == _RECORDER else each for each in code.co_consts]
    return code.replace(co_consts=tuple(constants))


@dataclass(slots=True)
class Mark:
    """What the number in an event stands for.

    Attributes:
        kind: ``statement``, before it; ``end`` of a block; ``value`` of an expression, after it; ``test``
            of a while, after it; ``iteration`` of a for, ``exhausted``; ``handler``, at its start.
        node: The statement, expression or handler.
        around: The loops and with statements that it is in, outermost first.
        following: The mark that comes next if a simple statement completes, where it may not.
        run: The simple statements after it that have no mark, as they cannot but run.
    """

    kind: str
    node: ast.AST
    around: tuple[ast.stmt, ...] = ()
    following: int | None = None
    run: list[ast.stmt] = field(default_factory=list)

    @property
    def last(self) -> ast.AST:
        """The last statement of those that it stands for."""
        return self.run[-1] if self.run else self.node


class Marker(ast.NodeTransformer):
    """Numbers the statements and expressions of a file whose execution is recorded.

    Args:
        text: Of the file.
        insert: Whether the marks are put into the tree; it is numbered alike without.

    Attributes:
        marks: All of them, by number.
        numbers: The mark of each statement or expression that has one.
    """

    def __init__(self, text: str, insert: bool) -> None:
        self.lines = text.split("\n")
        self.insert = insert
        self.marks: list[Mark] = []
        self.numbers: dict[ast.AST, int] = {}
        self.around: tuple[ast.stmt, ...] = ()
        self._funcs: dict[tuple[str, int], ast.expr] = {}
        self.may_fail = False  # and the config goes on all the same

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Mark the statements that hold control flow."""
        body: list[ast.stmt] = []
        for statement in node.body:
            known = len(self.marks)
            if _takes_marks("\n".join(self.lines[statement.lineno - 1 : statement.end_lineno])):
                self.visit(statement)
            if len(self.marks) > known:
                body += self._mark("statement", statement)
            body.append(statement)
        node.body = body
        return node

    # -------------------------------------------------------------------------------- statements

    def visit_If(self, node: ast.If) -> ast.If:
        """Mark every statement within."""
        node.test = self.visit(node.test)
        self._block(node.body)
        self._block(node.orelse)
        return node

    def visit_For(self, node: ast.For) -> ast.For:
        """Mark each turn, and the end."""
        node.iter = self.visit(node.iter)
        self._block(node.body, self._mark("iteration", node), within=node)
        self._block(node.orelse, self._mark("exhausted", node))
        return node

    def visit_While(self, node: ast.While) -> ast.While:
        """Mark each test."""
        node.test = self._wrap("test", "reached", self.visit(node.test), node)
        self._block(node.body, within=node)
        self._block(node.orelse)
        return node

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.Try | ast.TryStar:
        """Mark the handlers; every statement within may fail."""
        outside, self.may_fail = self.may_fail, True
        self._block(node.body)
        for handler in node.handlers:
            self._block(handler.body, self._mark("handler", handler))
        self._block(node.orelse)
        self._block(node.finalbody)
        self.may_fail = outside
        return node

    def visit_TryStar(self, node: ast.TryStar) -> ast.Try | ast.TryStar:
        """Mark ``except*`` as ``except``."""
        return self.visit_Try(node)

    def visit_With(self, node: ast.With) -> ast.With:
        """Mark every statement within, all of which may fail: a context may suppress the error."""
        for item in node.items:
            item.context_expr = self.visit(item.context_expr)
        outside, self.may_fail = self.may_fail, True
        self._block(node.body, within=node)
        self.may_fail = outside
        return node

    def visit_Match(self, node: ast.Match) -> ast.Match:
        """Mark every statement within."""
        node.subject = self.visit(node.subject)
        for case in node.cases:
            self._block(case.body)
        return node

    def _block(
        self, body: list[ast.stmt], first: list[ast.stmt] | None = None, within: ast.stmt | None = None
    ) -> None:
        outside = self.around
        self.around += () if within is None else (within,)
        marked = list(first or ())
        run = self.marks[-1] if first is not None else None  # whose statements follow without marks
        last: Mark | None = None
        for statement in body:
            simple = not isinstance(statement, BLOCKS)
            if run is not None and simple and not self.may_fail:
                run.run.append(statement)
            else:
                marked += self._mark("statement", statement)
                if last is not None:
                    last.following = len(self.marks) - 1
                last = self.marks[-1] if self.may_fail else None
                run = self.marks[-1] if simple else None
            marked.append(self.visit(statement))
        if last is not None:
            last.following = len(self.marks)
            marked += self._mark("end", body[-1])
        self.around = outside
        if self.insert:
            body[:] = marked

    # ------------------------------------------------------------------------------- expressions

    def visit_IfExp(self, node: ast.IfExp) -> ast.IfExp:
        """Mark the branch that was taken."""
        node.test = self.visit(node.test)
        node.body = self._wrap("value", "reached", self.visit(node.body))
        node.orelse = self._wrap("value", "reached", self.visit(node.orelse))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.BoolOp:
        """Mark the operands that were evaluated; the first always is."""
        first, *others = map(self.visit, node.values)
        node.values = [first, *(self._wrap("value", "reached", each) for each in others)]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        """Record the key."""
        node.value = self.visit(node.value)
        node.slice = self._key(self.visit(node.slice))
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.Dict:
        """Record the keys."""
        node.keys = [key and self._key(self.visit(key)) for key in node.keys]
        node.values = [self.visit(value) for value in node.values]
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Record the key that a method of a dict or list is given."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in TAKE_A_KEY and node.args:
            node.args[0] = self._key(node.args[0])
        return node

    def visit(self, node: ast.AST) -> Any:
        """Leave what runs another time, or more than once, as it is."""
        return node if isinstance(node, _TAKE_NO_MARKS) else super().visit(node)

    # -------------------------------------------------------------------------------------- marks

    def _key(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant | ast.Slice | ast.Starred):
            return node
        return self._wrap("value", "key", node)

    def _wrap(self, kind: str, method: str, node: ast.expr, whole: ast.AST | None = None) -> ast.expr:
        """Return an expression that is recorded when it has been evaluated."""
        number = self.numbers[node] = len(self.marks)
        self.marks.append(Mark(kind, whole or node, self.around))
        return self._call(method, number, node, node) if self.insert else node

    def _mark(self, kind: str, node: Any) -> list[ast.stmt]:
        """Return a statement that is recorded, at the place of ``node``."""
        number = len(self.marks)
        self.marks.append(Mark(kind, node, self.around))
        if kind == "statement":
            self.numbers[node] = number
        if not self.insert:
            return []
        at = (getattr(node, "decorator_list", None) or [node])[0]
        call = self._call("mark", number, at)
        return [ast.Expr(call, **self._place(at))]

    def _call(self, method: str, number: int, at: Any, *value: ast.expr) -> ast.Call:
        """Return a call of the recorder, where ``at`` begins."""
        place = self._place(at)
        func = self._funcs.get((method, at.lineno))
        if func is None:
            func = ast.Attribute(ast.Constant(_RECORDER, **place), method, ast.Load(), **place)
            self._funcs[method, at.lineno] = func
        return ast.Call(func, [ast.Constant(number, **place), *value], [], **place)

    def _place(self, at: Any) -> Any:
        line, column = at.lineno, at.col_offset
        return {"lineno": line, "col_offset": column, "end_lineno": line, "end_col_offset": column}
