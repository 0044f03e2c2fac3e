"""Lay one config over another: one pure function, its inputs are never changed."""

from __future__ import annotations

from typing import Any

from cfgtrain.config.dict import ConfigDict, copied, new_node
from cfgtrain.config.trace import Path
from cfgtrain.errors import ConfigKeyError, ConfigMergeError
from cfgtrain.origin import dotted, where

DELETE = "_delete_"


def merge(base: ConfigDict, child: ConfigDict, *, list_keys: bool = False, path: Path = ()) -> ConfigDict:
    """Return ``base`` with ``child`` laid over it.

    Dicts are merged key by key; anything else, lists too, replaces what was there. A dict
    with ``_delete_=True`` replaces instead of merging, at the root as well, and the marker
    never reaches the result. Keys keep the order of ``base``; new ones follow.

    Args:
        base: What is inherited. Not changed.
        child: What is laid over it. Not changed.
        list_keys: Whether a dict over a list addresses its items by index (``{"0": ...}``).
        path: Where the two stand in the whole config, for messages.

    Raises:
        ConfigMergeError: A dict is laid over something that is neither a dict nor None.
        ConfigKeyError: An index is not in the list.
    """
    if child.get(DELETE):
        return _clean(child)
    out = new_node((), _joined_trace(base, child))
    for key, value in base.items():
        kept = _combine(value, child, key, list_keys, path) if key in child else copied(value)
        dict.__setitem__(out, key, kept)
    for key, value in child.items():
        if key not in base and key != DELETE:
            dict.__setitem__(out, key, _cleaned(value))
    return out


def _combine(old: Any, child: ConfigDict, key: Any, list_keys: bool, path: Path) -> Any:
    new, here = child[key], (*path, key)
    if not isinstance(new, ConfigDict) or old is None or new.get(DELETE):
        return _cleaned(new)
    if isinstance(old, ConfigDict):
        return merge(old, new, list_keys=list_keys, path=here)
    if list_keys and isinstance(old, (list, tuple)):
        return _merge_items(old, new, here)
    place = where(child, key)
    kind = type(old).__name__
    hint = " Items are addressed by index on the command line only." if isinstance(old, (list, tuple)) else ""
    raise ConfigMergeError(
        f"A dict cannot be merged into the {kind} {_short(old)} that is inherited.{hint} "
        f"Add {DELETE}=True to the dict to replace it.",
        file=place.file if place else None,
        line=place.line if place else None,
        key=dotted(here),
    )


def _merge_items(old: Any, new: ConfigDict, path: Path) -> Any:
    """Merge ``{"0": ..., "2": ...}`` into the items of a list or tuple."""
    items = [copied(item) for item in old]
    for key in new:
        index = _index(key, len(items), path)
        item = (
            _combine(items[index], new, key, True, path) if isinstance(new[key], dict) else _cleaned(new[key])
        )
        items[index] = item
    return type(old)(items)


def _index(key: Any, length: int, path: Path) -> int:
    try:
        index = int(key)
    except ValueError:
        raise ConfigMergeError(
            f"{key!r} is no index, and {dotted(path)} is a list of {length}.", key=dotted(path)
        ) from None
    if not -length <= index < length:
        allowed = f"0 to {length - 1}" if length else "none: it is empty"
        raise ConfigKeyError(
            f"There is no item {index} in {dotted(path)}: its indices are {allowed}.",
            key=dotted((*path, index)),
        )
    return index


def _joined_trace(base: ConfigDict, child: ConfigDict) -> Any:
    below, above = base._trace, child._trace
    if below is None or above is None:
        return above or below
    return above.over(below)


def _clean(node: ConfigDict) -> ConfigDict:
    """Return a copy of ``node`` without a marker at any depth."""
    items = [(key, _cleaned(value)) for key, value in node.items() if key != DELETE]
    return new_node(items, node._trace)


def _cleaned(value: Any) -> Any:
    if isinstance(value, ConfigDict):
        return _clean(value)
    if type(value) in (list, tuple):
        return type(value)(_cleaned(item) for item in value)
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
