"""Turn ``{"a.b": value}`` into a tree, and refuse keys that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cfgtrain.config.dict import ConfigDict, traced
from cfgtrain.config.trace import FixedSource, Path
from cfgtrain.errors import CheckError, ConfigKeyError, close_names, suggest
from cfgtrain.origin import Origin, dotted

_INDEX = re.compile(r"\[(-?\d+)\]")


def override_tree(options: Mapping[str, Any], origin: Origin) -> ConfigDict:
    """Return the options as one traced tree.

    Args:
        options: Values by dotted key (``"a.b"``, ``"a.0.b"`` or ``"a[0].b"``) or nested. A
            leading ``+`` is ignored here. Not changed.
        origin: Where the options came from; each option names itself in its own origin.
    """
    tree: dict[Any, Any] = {}
    for key, value in options.items():
        _insert(tree, split_key(key), _copy(value))
    root = traced(tree, FixedSource(tree, origin))
    if not isinstance(root, ConfigDict):  # pragma: no cover - a dict always becomes one
        raise TypeError(root)
    return root


def split_key(key: str) -> list[str]:
    """Split ``"+a[0].b"`` into ``["a", "0", "b"]``."""
    return _INDEX.sub(r".\1", key.removeprefix("+")).split(".")


def check_known(config: ConfigDict, options: Mapping[str, Any]) -> None:
    """Raise for options that would create a key, unless they begin with ``+``.

    Raises:
        ConfigKeyError: A key is unknown, or a list has no such item.
        CheckError: That holds of several.
    """
    errors: list[ConfigKeyError] = []
    for option in options:
        try:
            if not option.startswith("+"):
                _check_known(config, option)
        except ConfigKeyError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listed = "\n".join(f"{i}. {error}" for i, error in enumerate(errors, 1))
        raise CheckError(f"There are {len(errors)} problems with the options.\n{listed}", errors)


def _check_known(config: ConfigDict, option: str) -> None:
    node: Any = config
    done: Path = ()
    for part in split_key(option):
        if node is None or part == "_delete_":
            return  # nothing stands there yet: whatever reads the value will check it
        if isinstance(node, dict):
            if part not in node:
                raise _unknown(part, node, done, option)
            done, node = (*done, part), node[part]
        elif isinstance(node, (list, tuple)):
            if not part.lstrip("-").isdecimal() or not -len(node) <= int(part) < len(node):
                raise _no_item(part, node, done, option)
            done, node = (*done, int(part)), node[int(part)]
        else:
            raise ConfigKeyError(
                f"{dotted(done)} is {node!r}, which has no keys, so {option!r} cannot be set.", key=option
            )


def _unknown(part: str, node: Mapping[Any, Any], done: Path, option: str) -> ConfigKeyError:
    inside = f" in {dotted(done)}" if done else ""
    fixed = _fixed(part, node, done, option)
    hint = suggest(part, map(str, node)) if fixed is None else f" Did you mean {fixed!r}?"
    return ConfigKeyError(
        f"There is no key {part!r}{inside} to override.{hint} A new key is added with a plus: '+{option}=...'.",
        key=option,
    )


def _fixed(part: str, node: Mapping[Any, Any], done: Path, option: str) -> str | None:
    """Return the whole option with the wrong word mended, when one name is near."""
    close = close_names(part, map(str, node), count=1)
    rest = split_key(option)[len(done) + 1 :]
    return ".".join([*map(str, done), close[0], *rest]) if close else None


def _no_item(part: str, node: Any, done: Path, option: str) -> ConfigKeyError:
    allowed = f"0 to {len(node) - 1}" if len(node) else "none: it is empty"
    return ConfigKeyError(
        f"There is no item {part} in {dotted(done)}, so {option!r} cannot be set: its indices are {allowed}.",
        key=option,
    )


def _insert(tree: dict[Any, Any], keys: list[str], value: Any) -> None:
    """Put ``value`` at ``keys``; dicts that meet are merged, later options win."""
    for key in keys[:-1]:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    old = tree.get(keys[-1])
    if isinstance(old, dict) and isinstance(value, dict):
        for key, item in value.items():
            _insert(old, [key], item)
    else:
        tree[keys[-1]] = value


def _copy(value: Any) -> Any:
    """Return a copy of nested dicts; the dots in their keys are part of the names."""
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value
