"""Read the text of one config: compile Python, parse JSON and YAML; what is wrong is placed.

JSON and YAML are data from anywhere. A key that stands twice, values that nest without end,
aliases that multiply and keys of a megabyte are errors before they cost anything.
"""

from __future__ import annotations

import ast
import json
import re
from types import CodeType
from typing import Any

import yaml

from cfgtrain.config.dict import MAX_CONTAINERS
from cfgtrain.config.keys import MAX_DEPTH
from cfgtrain.errors import ConfigError, ConfigKeyError, ConfigSyntaxError
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
        check_length(key, shown, None)
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


def check_keys(value: Any, shown: str) -> None:
    """Raise for a key longer than MAX_KEY at any depth."""
    if isinstance(value, dict):
        for key, part in value.items():
            check_length(key, shown, None)
            check_keys(part, shown)
    elif isinstance(value, (list, tuple)):
        for part in value:
            check_keys(part, shown)


def check_length(key: object, shown: str, line: int | None) -> None:
    """Raise for a key longer than MAX_KEY."""
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
            return _YamlReader(loader, shown).document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        for place in filter(None, (error.context_mark, mark)):
            _check_start(text.split("\n")[place.line : place.line + 1], shown, place.line + 1)
        reason = " ".join(filter(None, [error.context, error.problem]))
        raise ConfigSyntaxError(
            f"The config is not valid YAML: {reason}.", file=shown, line=mark.line + 1 if mark else None
        ) from error
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise ConfigSyntaxError(f"The config is not valid YAML: {error}.", file=shown) from error


def _check_start(lines: list[str], shown: str, line: int) -> None:
    """Raise if what a line begins with is a key that is too long: the parser says other things of it."""
    for text in lines:
        key, colon, _ = f"{text.strip()} ".partition(": ")
        if colon:
            check_length(key.strip("'\""), shown, line)


