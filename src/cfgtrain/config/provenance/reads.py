"""What the expressions of a Python config read, and what its statements set, by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN, KeyPath
from cfgtrain.config.provenance.abstract_value import Read
from cfgtrain.config.provenance.heap import Heap
from cfgtrain.config.templates import TOKEN


def read(heap: Heap, node: ast.expr) -> tuple[Read, ...]:
    """Return the variables and references that an expression reads."""
    if type(node) is ast.Name:
        return _read(heap, node.id, ())
    nodes = list(ast.walk(node))
    bound = {each.id for each in nodes if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    found: list[Read] = []
    below: set[int] = set()
    for inner in nodes:
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            found += tokens_in(inner.value)
        if id(inner) in below or not isinstance(inner, ast.Name | ast.Subscript):
            continue
        name, path, links = _chain(inner)
        if name and name not in bound:
            below.update(links)
            found += _read(heap, name, path)
    return tuple(dict.fromkeys(found))


def read_target(heap: Heap, target: ast.expr) -> tuple[Read, ...]:
    """Return the variable that ``x += 1`` reads before it sets it."""
    name, path, _ = _chain(target)
    return _read(heap, name, path)


def _read(heap: Heap, name: str, path: KeyPath) -> tuple[Read, ...]:
    if TOKEN.fullmatch(name):
        return (Read(name, path),)
    value, done = heap.lookup(name), 0
    if value is None:
        return ()
    while done < len(path) and value.container is not None:
        part = value.container.part(path[done])
        if part is None:
            break
        value, done = part, done + 1
    return (Read(name, path[:done], value, heap.time, path[done:]),)


def stored_names(node: ast.AST, *kinds: type[ast.AST]) -> Iterator[str]:
    """Yield the names that a statement may set; with ``kinds``, only by these nodes."""
    for each in ast.walk(node):
        match each:
            case _ if kinds and not isinstance(each, kinds):
                pass
            case ast.NamedExpr(target=ast.Name(id=name)) | ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.alias(name=dotted, asname=alias):
                yield alias or dotted.partition(".")[0]


def tokens_in(text: str) -> tuple[Read, ...]:
    """Return the references within a string."""
    return tuple(Read(token, ()) for token in TOKEN.findall(text)) if "__" in text else ()


def _chain(node: ast.expr) -> tuple[str, KeyPath, list[int]]:
    """Return the name, the constant keys and the ids of the links of ``name["a"][0]``.

    The name of anything else is "".
    """
    keys: list[object] = []
    links = []
    while isinstance(node, ast.Subscript):
        key = constant(node.slice)
        keys = [] if key is UNKNOWN else [key, *keys]
        node = node.value
        links.append(id(node))
    return node.id if isinstance(node, ast.Name) else "", tuple(keys), links


def constant(node: ast.expr) -> Any:
    """Return the value of a constant or of ``-1``; UNKNOWN for any other expression."""
    if isinstance(node, ast.Constant):
        return node.value
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    return UNKNOWN
