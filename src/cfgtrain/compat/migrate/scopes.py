"""Which names a scope of Python code binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Scope = ast.Module | ast.ClassDef | Function | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, including the nodes of inner scopes themselves, but not what is in these."""
    stack = list(ast.iter_child_nodes(scope))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Function | ast.ClassDef):
            stack += outer_parts(node)
        elif not isinstance(node, Scope):
            stack += ast.iter_child_nodes(node)


def outer_parts(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a function or class that are evaluated outside of it: decorators, defaults, bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    if not isinstance(node, Function):
        return []
    arguments = node.args
    parts: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults]
    if not isinstance(node, ast.Lambda):
        every = (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        )
        parts += [*node.decorator_list, node.returns, *(each.annotation for each in every if each)]
    return [part for part in parts if part is not None]


def inner_parts(scope: ast.AST) -> list[ast.AST]:
    """Return the parts of a scope that are evaluated inside of it."""
    outer = {id(part) for part in outer_parts(scope)}
    if isinstance(scope, Function):
        return list(scope.body) if isinstance(scope.body, list) else [scope.body]
    return [part for part in ast.iter_child_nodes(scope) if id(part) not in outer]


def bindings(scope: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that a scope binds, each with the node that binds it. Imports of ``a.b`` bind ``a``."""
    if isinstance(scope, Function):
        for each in ast.walk(scope.args):
            if isinstance(each, ast.arg):
                yield each.arg, each
    outside = {id(part) for top in outer_parts(scope) for part in ast.walk(top)}
    for node in own_nodes(scope):
        if id(node) in outside:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id, node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], node
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name, node
