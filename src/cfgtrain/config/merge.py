"""Merge configs, by the same rules for files and for overrides."""

from __future__ import annotations

from typing import Any

from cfgtrain.config.dict import DELETE, ConfigDict, copy_tree, set_trace
from cfgtrain.config.key_paths import KeyPath, NoSuchKeyError, index_in, walk
from cfgtrain.errors import ConfigKeyError, ConfigMergeError
from cfgtrain.origin import dotted, where


def merge(base: ConfigDict, child: ConfigDict, *, list_keys: bool = False) -> ConfigDict:
    """Return ``base`` with ``child`` merged into it.

    Dicts are merged key by key; other values, including lists, replace the old value. A dict
    with ``_delete_=True``, even the root, replaces the old value instead of being merged, and
    this key is removed from the result. Keys keep the order of ``base``; new keys follow.

    Args:
        base: The inherited config. Not changed.
        child: The config that is merged into it. Not changed.
        list_keys: Whether a dict that meets a list sets its items by index (``{"0": ...}``).

    Raises:
        ConfigMergeError: A dict meets a value that is neither a dict nor None.
        ConfigKeyError: An index is out of range.
    """
    merged = merge_in_place(copy_tree(base), copy_tree(child), list_keys=list_keys)
    remove_markers(merged)
    return merged


def merge_in_place(
    base: ConfigDict, child: ConfigDict, *, list_keys: bool = False, path: KeyPath = ()
) -> ConfigDict:
    """Merge ``child`` into ``base`` in place and return the result, with the markers still in it.

    The result shares parts of both. The time depends on the size of ``child`` only.
    """
    if child.get(DELETE):
        return child
    above = child._trace
    if above is not None:
        set_trace(base, above if base._trace is None else above.over(base._trace))
    for key, new in child.items():
        if type(new) is ConfigDict and key in base:
            new = _combined(base[key], new, child, key, list_keys, path)
        dict.__setitem__(base, key, new)
    return base


def remove_markers(value: Any) -> None:
    """Remove the markers from a tree, in place, at any depth."""
    for _, node in walk(value):
        if type(node) is ConfigDict:
            dict.pop(node, DELETE, None)


def _combined(old: Any, new: ConfigDict, child: ConfigDict, key: Any, list_keys: bool, path: KeyPath) -> Any:
    """Return the dict ``new``, which is ``child[key]``, merged into ``old``."""
    if old is None or new.get(DELETE):
        return new
    here = (*path, key)
    if type(old) is ConfigDict:
        return merge_in_place(old, new, list_keys=list_keys, path=here)
    listed = isinstance(old, (list, tuple))
    if list_keys and listed:
        return _merged_items(old, new, here)
    hint = " Items can be set by index on the command line only." if listed else ""
    raise ConfigMergeError(
        f"A dict cannot be merged into the inherited {type(old).__name__} {_short(old)}.{hint} "
        f"Add {DELETE}=True to the dict to replace it.",
        origin=where(child, key),
        key=dotted(here),
    )


def _merged_items(old: Any, new: ConfigDict, path: KeyPath) -> Any:
    """Merge ``{"0": ..., "2": ...}`` into the items of a list or tuple."""
    items = list(old)
    for key, item in new.items():
        index = _index(key, items, path)
        if type(item) is ConfigDict:
            item = _combined(items[index], item, new, key, True, path)
        items[index] = item
    return type(old)(items)


def _index(key: Any, items: list[Any], path: KeyPath) -> int:
    index = index_in(key, len(items))
    if index is not None:
        return index
    if not isinstance(key, int) and not str(key).lstrip("-").isdecimal():
        raise ConfigMergeError(
            f"{key!r} is not an index, and {dotted(path)} is a list of {len(items)}.", key=dotted(path)
        )
    missing = NoSuchKeyError(path, key, items)
    raise ConfigKeyError(
        f"There is no item {key} in {dotted(path)}: its indices are {missing.indices()}.",
        key=dotted((*path, int(key))),
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
