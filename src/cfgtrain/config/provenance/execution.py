"""Run a Python config once, and record which of its blocks ran.

A file without blocks at its top level needs no record: each of its statements ran, once, from top to
bottom. Any other gets *marks* at the beginning and the end of every block of its ``if``, ``try``,
``with`` and ``match`` statements: calls that append a number to a list. There are none in loops,
functions and expressions. The list is a constant of the code, so that the config does not see it
among its names, and every line keeps its number.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import CodeType
from typing import Any

from cfgtrain.config.formats import compile_python, parse_python
from cfgtrain.errors import ConfigSyntaxError

# The numbers of the marks that were passed: 2 * i at the beginning of block i, 2 * i + 1 at its end.
Record = frozenset[int]

Block = ast.If | ast.With | ast.Try | ast.TryStar | ast.Match

# A line that may begin a block. Where one is missed nothing is recorded, and its lines are not known.
_BLOCK = re.compile(r"(?:^|[\r\f])(?:if|try|with|match)\b", re.M)
_RECORDED = "\0the list of the marks"  # stands for it until the code is compiled


def execute(
    text: str,
    shown: str,
    namespace: dict[str, Any],
    tree: ast.Module | None = None,
    compiled: dict[str, CodeType] | None = None,
) -> Record | None:
    """Run a Python config in ``namespace``.

    Args:
        text: The config.
        shown: The file as people know it.
        namespace: Takes the names that the config sets.
        tree: The config once more, where the text is not yet what is to be run; it is changed.
        compiled: The code of texts without blocks that ran before, by ``shown``; this one's is added.

    Returns:
        The marks that were passed, or None for a file without blocks, and for one too deep to be marked.

    Raises:
        ConfigSyntaxError: It is not Python.
    """
    passed: list[int] | None = [] if _BLOCK.search(text) else None
    code = None
    if passed is not None:
        try:
            marked = parse_python(text, shown) if tree is None else tree
            _insert_marks(marked)
            code = compile_python(marked, shown)
            constants = (
                passed if type(each) is str and each == _RECORDED else each for each in code.co_consts
            )
            code = code.replace(co_consts=tuple(constants))
        except (RecursionError, ConfigSyntaxError):
            if tree is not None:
                raise
            passed, code = None, None
    if code is None and tree is None and compiled is not None:
        code = compiled.get(shown)
        if code is None:
            code = compiled[shown] = compile_python(text, shown)
    exec(code or compile_python(tree or text, shown), namespace)  # noqa: S102  # Python configs are code
    return None if passed is None else frozenset(passed)


def blocks_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    """Return the lists of statements within a statement."""
    inner = getattr(statement, "handlers", getattr(statement, "cases", []))
    found = [getattr(statement, "body", []), *(each.body for each in inner)]
    return [*filter(None, found + [getattr(statement, name, []) for name in ("orelse", "finalbody")])]


def all_blocks(statements: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield every block that takes marks, in a fixed order."""
    for statement in statements:
        if isinstance(statement, Block):
            for block in blocks_of(statement):
                yield block
                yield from all_blocks(block)


def _insert_marks(tree: ast.Module) -> None:
    for i, block in enumerate([*all_blocks(tree.body)]):
        block[:] = [_mark(2 * i, block[0]), *block, _mark(2 * i + 1, block[-1])]


def _mark(number: int, at: ast.stmt) -> ast.Expr:
    recorded = ast.Attribute(ast.Constant(_RECORDED), "append", ast.Load())
    mark = ast.copy_location(ast.Expr(ast.Call(recorded, [ast.Constant(number)], [])), at)
    return ast.fix_missing_locations(mark)
