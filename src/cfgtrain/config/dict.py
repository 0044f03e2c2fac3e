"""ConfigDict: a dict with attribute access whose nodes know where their values came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import addict

from cfgtrain.config.key_paths import MAX_DEPTH, Path
from cfgtrain.config.trace import FixedSource, Source, Trace, calling_code
from cfgtrain.errors import ConfigAttributeError, ConfigKeyError, ConfigValueError
from cfgtrain.origin import dotted

# Says of a dict that it replaces what is inherited rather than being merged into it.
DELETE = "_delete_"

# A config that comes to more lists and dicts than this repeats itself without end.
MAX_CONTAINERS = 250_000

_SCALARS = frozenset({str, int, float, bool, type(None)})


class ConfigDict(addict.Dict):  # type: ignore[misc]  # addict ships no types
    """A nested dict whose keys can also be read, set and deleted as attributes.

    Unlike the ``addict.Dict`` that it extends (MMCV users test for it), a missing key is an
    error and is never created, and dicts inside lists and tuples are converted on every
    write, not only in the constructor. ``update`` merges nested dicts, as MMCV's does. A key
    that has the name of a method, such as ``items``, is reached by ``["items"]`` alone.

    A node that was loaded from a config carries a trace of where its values came from
    (``cfgtrain.origin`` reads it). Copies, pickles and slices keep it; ``to_dict`` drops
    it; ``==`` ignores it.
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
            raise ConfigKeyError(f"The config is frozen: it takes no new key {key!r}.", key=_path(self))
        trace, value = self._trace, _converted(value, 1)
        if trace is not None:
            if trace.edits is None:
                trace = trace._replace(edits={})
                set_trace(self, trace)
            place = calling_code()
            trace.edits[key] = place  # type: ignore[index]  # there are edits now
            path = (*trace.path, key)
            graft(value, path, FixedSource(value, place, path))
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


def set_trace(node: ConfigDict, trace: Trace | None) -> None:
    """Set the trace of a node, as an attribute and not as a key."""
    object.__setattr__(node, "_trace", trace)


def traced(value: Any, source: Source, path: Path = (), marked: list[Path] | None = None) -> Any:
    """Return a copy of ``value`` with every dict a ConfigDict that knows its source.

    Args:
        value: Plain nested data; containers are copied, anything else is kept as it is.
        source: What set it.
        path: Path of ``value`` in the config.
        marked: Takes the path of each dict that holds a DELETE.

    Raises:
        ConfigValueError: The value nests deeper than MAX_DEPTH, or holds more than
            MAX_CONTAINERS lists and dicts.
    """
    return _Tracer(source, marked).copy(value, path)


class _Tracer:
    """Makes the copy that ``traced`` returns."""

    def __init__(self, source: Source, marked: list[Path] | None) -> None:
        self.sources = (source,)
        self.marked = marked
        self.count = 0  # of containers so far

    def copy(self, value: Any, path: Path) -> Any:
        """Return the copy of one value at ``path``."""
        if type(value) in _SCALARS:
            return value
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_CONTAINERS:
            raise _endless(path, self.count)
        if type(value) in (list, tuple):
            return type(value)([self.copy(item, (*path, i)) for i, item in enumerate(value)])
        if not isinstance(value, Mapping):
            return value
        node = _node(
            {key: self.copy(item, (*path, key)) for key, item in value.items()}, Trace(path, self.sources)
        )
        if DELETE in node and self.marked is not None:
            self.marked.append(path)
        return node


def graft(value: Any, path: Path, source: Source) -> None:
    """Give the nodes below ``value`` that carry no trace one that names ``source``."""
    if type(value) is ConfigDict:
        if value._trace is None:
            set_trace(value, Trace(path, (source,)))
            for key, item in value.items():
                graft(item, (*path, key), source)
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            graft(item, (*path, i), source)


def copied(value: Any) -> Any:
    """Return a copy of all containers in ``value``, traces kept; leaves are shared."""
    if type(value) is ConfigDict:
        trace = value._trace
        items = {key: copied(item) for key, item in value.items()}
        return _node(items, trace if trace is None else trace.copy())
    if type(value) in (list, tuple):
        return type(value)([copied(item) for item in value])
    return value


def _node(items: Mapping[Any, Any] | Iterable[tuple[Any, Any]], trace: Trace | None) -> ConfigDict:
    """Return a ConfigDict of ready-made items, without converting or recording anything."""
    node = ConfigDict.__new__(ConfigDict)
    dict.update(node, items)
    set_trace(node, trace)
    return node


def _converted(value: Any, depth: int) -> Any:
    """Return ``value`` with every dict in it a ConfigDict; what is one already is not copied."""
    if depth > MAX_DEPTH:
        raise ConfigValueError(f"The value nests deeper than {MAX_DEPTH} levels, or holds itself.")
    if type(value) is ConfigDict:
        return value
    if isinstance(value, dict):
        return _node({key: _converted(item, depth + 1) for key, item in value.items()}, None)
    if type(value) in (list, tuple):
        return type(value)([_converted(item, depth + 1) for item in value])
    return value


def _endless(path: Path, count: int) -> ConfigValueError:
    if count > MAX_CONTAINERS:
        problem = (
            f"The config comes to more than {MAX_CONTAINERS:,} lists and dicts. Does a part repeat itself?"
        )
        return ConfigValueError(problem, key=str(path[0]) if path else None)
    problem = f"This nests deeper than {MAX_DEPTH} levels, or holds itself."
    return ConfigValueError(problem, key=dotted(path[:4]) + "...")


def plain(value: Any) -> Any:
    """Return a value with plain dicts in place of every ConfigDict."""
    if isinstance(value, ConfigDict):
        return value.to_dict()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def _path(node: ConfigDict) -> str | None:
    return dotted(node._trace.path) if node._trace is not None and node._trace.path else None
