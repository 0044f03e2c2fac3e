"""Read the text of one config: compile Python, parse JSON and YAML; what is wrong is placed.

JSON and YAML are data from anywhere. A key that stands twice, values that nest without end,
aliases that multiply and keys of a megabyte are errors before they cost anything.
"""

from __future__ import annotations

import ast
import json
import re
from types import CodeType, GeneratorType
from typing import Any

import yaml

from cfgtrain.config.dict import MAX_CONTAINERS
from cfgtrain.config.keys import MAX_DEPTH
from cfgtrain.errors import ConfigKeyError, ConfigSyntaxError
from cfgtrain.fileio.handlers import SafeLoader

MAX_KEY = 1000  # characters

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def parse_python(code: str, shown: str) -> ast.Module:
    """Return the syntax tree of a Python config; ``shown`` is the file as people know it."""
    try:
        return ast.parse(code, shown)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error, shown) from error


def compile_python(code: str | ast.Module, shown: str) -> CodeType:
    """Return the compiled Python config, whose tracebacks name ``shown``."""
    try:
        return compile(code, shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error, shown) from error


def _not_python(error: Exception, shown: str) -> ConfigSyntaxError:
    line = getattr(error, "lineno", None)
    code = (getattr(error, "text", None) or "").strip()
    code = code if len(code) <= 100 else code[:97] + "..."
    reason = getattr(error, "msg", None) or str(error) or "too much for Python to read"
    return ConfigSyntaxError(
        f"There are syntax errors in config file {shown}: {reason}." + (f"\n    {code}" if code else ""),
        file=shown,
        line=line,
    )


def parse_json(text: str, shown: str) -> Any:
    """Return what a JSON config holds, None if it is empty."""
    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, text, shown))
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"The config is not valid JSON: {error.msg} at column {error.colno}.",
            file=shown,
            line=error.lineno,
        ) from error
    except RecursionError as error:
        raise _too_deep(shown, _deep_line(text)) from error
    except ConfigKeyError:
        raise
    except ValueError as error:  # a number of more digits than Python takes
        raise ConfigSyntaxError(f"The config is not valid JSON: {error}.", file=shown) from error


def _object(pairs: list[tuple[str, Any]], text: str, shown: str) -> dict[str, Any]:
    found = dict(pairs)
    for key in found:
        _check_length(key, shown, None)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        places = [m.start() for m in re.finditer(re.escape(json.dumps(twice)) + r"\s*:", text)]
        line = text.count("\n", 0, places[1]) + 1 if len(places) == 2 else None
        raise ConfigKeyError(
            f"The key {twice!r} stands twice in one object.", file=shown, line=line, key=twice
        )
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


def _too_deep(shown: str, line: int | None) -> ConfigSyntaxError:
    return ConfigSyntaxError(f"The config nests deeper than {MAX_DEPTH} levels.", file=shown, line=line)


def _check_length(key: object, shown: str, line: int | None) -> None:
    if isinstance(key, str) and len(key) > MAX_KEY:
        raise ConfigKeyError(
            f"A key has {len(key):,} characters, {key[:40]!r}...; it may have {MAX_KEY:,}.",
            file=shown,
            line=line,
        )


def parse_yaml(text: str, shown: str) -> Any:
    """Return what a YAML config holds, None if it is empty."""
    try:
        loader = SafeLoader(text)
        try:
            root = loader.get_single_node()
            return None if root is None else _YamlBuilder(loader, shown).value(root, 0)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        reason = " ".join(filter(None, [error.context, error.problem]))
        raise ConfigSyntaxError(
            f"The config is not valid YAML: {reason}.", file=shown, line=mark.line + 1 if mark else None
        ) from error
    except RecursionError as error:
        raise _too_deep(shown, None) from error
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, ConfigKeyError | ConfigSyntaxError):
            raise
        raise ConfigSyntaxError(f"The config is not valid YAML: {error}.", file=shown) from error


