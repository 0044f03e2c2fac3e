"""Parse the text of one config: compile Python and parse JSON. Errors have the line.

JSON and YAML (see ``yaml_reader``) may come from untrusted sources. Duplicate keys, unlimited nesting and
huge keys are rejected while parsing.
"""

from __future__ import annotations

import ast
import json
import re
from types import CodeType
from typing import Any

from cfgtrain.config.key_paths import MAX_DEPTH, walk
from cfgtrain.errors import ConfigKeyError, ConfigSyntaxError
from cfgtrain.origin import Origin

MAX_KEY = 1000  # characters

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def parse_python(code: str, shown: str) -> ast.Module:
    """Return the syntax tree of a Python config; ``shown`` is the path for messages."""
    try:
        return ast.parse(code, shown)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error, shown) from error


def compile_python(code: str | ast.Module, shown: str) -> CodeType:
    """Compile a Python config; its tracebacks show the file as ``shown``."""
    try:
        return compile(code, shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error, shown) from error


def _not_python(error: Exception, shown: str) -> ConfigSyntaxError:
    line = getattr(error, "lineno", None)
    code = (getattr(error, "text", None) or "").strip()
    code = code if len(code) <= 100 else code[:97] + "..."
    if isinstance(error, RecursionError | MemoryError):  # the text differs between Python versions
        reason = "an expression is nested too deeply for Python to parse"
    else:
        reason = getattr(error, "msg", None) or str(error)
    return ConfigSyntaxError(
        f"There are syntax errors in config file {shown}: {reason}." + (f"\n    {code}" if code else ""),
        origin=Origin(shown, line),
    )


def parse_json(text: str, shown: str) -> Any:
    """Return the value of a JSON config, or None if it is empty."""
    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, text, shown))
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"The config is not valid JSON: {error.msg} at column {error.colno}.",
            origin=Origin(shown, error.lineno),
        ) from error
    except RecursionError as error:
        raise too_deep(shown, _deep_line(text)) from error
    except ConfigKeyError:
        raise
    except ValueError as error:  # a number with more digits than Python parses
        raise ConfigSyntaxError(f"The config is not valid JSON: {error}.", origin=Origin(shown)) from error


def _object(pairs: list[tuple[str, Any]], text: str, shown: str) -> dict[str, Any]:
    found = dict(pairs)
    for key in found:
        check_length(key, shown, None)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        places = [m.start() for m in re.finditer(re.escape(json.dumps(twice)) + r"\s*:", text)]
        line = text.count("\n", 0, places[1]) + 1 if len(places) == 2 else None
        message = f"The key {twice!r} occurs twice in one object."
        raise ConfigKeyError(message, origin=Origin(shown, line), key=twice)
    return found


def _deep_line(text: str) -> int | None:
    """Return the line on which brackets first nest deeper than MAX_DEPTH."""
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        if bracket[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return text.count("\n", 0, bracket.start()) + 1
        elif bracket[0] in "]}":
            depth -= 1
    return None


def too_deep(shown: str, line: int | None) -> ConfigSyntaxError:
    """Return the error for values that nest deeper than MAX_DEPTH."""
    message = f"The config nests deeper than {MAX_DEPTH} levels."
    return ConfigSyntaxError(message, origin=Origin(shown, line))


def check_keys(value: Any, shown: str) -> None:
    """Raise for a key longer than MAX_KEY at any depth."""
    for path, _ in walk(value):
        if path:
            check_length(path[-1], shown, None)


def check_length(key: object, shown: str, line: int | None) -> None:
    """Raise for a key longer than MAX_KEY."""
    if isinstance(key, str) and len(key) > MAX_KEY:
        raise ConfigKeyError(
            f"A key has {len(key):,} characters, {key[:40]!r}...; the maximum is {MAX_KEY:,}.",
            origin=Origin(shown, line),
        )
