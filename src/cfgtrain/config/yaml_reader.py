"""Read a YAML config into values, and into nodes with the line of each value.

PyYAML's parser runs in C if libyaml is installed. Its composers are replaced: the one in C
recurses until the stack of the process overflows, and both take the last of two equal keys
and expand aliases without a limit, so that a few lines can use up all memory.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cfgtrain.config.dict import MAX_CONTAINERS
from cfgtrain.config.formats import check_length, too_deep
from cfgtrain.config.key_paths import MAX_DEPTH
from cfgtrain.errors import ConfigError, ConfigKeyError, ConfigSyntaxError
from cfgtrain.fileio.handlers import SafeLoader
from cfgtrain.origin import Origin

# The surrogate pair of a character beyond 16 bits, as JSON escapes it. An escaped backslash is
# matched first, so that the text after it is not read as an escape.
_SURROGATES = re.compile(r"\\\\|(?P<halves>(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+)")

_STR, _MAP, _SET, _SEQ, _TUPLE, _MERGE, _VALUE, _OMAP, _PAIRS = (
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "map", "set", "seq", "python/tuple", "merge", "value", "omap", "pairs")
)
_TEXTS = (_STR, _MERGE, _VALUE)  # tags of scalars whose value is their text
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "binary", "timestamp")}

Entries = dict[object, tuple[Node, Node]]


class YamlDocument(NamedTuple):
    """One YAML document.

    Attributes:
        value: Its value; None if it is empty.
        root: Its outermost node; None if it is empty.
        entries: The key and value nodes of each mapping by key, including those merged by ``<<``.
    """

    value: Any
    root: Node | None
    entries: dict[Node, Entries]


def parse_yaml(text: str, shown: str) -> YamlDocument:
    """Read a YAML config.

    Args:
        text: Its text.
        shown: Its path for messages.

    Raises:
        ConfigSyntaxError: The text is not valid YAML, or uses a feature that is not allowed in a config.
        ConfigKeyError: A key is defined twice in one mapping, or is too long.
    """
    try:
        loader = _Loader(text, shown)
        try:
            return loader.document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        for place in filter(None, (error.context_mark, mark)):
            _check_start(text.split("\n")[place.line : place.line + 1], shown, place.line + 1)
        reason = " ".join(filter(None, [error.context, error.problem]))
        line = text.split("\n")[mark.line] if mark else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            reason = "the line is indented with a tab, and YAML allows only spaces there"
        origin = Origin(shown, mark.line + 1 if mark else None)
        raise ConfigSyntaxError(f"The config is not valid YAML: {reason}.", origin=origin) from error
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise ConfigSyntaxError(f"The config is not valid YAML: {error}.", origin=Origin(shown)) from error


def json_as_yaml(text: str) -> str:
    """Return a JSON text that YAML can read, with the same lines: without tabs and surrogate pairs."""
    # Tabs occur between tokens only: a JSON string cannot contain them.
    return _SURROGATES.sub(_join_surrogates, text.replace("\t", " "))


def _join_surrogates(match: re.Match[str]) -> str:
    """Return the character of a surrogate pair, such as an emoji; a lone surrogate becomes ``?``."""
    if match["halves"] is None:
        return match[0]
    characters: str = json.loads(f'"{match[0]}"')
    return characters.encode(errors="replace").decode()


def _check_start(lines: list[str], shown: str, line: int) -> None:
    """Raise if a line begins with a key that is too long, for which the parser reports another error."""
    for text in lines:
        key, colon, _ = f"{text.strip()} ".partition(": ")
        if colon:
            check_length(key.strip("'\""), shown, line)


# Without libyaml, SafeLoader has the composer in Python already.
_BASES = (Composer, SafeLoader) if yaml.__with_libyaml__ else (SafeLoader,)


class _Loader(*_BASES):  # type: ignore[misc]  # the base is chosen when the module is imported
    """Composes one document within limits, and constructs its values.

    Attributes:
        entries: As in ``YamlDocument``.
    """

    def __init__(self, text: str, shown: str) -> None:
        SafeLoader.__init__(self, text)  # type: ignore[call-arg]  # mypy does not see a base that is chosen
        Composer.__init__(self)
        self.shown = shown
        self.entries: dict[Node, Entries] = {}
        self._sizes: dict[Node, int] = {}  # number of values in each node that is complete
        self._depth = 0
        self._count = 0  # of values so far, including those repeated by aliases
        self._repeated = 0  # of values repeated by aliases

    def document(self) -> YamlDocument:
        """Return the only document of the text."""
        root = self.get_node() if self.check_node() else None
        if self.check_node():
            raise self._invalid("a config is one document, but another one begins here", self.peek_event())
        return YamlDocument(None if root is None else self._value(root), root, self.entries)

    def compose_node(self, parent: Node | None, index: Any) -> Node:
        """Compose the next node, if neither depth nor aliases exceed their limit."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self._count_alias(event)
        elif self._depth > MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
            raise too_deep(self.shown, event.start_mark.line + 1)
        else:
            self.anchors.pop(event.anchor, None)  # YAML allows an anchor to be defined again
        before = self._count
        self._count += 1
        self._depth += 1
        node: Node = super().compose_node(parent, index)
        self._depth -= 1
        self._sizes.setdefault(node, self._count - before)
        return node

    def compose_mapping_node(self, anchor: str | None) -> MappingNode:
        """Compose a mapping; a duplicate key is an error."""
        node: MappingNode = super().compose_mapping_node(anchor)
        own: Entries = {}
        merged: Entries = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merged(key_node, value_node), **merged}
                continue
            key = self._key(key_node)
            if key in own:
                raise ConfigKeyError(
                    f"The key {key!r} occurs twice, first on line {own[key][0].start_mark.line + 1}.",
                    origin=Origin(self.shown, key_node.start_mark.line + 1),
                    key=str(key),
                )
            own[key] = key_node, value_node
        self.entries[node] = {**merged, **own}
        return node

    def _count_alias(self, event: yaml.AliasEvent) -> None:
        """Raise for an alias without a complete anchor before it, or if aliases repeat too many values."""
        node = self.anchors.get(event.anchor)
        if node is None:
            raise self._invalid(f"there is no anchor {event.anchor!r} before this alias", event)
        if node not in self._sizes:
            raise self._invalid(f"the alias {event.anchor!r} is inside the value that it refers to", event)
        self._count += self._sizes[node] - 1
        self._repeated += self._sizes[node]
        if self._repeated > MAX_CONTAINERS:
            raise self._invalid(f"its aliases repeat more than {MAX_CONTAINERS:,} values", event)

    def _key(self, node: Node) -> object:
        key = self._value(node)
        try:
            hash(key)
        except TypeError:
            raise self._invalid("a list or mapping cannot be a key", node) from None
        check_length(key, self.shown, node.start_mark.line + 1)
        return key

    def _merged(self, key_node: Node, value_node: Node) -> Entries:
        """Return the entries that ``<<`` merges; of several mappings with the same key, the first takes precedence."""
        mappings = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
        found: Entries = {}
        for each in reversed(mappings):
            if not isinstance(each, MappingNode) or each.tag != _MAP:
                raise self._invalid("<< merges a mapping, or a list of them", key_node)
            found.update(self.entries[each])
        return found

    def _value(self, node: Node) -> Any:
        """Return the value of a node, by the type of node and its tag."""
        if isinstance(node, ScalarNode):
            if node.tag in _TEXTS:
                return node.value
            if node.tag in _SCALARS:
                return self.yaml_constructors[node.tag](self, node)
        elif isinstance(node, MappingNode):
            found = {key: self._value(value) for key, (_, value) in self.entries[node].items()}
            if node.tag in (_MAP, _SET):
                return found if node.tag == _MAP else set(found)
        else:
            items = [self._value(item) for item in node.value]
            if node.tag in (_SEQ, _TUPLE):
                return items if node.tag == _SEQ else tuple(items)
            if node.tag in (_OMAP, _PAIRS) and all(
                isinstance(item, dict) and len(item) == 1 for item in items
            ):
                return [pair for item in items for pair in item.items()]
        name = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise self._invalid(
            f"a value of this kind cannot have the tag {name}; a config may use the standard tags and !!python/tuple",
            node,
        )

    def _invalid(self, problem: str, place: Any) -> ConfigSyntaxError:
        """Return the error about a node or an event."""
        origin = Origin(self.shown, place.start_mark.line + 1)
        return ConfigSyntaxError(f"The config is not valid YAML: {problem}.", origin=origin)