class _YamlBuilder:
    """Makes values of the nodes that PyYAML composed.

    PyYAML's own constructor lets the last of two equal keys win, and copies what ``<<``
    merges, so that a few lines of it can fill any memory.
    """

    def __init__(self, loader: Any, shown: str) -> None:
        self.loader = loader
        self.shown = shown
        self.count = 0  # of values, those that aliases repeat included
        self.repeated = 0  # of those
        self.done: dict[int, tuple[Any, int]] = {}  # by id of the node: the value, and how many are in it
        self.open: set[int] = set()  # nodes around the one that is being made

    def value(self, node: Any, depth: int) -> Any:
        """Return the value of a node."""
        if type(node) is _Scalar:
            return node.value if node.tag == _STR else self.other(node)
        known = self.done.get(id(node))
        if known is not None:
            self.repeat(known[1], node)
            return known[0]
        if depth > MAX_DEPTH or id(node) in self.open:
            raise _too_deep(self.shown, node.start_mark.line + 1)
        self.open.add(id(node))
        before = self.count
        self.count += len(node.value) + 1
        value = self.container(node, depth + 1)
        self.open.discard(id(node))
        self.done[id(node)] = (value, self.count - before)
        return value

    def container(self, node: Any, depth: int) -> Any:
        tag, listed = node.tag, type(node) is yaml.SequenceNode
        if tag == _MAP and not listed:
            return self.mapping(node, depth)
        if tag == _SET and not listed:
            return set(self.mapping(node, depth))
        if listed and tag in (_SEQ, _TUPLE):
            items = [self.value(item, depth) for item in node.value]
            return items if tag == _SEQ else tuple(items)
        return self.other(node)

    def other(self, node: Any) -> Any:
        """Return what PyYAML makes of a number, a date, ...; tags that it does not know are errors."""
        constructors = self.loader.yaml_constructors
        made = constructors.get(node.tag, constructors[None])(self.loader, node)
        if isinstance(made, GeneratorType):  # yields what it has yet to fill
            (made,) = made
        return made

    def mapping(self, node: Any, depth: int) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self.merged(value_node, depth), **merged}
                continue
            key = key_node.value if key_node.tag in (_STR, _VALUE) else self.key(key_node, depth)
            if key in own:
                first = next(k for k, _ in node.value if k.value == key_node.value)
                line = key_node.start_mark.line + 1
                raise ConfigKeyError(
                    f"The key {key!r} stands twice, first on line {first.start_mark.line + 1}.",
                    file=self.shown,
                    line=line,
                    key=str(key),
                )
            if type(key) is str and len(key) > MAX_KEY:
                _check_length(key, self.shown, key_node.start_mark.line + 1)
            own[key] = self.value(value_node, depth)
        return {**merged, **own} if merged else own

    def key(self, node: Any, depth: int) -> Any:
        key = self.value(node, depth)
        try:
            hash(key)
        except TypeError:
            raise ConfigSyntaxError(
                "The config is not valid YAML: no list or mapping can be a key.",
                file=self.shown,
                line=node.start_mark.line + 1,
            ) from None
        return key

    def merged(self, node: Any, depth: int) -> dict[Any, Any]:
        """Return the keys that ``<<`` brings in; of several mappings the first that has a key wins."""
        value = self.value(node, depth)
        maps = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in maps):
            raise ConfigSyntaxError(
                "The config is not valid YAML: << merges a mapping, or a list of them.",
                file=self.shown,
                line=node.start_mark.line + 1,
            )
        found: dict[Any, Any] = {}
        for each in reversed(maps):
            found.update(each)
        return found

    def repeat(self, number: int, node: Any) -> None:
        """Count the values that an alias brings in again."""
        self.count += number
        self.repeated += number
        if self.repeated > MAX_CONTAINERS:
            raise ConfigSyntaxError(
                f"The aliases of the config repeat more than {MAX_CONTAINERS:,} values.",
                file=self.shown,
                line=node.start_mark.line + 1,
            )


_Scalar = yaml.ScalarNode
_STR, _MAP, _SET, _SEQ, _TUPLE, _MERGE, _VALUE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "map", "set", "seq", "python/tuple", "merge", "value")
)