class _YamlReader:
    """Makes values of the events of PyYAML's parser.

    PyYAML's own composer follows any depth until the stack of the process ends, and its
    constructor lets the last of two equal keys win and copies what ``<<`` merges, so that a
    few lines can fill any memory. What is plain text is also read only once, however often it
    stands there, which is most of the time.
    """

    def __init__(self, loader: Any, shown: str) -> None:
        self.loader = loader
        self.shown = shown
        self.plain: dict[str, Any] = {}  # values of plain scalars by their text
        self.anchored: dict[str, tuple[Any, int]] = {}  # by anchor: the value, and how many are in it
        self.open: set[str] = set()  # anchors of the containers around this place
        self.count = 0  # of values, those that aliases repeat included
        self.repeated = 0  # of those

    def document(self) -> Any:
        """Return the value of the only document, None without one."""
        next_event = self.loader.get_event
        next_event()  # the start of the stream
        if type(next_event()) is yaml.StreamEndEvent:
            return None
        value = self.value(next_event(), 0)
        next_event()  # the end of the document
        event = next_event()
        if type(event) is not yaml.StreamEndEvent:
            raise self.wrong("a config is one document, and here another one begins", event)
        return value

    def value(self, event: Any, depth: int) -> Any:
        """Return the value that begins with ``event``."""
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self.repeat(event)
        if kind is yaml.ScalarEvent:
            self.count += 1
            value = self.scalar(event)
            if event.anchor:
                self.anchored[event.anchor] = (value, 1)
            return value
        if depth > MAX_DEPTH:
            raise _too_deep(self.shown, event.start_mark.line + 1)
        if event.anchor is None:
            return self.container(event, depth + 1)
        before = self.count
        self.open.add(event.anchor)
        value = self.container(event, depth + 1)
        self.open.discard(event.anchor)
        self.anchored[event.anchor] = (value, self.count - before)
        return value

    def scalar(self, event: Any) -> Any:
        text = event.value
        plain = event.tag is None and event.implicit[0]
        if plain and text in self.plain:
            return self.plain[text]
        tag = (
            self.loader.resolve(yaml.ScalarNode, text, event.implicit)
            if event.tag in (None, "!")
            else event.tag
        )
        if tag in TEXTS:
            value: Any = text
        else:
            make = self.loader.yaml_constructors.get(tag) or self.unknown(tag, event)
            value = make(self.loader, yaml.ScalarNode(tag, text, event.start_mark, event.end_mark))
        if plain:
            self.plain[text] = value
        return value

    def container(self, event: Any, depth: int) -> Any:
        self.count += 1
        tag = event.tag
        if type(event) is yaml.MappingStartEvent:
            if tag in (None, "!", _MAP):
                return self.mapping(depth)
            return set(self.mapping(depth)) if tag == _SET else self.unknown(tag, event)
        items = self.items(depth)
        if tag in (None, "!", _SEQ):
            return items
        if tag == _TUPLE:
            return tuple(items)
        if tag in _PAIRS and all(isinstance(item, dict) and len(item) == 1 for item in items):
            return [pair for item in items for pair in item.items()]
        return self.unknown(tag, event)

    def items(self, depth: int) -> list[Any]:
        """Read the items of a list, and its end."""
        items = []
        next_event = self.loader.get_event
        while type(event := next_event()) is not yaml.SequenceEndEvent:
            items.append(self.value(event, depth))
        return items

    def mapping(self, depth: int) -> dict[Any, Any]:
        """Read the keys and values of a mapping, and its end."""
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        next_event = self.loader.get_event
        while type(event := next_event()) is not yaml.MappingEndEvent:
            if _is_merge(event):
                merged = {**self.merged(next_event(), depth), **merged}
                continue
            key = self.value(event, depth)
            self.check_key(key, event, lines)
            own[key] = self.value(next_event(), depth)
        return {**merged, **own} if merged else own

    def check_key(self, key: Any, event: Any, lines: dict[Any, int]) -> None:
        """Raise for a key that stands twice in its mapping, or cannot be one; ``lines`` has those before it."""
        line = event.start_mark.line + 1
        try:
            first = lines.get(key)
        except TypeError:
            raise self.wrong("no list or mapping can be a key", event) from None
        if first is not None:
            raise ConfigKeyError(
                f"The key {key!r} stands twice, first on line {first}.",
                file=self.shown,
                line=line,
                key=str(key),
            )
        if type(key) is str and len(key) > MAX_KEY:
            check_length(key, self.shown, line)
        lines[key] = line

    def merged(self, event: Any, depth: int) -> dict[Any, Any]:
        """Return the keys that ``<<`` brings in; of several mappings the first that has a key wins."""
        value = self.value(event, depth)
        maps = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in maps):
            raise self.wrong("<< merges a mapping, or a list of them", event)
        found: dict[Any, Any] = {}
        for each in reversed(maps):
            found.update(each)
        return found

    def repeat(self, event: Any) -> Any:
        """Return what an alias stands for, and count the values that it brings in again."""
        if event.anchor in self.open:
            raise self.wrong(f"the alias {event.anchor!r} stands within what it names", event)
        if event.anchor not in self.anchored:
            raise self.wrong(f"there is no anchor {event.anchor!r} before this alias", event)
        value, size = self.anchored[event.anchor]
        self.count += size
        self.repeated += size
        if self.repeated > MAX_CONTAINERS:
            raise self.wrong(f"its aliases repeat more than {MAX_CONTAINERS:,} values", event)
        return value

    def unknown(self, tag: str, event: Any) -> Any:
        """Raise for a tag that means nothing here."""
        name = tag.replace("tag:yaml.org,2002:", "!!")
        raise self.wrong(
            f"a config knows no tag {name} here; of those of Python only !!python/tuple, as YAML runs no code",
            event,
        )

    def wrong(self, problem: str, event: Any) -> ConfigSyntaxError:
        return ConfigSyntaxError(
            f"The config is not valid YAML: {problem}.", file=self.shown, line=event.start_mark.line + 1
        )


def _is_merge(event: Any) -> bool:
    return type(event) is yaml.ScalarEvent and (
        (event.value == "<<" and event.tag is None and event.implicit[0]) or event.tag == MERGE
    )


_STR, _MAP, _SET, _SEQ, _TUPLE, MERGE, _VALUE, _OMAP, _TWOS = (
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "map", "set", "seq", "python/tuple", "merge", "value", "omap", "pairs")
)
TEXTS = (_STR, MERGE, _VALUE)  # tags of what is text as it stands
_PAIRS = (_OMAP, _TWOS)
