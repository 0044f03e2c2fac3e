"""Read the text of a printed config without running it."""

from __future__ import annotations

import ast
from typing import Any

__all__ = ["read_literals"]

_CALLS = {
    "dict": dict,
    "float": float,
    "complex": complex,
    "set": set,
    "frozenset": frozenset,
    "range": range,
}


def read_literals(text: str) -> dict[str, Any]:
    """Return the values in the text of ``Config.pretty_text``; nothing in it is executed.

    For a config from a file that is not trusted, such as a checkpoint.

    Raises:
        ValueError: The text has anything but literals.
    """
    values: dict[str, Any] = {}
    try:
        for statement in ast.parse(text).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = _value(value)
                case ast.Expr(value=ast.Call(args=[ast.Dict() as late])):  # globals().update({...})
                    values.update(_value(late))
                case _:
                    raise ValueError(f"line {statement.lineno} is not an assignment")
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(str(error)) from error
    return values


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _CALLS:
            named = {each.arg: _value(each.value) for each in keywords if each.arg is not None}
            return _CALLS[name](*map(_value, args), **named)
        case ast.Dict(keys=keys, values=parts):
            return {_value(k): _value(v) for k, v in zip(keys, parts, strict=True) if k is not None}
        case ast.List(elts=parts):
            return [_value(part) for part in parts]
        case ast.Tuple(elts=parts):
            return tuple(map(_value, parts))
        case ast.Set(elts=parts):
            return set(map(_value, parts))
        case _:
            return ast.literal_eval(node)
