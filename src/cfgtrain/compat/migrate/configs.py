"""Recognize configs among Python, YAML and JSON files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cfgtrain.keys import KEYS

# A file without such a line is not parsed, unless it mentions mmcv.
_HINT = re.compile(
    r"^(_base_|\w+_(dataloader|evaluator|cfg)|optim_wrapper|param_scheduler|default_hooks|default_scope|randomness"
    rf"|{'|'.join(KEYS)})\s*=|\bread_base\b", re.MULTILINE,
)  # fmt: skip
# Keys that a file of another kind has too, such as device or seed, do not make it a config.
_STRUCTURES = frozenset({
    "model", "data", "optimizer", "runner", "lr_config", "momentum_config", "optimizer_config", "checkpoint_config",
    "log_config", "custom_hooks", "evaluation", "custom_imports", "fp16", "dist_params", "workflow",
})  # fmt: skip
_LENGTHS = frozenset({"total_epochs", "total_iters"})


def may_be_config(text: str) -> bool:
    """Return whether a Python file may be a config, before it is parsed."""
    return _HINT.search(text) is not None


def is_config(tree: ast.Module) -> bool:
    """Return whether a Python file is a config: it consists of settings, and sets a key that other code does not.

    Configs that import their bases with ``read_base`` are another kind.
    """
    if not consists_of_settings(tree):
        return False
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            names = set(assigned([statement]))
            is_plain = _is_container(statement.value) or "_base_" in names
            if (names & (_STRUCTURES | {"_base_"}) and is_plain) or names & _LENGTHS:
                return True
    return False


def is_data_config(values: object) -> bool:
    """Return whether the content of a YAML or JSON file is a config."""
    if not isinstance(values, Mapping):
        return False
    found = [key for key in values if key in _STRUCTURES and isinstance(values[key], Mapping | list)]
    return "_base_" in values or len(found) > 1


def consists_of_settings(tree: ast.Module) -> bool:
    """Return whether a file only sets variables, so that it may be executed as a config."""
    names = set(assigned(tree.body))
    return all(_is_setting(statement, names) for statement in tree.body)


def assigned(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the variables that statements set."""
    for statement in body:
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def literal(node: ast.AST | None) -> Any:
    """Return the value of an expression of literals and of calls such as ``dict(a=1)``.

    Raises:
        ValueError: It is another expression.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("dict() with other arguments than keywords")
        return {str(keyword.arg): literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {literal(key): literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [literal(each) for each in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(literal(each) for each in node.elts)
    if node is None:
        raise ValueError("no value")
    return ast.literal_eval(node)


def _is_container(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("dict", "list")
    return isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Constant)


def _is_setting(node: ast.stmt, names: set[str]) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or (
            isinstance(node.value, ast.Call) and _root(node.value.func) in names
        )  # a docstring, or a call such as model.update(...)
    return isinstance(
        node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Import | ast.ImportFrom | ast.Delete
    )


def _root(node: ast.expr) -> str | None:
    """Return the variable that an expression such as ``model['a'].update`` begins with; None for a plain name."""
    is_part = False
    while isinstance(node, ast.Attribute | ast.Subscript):
        node, is_part = node.value, True
    return node.id if is_part and isinstance(node, ast.Name) else None
