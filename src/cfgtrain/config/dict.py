"""ConfigDict: a dict with attribute access whose nodes know where their values came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import addict

from cfgtrain.config.trace import FixedSource, Path, Source, Trace, calling_code
from cfgtrain.errors import ConfigAttributeError, ConfigKeyError, suggest
from cfgtrain.origin import dotted


class ConfigDict(addict.Dict):  # type: ignore[misc]  # addict ships no types
    """A nested dict whose keys can also be read, set and deleted as attributes.

    Unlike the ``addict.Dict`` that it extends (MMCV users test for it), a missing key is an
    error and is never created, and dicts inside lists and tuples are converted on every
    write, not only in the constructor. ``update`` merges nested dicts, as MMCV's does.

    A node that was loaded from a config carries a trace of where its values came from
    (``cfgtrain.origin`` reads it). Copies, pickles and slices keep it; ``to_dict`` drops
    it; ``==`` ignores it.
    """

    __slots__ = ("_trace",)

    _trace: Trace | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        dict.__init__(self)
        object.__setattr__(self, "_trace", None)
        for key, value in dict(*args, **kwargs).items():
            dict.__setitem__(self, key, self._hook(value))

    @classmethod
    def _hook(cls, value: Any) -> Any:
        if type(value) is cls:
            return value
        if isinstance(value, dict):
            return cls(value)
        if type(value) in (list, tuple):
            return type(value)(cls._hook(item) for item in value)
        return value

    def __missing__(self, key: object) -> Any:
        raise ConfigKeyError(f"There is no key {key!r}.{suggest(str(key), map(str, self))}", key=_path(self))

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return dict.__getitem__(self, name)
        hint = "" if name.startswith("_") else suggest(name, map(str, self))
        raise ConfigAttributeError(f"{type(self).__name__!r} has no key {name!r}.{hint}", key=_path(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.__dict__.get("__frozen") and key not in self:
            raise ConfigKeyError(f"The config is frozen: it takes no new key {key!r}.", key=_path(self))
        trace, value = self._trace, self._hook(value)
        if trace is not None:
            trace.edits[key] = origin = calling_code()
            graft(value, (*trace.path, key), FixedSource(value, origin))
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
        """Return ``self[key]``, setting it to ``default`` first when it is missing."""
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
        return new_node(self.items(), self._trace)

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        twin = memo[id(self)] = new_node((), self._trace)
        for key, value in self.items():
            dict.__setitem__(twin, copy.deepcopy(key, memo), copy.deepcopy(value, memo))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigDict, (), self._trace, None, iter(self.items())

    def __setstate__(self, trace: Trace | None) -> None:
        object.__setattr__(self, "_trace", trace)

    def to_dict(self) -> dict[Any, Any]:
        """Return plain nested dicts, lists and tuples, without traces."""
        return {key: _plain(value) for key, value in self.items()}


def new_node(items: Iterable[tuple[Any, Any]], trace: Trace | None) -> ConfigDict:
    """Return a ConfigDict of ready-made items, without converting or recording anything."""
    node = ConfigDict.__new__(ConfigDict)
    dict.update(node, items)
    object.__setattr__(node, "_trace", None if trace is None else trace.copy())
    return node


def traced(value: Any, source: Source, path: Path = (), at: Path = ()) -> Any:
    """Return a copy of ``value`` with every dict a ConfigDict that knows its source.

    Args:
        value: Plain nested data; containers are copied, anything else is kept as it is.
        source: What set it.
        path: Path of ``value`` in the whole config.
        at: Path of ``value`` in ``source``.
    """
    if isinstance(value, Mapping):
        items = [(key, traced(item, source, (*path, key), (*at, key))) for key, item in value.items()]
        return new_node(items, Trace(path, ((source, at),)))
    if type(value) in (list, tuple):
        items = [traced(item, source, (*path, i), (*at, i)) for i, item in enumerate(value)]
        return items if type(value) is list else tuple(items)
    return value


def graft(value: Any, path: Path, source: Source, at: Path = ()) -> None:
    """Give the nodes below ``value`` that carry no trace one that names ``source``."""
    if type(value) is ConfigDict:
        if value._trace is None:
            object.__setattr__(value, "_trace", Trace(path, ((source, at),)))
            for key, item in value.items():
                graft(item, (*path, key), source, (*at, key))
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            graft(item, (*path, i), source, (*at, i))


def copied(value: Any) -> Any:
    """Return a copy of all containers in ``value``, traces kept; leaves are shared."""
    if type(value) is ConfigDict:
        return new_node([(k, copied(v)) for k, v in value.items()], value._trace)
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, ConfigDict):
        return value.to_dict()
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _path(node: ConfigDict) -> str | None:
    return dotted(node._trace.path) if node._trace is not None and node._trace.path else None
