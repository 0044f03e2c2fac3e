"""The settings in which runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from cfgtrain.config.config import Config
from cfgtrain.config.diff import Change, diff
from cfgtrain.config.key_paths import KeyPath, has_path, value_at
from cfgtrain.experiment.changes import settings_of
from cfgtrain.origin import dotted

__all__ = ["NOT_SET", "Setting", "differing_settings"]


class _NotSet:
    """Stands for the value of a key that a config does not have."""

    def __repr__(self) -> str:
        return "not set"


NOT_SET = _NotSet()


class Setting(NamedTuple):
    """A setting in which runs differ.

    Attributes:
        key: Its key path. The index of a list item is that in the first config that has the item.
        values: The value of each run, or ``NOT_SET``.
    """

    key: str
    values: list[Any]


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Return the settings in which configs differ, as ``diff`` finds them between the first one and each other one.

    Variables that are no settings are left out, and those that say where a run reads and writes.
    """
    trees = [settings_of(config) for config in configs]
    if not trees:
        return []
    first = Config(trees[0])
    changes = [{_place(change): change for change in diff(first, Config(tree))} for tree in trees]
    keys = list(dict.fromkeys(key for tree in trees for key in tree))
    places = sorted(dict.fromkeys(chain(*changes)), key=lambda place: keys.index(str(place.path[0])))
    return [
        Setting(
            dotted(place.path),
            [_value(trees[0], tree, each, place) for tree, each in zip(trees, changes, strict=True)],
        )
        for place in places
    ]


class _Place(NamedTuple):
    """A key path, and whether the first config does not have it."""

    path: KeyPath
    is_added: bool


def _place(change: Change) -> _Place:
    return _Place(change.side.path, True) if change.old is None else _Place(change.old.path, False)


def _value(first: Any, tree: Any, changes: Mapping[_Place, Change], place: _Place) -> Any:
    """Return the value of a config at a place.

    Args:
        first: The settings of the first config.
        tree: Those of the config.
        changes: What the config changes of the first one.
        place: The place.
    """
    path = place.path
    if place in changes:
        new = changes[place].new
        return NOT_SET if new is None else new.value
    for end in range(1, len(path)):  # what contains the value may have changed as a whole
        change = changes.get(_Place(path[:end], False))
        if change is not None:
            inside = None if change.new is None else change.new.value
            return value_at(inside, path[end:]) if has_path(inside, path[end:]) else NOT_SET
    if place.is_added:
        return NOT_SET
    has_inner_changes = any(each.path[: len(path)] == path for each in changes)
    return value_at(tree if has_inner_changes and has_path(tree, path) else first, path)
