"""Lay one config over another: one rule, for files and for overrides."""

from __future__ import annotations

from typing import Any

from cfgtrain.config.dict import DELETE, ConfigDict, copied, set_trace
from cfgtrain.config.key_paths import NoSuchKeyError, Path, index_in
from cfgtrain.errors import ConfigKeyError, ConfigMergeError, ConfigValueError
from cfgtrain.origin import dotted, location, where


def merge(base: ConfigDict, child: ConfigDict, *, list_keys: bool = False) -> ConfigDict:
    """Return ``base`` with ``child`` laid over it.

    Dicts are merged key by key; anything else, lists too, replaces what was there. A dict
    with ``_delete_=True`` replaces instead of merging, at the root as well, and the marker
    never reaches the result. Keys keep the order of ``base``; new ones follow.

    Args:
        base: What is inherited. Not changed.
        child: What is laid over it. Not changed.
        list_keys: Whether a dict over a list addresses its items by index (``{"0": ...}``).

    Raises:
        ConfigMergeError: A dict is laid over something that is neither a dict nor None.
        ConfigKeyError: An index is not in the list.
    """
    merged = absorb(copied(base), copied(child), list_keys=list_keys)
    remove_markers(merged)
    return merged


def absorb(base: ConfigDict, child: ConfigDict, *, list_keys: bool = False, path: Path = ()) -> ConfigDict:
    """Merge as ``merge`` does, but use up both inputs and leave the markers in.

    It costs as much as ``child`` is large, however much is inherited.
    """
    if _deletes(child, path):
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
    """Take the markers out of a tree, in place, at any depth."""
    if type(value) is ConfigDict:
        _deletes(value)
        dict.pop(value, DELETE, None)
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    for item in value:
        remove_markers(item)


def _deletes(node: ConfigDict, path: Path | None = None) -> bool:
    """Return whether a dict replaces what is inherited.

    Args:
        node: The dict.
        path: Its key path, if that is not the one in its trace.

    Raises:
        ConfigValueError: Its marker is neither True nor False.
    """
    marker = node.get(DELETE, False)
    if isinstance(marker, bool):
        return marker
    place = location(node, DELETE)
    if path is not None:
        place["key"] = dotted((*path, DELETE))
    raise ConfigValueError(f"{DELETE} is True or False, not {marker!r}.", **place)


def _combined(old: Any, new: ConfigDict, child: ConfigDict, key: Any, list_keys: bool, path: Path) -> Any:
    """Return the dict ``new``, which is ``child[key]``, laid over whatever ``old`` is."""
    here = (*path, key)
    if old is None or _deletes(new, here):
        return new
    if type(old) is ConfigDict:
        return absorb(old, new, list_keys=list_keys, path=here)
    listed = isinstance(old, (list, tuple))
    if list_keys and listed:
        return _merged_items(old, new, here)
    hint = f"Add {DELETE}=True to the dict to replace it."
    if listed:
        hint = (
            f"Write a list to replace it, {key}=[dict(...)], or to extend it, {key}={{{{_base_.{dotted(here)}}}}} + "
            "[dict(...)]. Items are addressed by index on the command line only."
        )
    raise ConfigMergeError(
        f"A dict cannot be merged into the {type(old).__name__} {_short(old)} that is inherited. {hint}",
        origin=where(child, key),
        key=dotted(here),
    )


def _merged_items(old: Any, new: ConfigDict, path: Path) -> Any:
    """Merge ``{"0": ..., "2": ...}`` into the items of a list or tuple."""
    items = list(old)
    for key, item in new.items():
        index = _index(key, items, path)
        if type(item) is ConfigDict:
            item = _combined(items[index], item, new, key, True, path)
        items[index] = item
    return type(old)(items)


def _index(key: Any, items: list[Any], path: Path) -> int:
    index = index_in(key, len(items))
    if index is not None:
        return index
    if not isinstance(key, int) and not str(key).lstrip("-").isdecimal():
        raise ConfigMergeError(
            f"{key!r} is no index, and {dotted(path)} is a list of {len(items)}. Write a list to replace it, "
            f"{dotted(path)}=[...], or an index to change an item, {dotted(path)}.0=....",
            key=dotted(path),
        )
    missing = NoSuchKeyError(path, key, items)
    raise ConfigKeyError(
        f"There is no item {key} in {dotted(path)}: its indices are {missing.indices()}.",
        key=dotted((*path, int(key))),
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
