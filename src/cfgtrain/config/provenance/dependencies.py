"""Precedence of config sources, and values derived from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cfgtrain.config.dict import ConfigDict
from cfgtrain.config.key_paths import UNKNOWN, KeyPath, value_at, walk
from cfgtrain.config.provenance.file_source import Dependency, FileSource
from cfgtrain.config.trace import EditSource, FixedSource, Source
from cfgtrain.origin import Origin


class StaleValue(NamedTuple):
    """A value that was computed from a variable before another source changed the variable.

    Attributes:
        key: Of the value.
        value: What it is.
        source: The file that computed it.
        variable: Key of the variable.
        was: What the variable was then.
        origin: Where the variable was set then.
        now: What the variable is now.
        overrider: Where the variable was changed.
    """

    key: KeyPath
    value: object
    source: FileSource
    variable: KeyPath
    was: object
    origin: Origin | None
    now: object
    overrider: Origin


def sources_of(tree: ConfigDict) -> list[Source]:
    """Return all sources of a config, oldest first."""
    return [] if tree._trace is None else [*tree._trace.sources, *_edits(tree)]


def _edits(node: object) -> Iterator[EditSource]:
    """Yield what code has set in a node and below it."""
    if isinstance(node, ConfigDict):
        if node._trace is not None and node._trace.edits:
            yield EditSource(node._trace.edits, node._trace.path)
        for value in node.values():
            yield from _edits(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _edits(value)


def ancestors(source: FileSource) -> list[FileSource]:
    """Return the bases of a file and theirs, oldest first."""
    return [each for base in source.bases for each in (*ancestors(base), base)]


def value_in(source: Source, path: KeyPath) -> object:
    """Return what a source set at ``path`` of the config, or UNKNOWN where that is not known."""
    if isinstance(source, FileSource):
        return value_at(source.tree, path)
    if isinstance(source, FixedSource) and path[: len(source.root)] == source.root:
        return value_at(source.tree, path[len(source.root) :])
    return UNKNOWN


def newest(sources: Sequence[Source], path: KeyPath) -> Source | None:
    """Return the newest of ``sources`` that set the value at ``path``."""
    return next((source for source in reversed(sources) if source.defines(path)), None)


def overlays_of(sources: Sequence[Source], source: FileSource) -> list[Source]:
    """Return the sources that override a file, oldest first: its descendants, the command line and code."""
    later = sources[sources.index(source) + 1 :] if source in sources else ()
    return [each for each in later if not isinstance(each, FileSource) or source in ancestors(each)]


def resolved(source: FileSource, use: Dependency) -> Dependency:
    """Return a dependency on the bases with its origin, its value and its own dependencies."""
    base = newest(ancestors(source), use.path) if use.inherited else None
    if not isinstance(base, FileSource):
        return use._replace(uses=tuple(resolved(source, each) for each in use.uses))
    uses = tuple(resolved(base, each) for each in base.uses(use.path))
    return Dependency(use.path, True, base.origin(use.path), value_at(base.tree, use.path), uses)


def all_uses(uses: Sequence[Dependency]) -> Iterator[Dependency]:
    """Yield dependencies and, recursively, theirs."""
    for use in uses:
        yield use
        yield from all_uses(use.uses)


def stale_values(tree: ConfigDict) -> Iterator[StaleValue]:
    """Yield every stale value of a config."""
    sources = sources_of(tree)
    for source in sources:
        if isinstance(source, FileSource):
            later = overlays_of(sources, source)
            touched = {key for each in later for key in _top_level(each)}
            if touched:
                for path in leaves(source.tree):
                    yield from stale_values_of(tree, source, later, path, touched)


def stale_values_of(
    tree: ConfigDict,
    source: FileSource,
    later: Sequence[Source],
    path: KeyPath,
    touched: set[object] | None = None,
) -> Iterator[StaleValue]:
    """Yield the variables that were changed after ``source`` computed the value at ``path`` from them.

    Args:
        tree: The config.
        source: The file in question.
        later: The sources that override it.
        path: Key path of a value that the file set.
        touched: Top-level keys that matter; by default all.
    """
    value = value_at(source.tree, path)
    if _differ(value_at(tree, path), value) or newest(later, path) is not None:
        return  # it was changed again later
    for use in all_uses([resolved(source, each) for each in source.uses(path)]):
        now = value_at(tree, use.path)
        overrider = _overrider(later, use.path) if touched is None or use.path[0] in touched else None
        if overrider is not None and use.value is not UNKNOWN and _differ(now, use.value):
            yield StaleValue(path, value, source, use.path, use.value, use.origin, now, overrider)


def widen(stale: StaleValue, key_length: int = 1, variable_length: int = 1) -> StaleValue:
    """Return a stale value for the whole dict or list that was inserted, instead of for one of its parts.

    Args:
        stale: The stale value of a part.
        key_length: Minimum number of keys to keep of the path of the value.
        variable_length: The same for the variable.
    """
    key, variable = stale.key, stale.variable
    while len(key) > key_length and len(variable) > variable_length and key[-1] == variable[-1]:
        key, variable = key[:-1], variable[:-1]
    if variable == stale.variable:
        return stale
    return stale._replace(
        key=key, variable=variable, value=value_at(stale.source.tree, key), was=UNKNOWN, now=UNKNOWN
    )


def _overrider(later: Sequence[Source], path: KeyPath) -> Origin | None:
    """Return where a variable, or the innermost node around it, was changed."""
    for end in range(len(path), 0, -1):
        source = newest(later, path[:end])
        if source is not None:
            return source.origin(path[:end])
    return None


def leaves(tree: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of all values without parts, and of empty dicts and lists."""
    return (at for at, node in walk(tree, path) if not (isinstance(node, Mapping | list | tuple) and node))


def _top_level(source: Source) -> list[object]:
    if isinstance(source, EditSource):
        return list(source.root[:1] or source.places)
    tree = source.tree if isinstance(source, FileSource | FixedSource) else None
    return list(tree) if isinstance(tree, Mapping) else []


def _differ(a: object, b: object) -> bool:
    """Return whether two values are known to differ; a comparison of arrays, for example, is not a bool."""
    try:
        return bool(a != b)
    except Exception:  # the comparison is code of the value
        return False
