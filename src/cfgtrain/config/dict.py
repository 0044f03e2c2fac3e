"""ConfigDict: a nested dict with attribute access that records where its values came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import addict

from cfgtrain.config.key_paths import MAX_DEPTH, KeyPath
from cfgtrain.config.trace import FixedSource, Source, Trace, calling_code
from cfgtrain.errors import ConfigAttributeError, ConfigKeyError, ConfigValueError
from cfgtrain.origin import dotted

# Marks a dict that replaces the inherited value instead of being merged into it.
DELETE = "_delete_"

# A config with more lists and dicts than this probably repeats a part of itself many times.
MAX_CONTAINERS = 250_000

_new, _set_trace = tuple.__new__, object.__setattr__

_SCALARS = frozenset({str, int, float, bool, type(None)})


class ConfigDict(addict.Dict):  # type: ignore[misc]  # addict ships no types
    """A nested dict whose keys can also be read, set and deleted as attributes.

    It extends ``addict.Dict``, because code written for MMCV tests for that class. Unlike
    ``addict.Dict``, it raises an error for a missing key and never creates it, and it converts
    dicts inside lists and tuples on every assignment, not only in the constructor. ``update`` merges
    nested dicts, as in MMCV. A key with the name of a method, such as ``items``, can only be read
    as ``["items"]``.

    A node that was loaded from a config has a trace of where its values came from, which
    ``cfgtrain.origin`` reads. Copies, pickles and slices keep the trace, ``to_dict`` drops it, and
    ``==`` ignores it.
    """

    __slots__ = ("_trace",)

    _trace: Trace | None

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        dict.__init__(self, *args, **kwargs)
        set_trace(self, None)
        for key, value in self.items():
            dict.__setitem__(self, key, _converted(value, 1))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            near = None if name.startswith("_") else (name, tuple(map(str, self)))
            raise ConfigAttributeError(
                f"{type(self).__name__!r} has no key {name!r}.", key=_path(self), near=near
            ) from None

    def __missing__(self, key: object) -> Any:
        near = str(key), tuple(map(str, self))
        raise ConfigKeyError(f"There is no key {key!r}.", key=_path(self), near=near)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.__dict__.get("__frozen") and key not in self:
            raise ConfigKeyError(f"The config is frozen: the key {key!r} cannot be added.", key=_path(self))
        trace, value = self._trace, _converted(value, 1)
        if trace is not None:
            if trace.edits is None:
                trace = trace._replace(edits={})
                set_trace(self, trace)
            place = calling_code()
            trace.edits[key] = place  # type: ignore[index]  # it was set above
            path = (*trace.path, key)
            attach_trace(value, path, FixedSource(value, place, path))
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            self.__missing__(key)
        dict.__delitem__(self, key)

    def __delattr__(self, name: str) -> None:
        if name not in self:
            self.__getattr__(name)
        dict.__delitem__(self, name)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return ``self[key]``; if the key is missing, set it to ``default`` first."""
        if key not in self:
            self[key] = default
        return self[key]

    def __or__(self, other: object) -> ConfigDict:
        if not isinstance(other, dict):
            return NotImplemented
        merged = self.deepcopy()
        merged.update(other)
        return merged

    def __ror__(self, other: object) -> ConfigDict:
        if not isinstance(other, dict):
            return NotImplemented
        merged = ConfigDict(other)
        merged.update(self)
        return merged

    def copy(self) -> ConfigDict:
        """Return a shallow copy that keeps its trace."""
        return self.__copy__()

    def deepcopy(self) -> ConfigDict:
        """Return a deep copy that keeps its traces."""
        return copy.deepcopy(self)

    def __copy__(self) -> ConfigDict:
        return _node(self, self._trace and self._trace.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        twin = memo[id(self)] = _node((), self._trace and self._trace.copy())
        for key, value in self.items():
            dict.__setitem__(twin, copy.deepcopy(key, memo), copy.deepcopy(value, memo))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigDict, (), self._trace, None, iter(self.items())

    def __setstate__(self, trace: Trace | None) -> None:
        set_trace(self, trace)

    def to_dict(self) -> dict[Any, Any]:
        """Return plain nested dicts, lists and tuples, without traces."""
        return {key: plain(value) for key, value in self.items()}


def without(cfg: Mapping[str, Any], *keys: str) -> Any:
    """Return a shallow copy of a dict or ConfigDict without some keys; it keeps its trace."""
    copied = cfg.copy()  # type: ignore[attr-defined]  # a dict or ConfigDict
    for key in keys:
        copied.pop(key, None)
    return copied


def disable_keys(node: Any, *keys: str) -> Any:
    """Return a copy of a config in which these keys are False, or None if they are not bools, at any depth."""
    node = copy.deepcopy(node)
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            for key in {*keys} & each.keys():
                each[key] = False if isinstance(each[key], bool) else None  # type: ignore[index]  # a dict
            waiting += each.values()
        elif isinstance(each, (list, tuple)):
            waiting += each
    return node


def set_trace(node: ConfigDict, trace: Trace | None) -> None:
    """Set the trace of a node as an attribute, not as a key."""
    object.__setattr__(node, "_trace", trace)


def with_trace(value: Any, source: Source, marked: list[KeyPath] | None = None) -> Any:
    """Return a copy of ``value`` in which every dict is a ConfigDict with a trace.

    Args:
        value: Nested data. Dicts, lists and tuples are copied; other values are shared.
        source: The source that set the value.
        marked: A list to which the path of each dict with the key DELETE is added.

    Raises:
        ConfigValueError: The value nests deeper than MAX_DEPTH, or contains more than
            MAX_CONTAINERS lists and dicts.
    """
    return _Tracer(source, marked).copy(value, ())


class _Tracer:
    """Makes the copy for ``with_trace``.

    A nested function that calls itself would be a cycle of references, and keep the source until it is collected.
    """

    def __init__(self, source: Source, marked: list[KeyPath] | None) -> None:
        self.sources = (source,)
        self.marked = marked
        self.count = 0  # of containers so far

    def copy(self, value: Any, path: KeyPath) -> Any:
        """Return the copy of one value at ``path``."""
        if type(value) in _SCALARS:
            return value
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_CONTAINERS:
            raise _endless(path, self.count)
        if type(value) in (list, tuple):
            if _SCALARS.issuperset(map(type, value)):
                return value[:]
            return type(value)([self.copy(item, (*path, i)) for i, item in enumerate(value)])
        if type(value) is not dict and not isinstance(value, Mapping):  # the first is faster
            return value
        node: ConfigDict = dict.__new__(ConfigDict)
        dict.update(node, value)
        _set_trace(node, "_trace", _new(Trace, (path, self.sources, None)))  # faster than Trace()
        for key, item in value.items():
            if type(item) not in _SCALARS:
                dict.__setitem__(node, key, self.copy(item, (*path, key)))
        if DELETE in node and self.marked is not None:
            self.marked.append(path)
        return node


def attach_trace(value: Any, path: KeyPath, source: Source) -> None:
    """Give ``value`` and the nodes in it a trace with ``source``, in place, where they have none."""
    if type(value) is ConfigDict:
        if value._trace is None:
            set_trace(value, Trace(path, (source,)))
            for key, item in value.items():
                attach_trace(item, (*path, key), source)
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            attach_trace(item, (*path, i), source)


def copy_tree(value: Any) -> Any:
    """Return a copy of all containers in ``value`` with their traces; leaves are shared."""
    if type(value) is ConfigDict:
        trace = value._trace
        items = {key: copy_tree(item) for key, item in value.items()}
        return _node(items, trace if trace is None else trace.copy())
    if type(value) in (list, tuple):
        return type(value)([copy_tree(item) for item in value])
    return value


def _node(items: Mapping[Any, Any] | Iterable[tuple[Any, Any]], trace: Trace | None) -> ConfigDict:
    """Return a ConfigDict of items that are converted already."""
    node: ConfigDict = dict.__new__(ConfigDict)
    dict.update(node, items)
    _set_trace(node, "_trace", trace)
    return node


def _converted(value: Any, depth: int) -> Any:
    """Return ``value`` with every dict in it as a ConfigDict; those that are one already are not copied."""
    if depth > MAX_DEPTH:
        raise ConfigValueError(f"The value nests deeper than {MAX_DEPTH} levels, or contains itself.")
    if type(value) is ConfigDict:
        return value
    if isinstance(value, dict):
        return _node({key: _converted(item, depth + 1) for key, item in value.items()}, None)
    if type(value) in (list, tuple):
        return type(value)([_converted(item, depth + 1) for item in value])
    return value


def _endless(path: KeyPath, count: int) -> ConfigValueError:
    if count > MAX_CONTAINERS:
        problem = f"The config has more than {MAX_CONTAINERS:,} lists and dicts. Is a part of it repeated many times?"
        return ConfigValueError(problem, key=str(path[0]) if path else None)
    problem = f"The value nests deeper than {MAX_DEPTH} levels, or contains itself."
    return ConfigValueError(problem, key=dotted(path[:4]) + "...")


def plain(value: Any) -> Any:
    """Return a copy of ``value`` with a plain dict in place of every ConfigDict."""
    if isinstance(value, ConfigDict):
        return value.to_dict()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def _path(node: ConfigDict) -> str | None:
    return dotted(node._trace.path) if node._trace is not None and node._trace.path else None
