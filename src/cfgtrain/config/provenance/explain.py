"""Why a value of a config is what it is: everything that set it, and what did not reach it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cfgtrain.config.dict import DELETE, ConfigDict
from cfgtrain.config.keys import NoSuchKeyError, Path, follow, split_key, value_at
from cfgtrain.config.provenance.dependencies import (
    Miss,
    above,
    ancestors,
    leaves,
    misses,
    misses_of,
    resolved,
    sources_of,
    value_in,
    whole,
)
from cfgtrain.config.provenance.file_source import FileSource, Use
from cfgtrain.config.trace import Source
from cfgtrain.errors import ConfigKeyError
from cfgtrain.origin import Origin

if TYPE_CHECKING:
    from cfgtrain.config.config import Config


class Step(NamedTuple):
    """One thing that happened to a value.

    Attributes:
        origin: Where.
        value: What it was set to; ``...`` where that is not known, and where it was dropped.
        uses: What that was computed from.
        dropped: Key of what was replaced, the value with it, where nothing set it anew; ``()``
            is all that was inherited.
    """

    origin: Origin
    value: object
    uses: tuple[Use, ...] = ()
    dropped: Path | None = None


class Story(NamedTuple):
    """Everything that is known of a value.

    Attributes:
        path: Of the value.
        value: What it came to; ``...`` where it is not in the config any more.
        steps: What happened to it, oldest first; empty if nothing is known.
        misses: What was set anew and does not reach it.
        leaves_behind: What was computed from it, before it was set anew.
    """

    path: Path
    value: object
    steps: list[Step]
    misses: list[Miss]
    leaves_behind: list[Miss]


def tell(cfg: Config, key: str) -> Story:
    """Return the story of the value at a dotted key, or of one that a file set and another dropped.

    Raises:
        ConfigKeyError: There is no such key, and has been none.
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
        return Story(path, ..., _steps(sources, path, ...), [], [])
    path = tuple(part for part, _ in steps)
    value = steps[-1][1]
    return Story(
        path,
        value,
        _steps(sources, path, value),
        _once(whole(miss, key_length=len(path)) for miss in _misses(tree, sources, path)),
        _once(
            whole(miss, variable_length=len(path))
            for miss in misses(tree)
            if miss.variable[: len(path)] == path
        ),
    )


def _with_bases(sources: list[Source]) -> list[Source]:
    """Return sources with the files below them, those whose every value was dropped too, oldest first."""
    found: dict[int, Source] = {}
    for source in sources:
        family = [*ancestors(source), source] if isinstance(source, FileSource) else [source]
        found |= {id(each): each for each in family}
    return list(found.values())


def _path_in(sources: list[Source], parts: list[str]) -> Path | None:
    """Return the path of a key in the first file that set it, None where none did."""
    for source in sources:
        if isinstance(source, FileSource) and DELETE not in parts:
            with suppress(NoSuchKeyError):
                return tuple(part for part, _ in follow(source.tree, parts))
    return None


def _steps(sources: list[Source], path: Path, value: object) -> list[Step]:
    steps: list[Step] = []
    for source in sources:
        if source.defines(path):
            uses = (
                [resolved(source, use) for use in source.uses(path)] if isinstance(source, FileSource) else []
            )
            steps.append(Step(source.origin(path), value_in(source, path), tuple(uses)))
        elif steps and steps[-1].dropped is None:
            steps += _dropped(source, path)
    if steps and steps[-1].dropped is None and steps[-1].value is ...:  # code does not keep what it set
        steps[-1] = steps[-1]._replace(value=value)
    return steps


def _dropped(source: Source, path: Path) -> list[Step]:
    """Say that a source replaced something around the value without setting the value."""
    for end in range(len(path)):
        around = value_in(source, path[:end])
        if around is ...:
            return []
        if not isinstance(around, Mapping):
            return [Step(source.origin(path[:end]), ..., (), path[:end])]
        if around.get(DELETE):
            return [Step(source.origin((*path[:end], DELETE)), ..., (), path[:end])]
    return []


def _once(found: Iterable[Miss]) -> list[Miss]:
    """Keep the first of those that tell of the same value and the same setting."""
    firsts: dict[object, Miss] = {}
    for miss in found:
        firsts.setdefault((miss.key, miss.variable, miss.overrider), miss)
    return list(firsts.values())


def _misses(tree: ConfigDict, sources: list[Source], path: Path) -> list[Miss]:
    """Return what does not reach a value, or any value within it."""
    found: list[Miss] = []
    for source in sources:
        if isinstance(source, FileSource) and source.defines(path):
            later = above(sources, source)
            for leaf in leaves(value_at(source.tree, path), path):
                found += misses_of(tree, source, later, leaf)
    return found
