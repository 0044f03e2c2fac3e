"""Explain a value of a config: every source that set it, and changes that did not update it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cfgtrain.config.dict import DELETE, ConfigDict
from cfgtrain.config.key_paths import UNKNOWN, KeyPath, NoSuchKeyError, follow, split_key, value_at
from cfgtrain.config.provenance.dependencies import (
    StaleValue,
    ancestors,
    leaves,
    overlays_of,
    resolved,
    sources_of,
    stale_values,
    stale_values_of,
    value_in,
    widen,
)
from cfgtrain.config.provenance.file_source import Dependency, FileSource
from cfgtrain.config.trace import Source
from cfgtrain.errors import ConfigKeyError
from cfgtrain.origin import Origin

if TYPE_CHECKING:
    from cfgtrain.config.config import Config


class Step(NamedTuple):
    """One change of a value.

    Attributes:
        origin: Where.
        value: What it was set to; UNKNOWN where that is not known, and where it was dropped.
        uses: What that was computed from.
        dropped: Key of the node that was replaced together with the value, if nothing set the value again; ``()``
            means all inherited values.
    """

    origin: Origin
    value: object
    uses: tuple[Dependency, ...] = ()
    dropped: KeyPath | None = None


class Explanation(NamedTuple):
    """Everything that is known about a value.

    Attributes:
        path: Of the value.
        value: The final value; UNKNOWN if it is no longer in the config.
        steps: Its changes, oldest first; empty if none are known.
        stale_values: Later changes of its variables that did not update it.
        stale_dependents: Values that were computed from it before it was changed.
    """

    path: KeyPath
    value: object
    steps: list[Step]
    stale_values: list[StaleValue]
    stale_dependents: list[StaleValue]


def explain(cfg: Config, key: str) -> Explanation:
    """Return the explanation of the value at a dotted key, or of one that a file set and another dropped.

    Raises:
        ConfigKeyError: The key does not exist, and no source ever set it.
    """
    tree = cfg._cfg_dict
    sources = sources_of(tree)
    try:
        steps = list(follow(tree, split_key(key)))
    except NoSuchKeyError as missing:
        sources = _with_bases(sources)
        path = _path_in(sources, split_key(key))
        if path is None:
            raise ConfigKeyError(f"There is no key {key!r}.{missing.hint()}", key=key) from None
        return Explanation(path, UNKNOWN, _steps(sources, path, UNKNOWN), [], [])
    path = tuple(part for part, _ in steps)
    value = steps[-1][1]
    return Explanation(
        path,
        value,
        _steps(sources, path, value),
        _once(widen(stale, key_length=len(path)) for stale in _stale_values(tree, sources, path)),
        _once(
            widen(stale, variable_length=len(path))
            for stale in stale_values(tree)
            if stale.variable[: len(path)] == path
        ),
    )


def _with_bases(sources: list[Source]) -> list[Source]:
    """Return sources with the files below them, those whose every value was dropped too, oldest first."""
    found: dict[int, Source] = {}
    for source in sources:
        family = [*ancestors(source), source] if isinstance(source, FileSource) else [source]
        found |= {id(each): each for each in family}
    return list(found.values())


def _path_in(sources: list[Source], parts: list[str]) -> KeyPath | None:
    """Return the path of a key in the first file that set it, None where none did."""
    for source in sources:
        if isinstance(source, FileSource) and DELETE not in parts:
            with suppress(NoSuchKeyError):
                return tuple(part for part, _ in follow(source.tree, parts))
    return None


def _steps(sources: list[Source], path: KeyPath, value: object) -> list[Step]:
    steps: list[Step] = []
    for source in sources:
        if source.defines(path):
            uses = (
                [resolved(source, use) for use in source.uses(path)] if isinstance(source, FileSource) else []
            )
            steps.append(Step(source.origin(path), value_in(source, path), tuple(uses)))
        elif steps and steps[-1].dropped is None:
            steps += _dropped(source, path)
    if steps and steps[-1].dropped is None and steps[-1].value is UNKNOWN:  # code does not keep what it set
        steps[-1] = steps[-1]._replace(value=value)
    return steps


def _dropped(source: Source, path: KeyPath) -> list[Step]:
    """Return the step of a source that replaced a node around the value without setting the value."""
    for end in range(len(path)):
        around = value_in(source, path[:end])
        if around is UNKNOWN:
            return []
        if not isinstance(around, Mapping):
            return [Step(source.origin(path[:end]), UNKNOWN, (), path[:end])]
        if around.get(DELETE):
            return [Step(source.origin((*path[:end], DELETE)), UNKNOWN, (), path[:end])]
    return []


def _once(found: Iterable[StaleValue]) -> list[StaleValue]:
    """Keep only the first stale value for each value and variable."""
    firsts: dict[object, StaleValue] = {}
    for stale in found:
        firsts.setdefault((stale.key, stale.variable, stale.overrider), stale)
    return list(firsts.values())


def _stale_values(tree: ConfigDict, sources: list[Source], path: KeyPath) -> list[StaleValue]:
    """Return what does not reach a value, or any value within it."""
    found: list[StaleValue] = []
    for source in sources:
        if isinstance(source, FileSource) and source.defines(path):
            later = overlays_of(sources, source)
            for leaf in leaves(value_at(source.tree, path), path):
                found += stale_values_of(tree, source, later, leaf)
    return found
