"""Warnings for a config that is valid but probably a mistake.

Looking costs time that a plain load does not have: ``Config.fromfile`` does not look, the
commands do, and a program that wants to calls ``lint``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cfgtrain.config.dict import DELETE
from cfgtrain.config.key_paths import UNKNOWN, KeyPath, value_at
from cfgtrain.config.provenance.annotate import one_line
from cfgtrain.config.provenance.dependencies import (
    StaleValue,
    ancestors,
    newest,
    sources_of,
    stale_values,
    widen,
)
from cfgtrain.config.provenance.file_source import FileSource
from cfgtrain.errors import ConfigWarning
from cfgtrain.origin import Origin, dotted

if TYPE_CHECKING:
    from cfgtrain.config.config import Config

# Shorter keys are one letter away from each other on purpose: lr and lo, key and keys.
MIN_LETTERS = 4


def lint(cfg: Config) -> list[ConfigWarning]:
    """Return a warning for every probable mistake in a config.

    These are: a new key of a child that is one letter away from a key of its bases, and a
    variable set anew after a base had computed other values from it, which stay as they are.
    """
    tree = cfg._cfg_dict
    files = [source for source in sources_of(tree) if isinstance(source, FileSource)]
    return [
        *(warning for source in files for warning in _misspelt(source, ancestors(source), source.tree, ())),
        *_unreached(list(stale_values(tree))),
    ]


def one_letter_apart(a: str, b: str) -> bool:
    """Return whether one letter, not a digit, was left out, added, changed or swapped with the next."""
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    begin = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    end = 0
    while end < min(len(a), len(b)) - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    odd, other = a[begin : len(a) - end], b[begin : len(b) - end]
    swapped = len(odd) == 2 and odd == other[::-1]
    return (max(len(odd), len(other)) == 1 or swapped) and not any(map(str.isdigit, odd + other))


def _misspelt(
    source: FileSource, bases: list[FileSource], node: Mapping[Any, Any], path: KeyPath
) -> Iterator[ConfigWarning]:
    if node.get(DELETE):
        return  # nothing is inherited here
    inherited: dict[object, object] = {}
    for base in bases:
        value = value_at(base.tree, path)
        inherited |= value if isinstance(value, Mapping) else {}
    for key, value in node.items():
        if isinstance(value, Mapping) and isinstance(inherited.get(key), Mapping):
            yield from _misspelt(source, bases, value, (*path, key))
        elif isinstance(key, str) and key not in inherited and key != DELETE and len(key) >= MIN_LETTERS:
            meant = [
                known
                for known in inherited
                if isinstance(known, str) and known not in node and one_letter_apart(key, known)
            ]
            for known in meant[:1]:
                yield _misspelt_warning(source, bases, (*path, key), known)


def _misspelt_warning(
    source: FileSource, bases: list[FileSource], path: KeyPath, known: str
) -> ConfigWarning:
    base = newest(bases, (*path[:-1], known))
    there = f", which is set at {base.origin((*path[:-1], known))}" if base else ""
    return ConfigWarning(
        f"{path[-1]!r} is a new key, one letter away from {known!r}{there}. Did you mean {known!r}?",
        origin=source.origin(path),
        key=dotted(path),
    )


def _unreached(found: list[StaleValue]) -> Iterator[ConfigWarning]:
    """Yield one warning for each changed variable, with the values that were not updated."""
    groups: dict[tuple[KeyPath, Origin], list[StaleValue]] = {}
    for stale in found:
        stale = widen(stale)
        groups.setdefault((stale.variable, stale.overrider), []).append(stale)
    for group in groups.values():
        yield _unreached_warning(group)


def _unreached_warning(group: list[StaleValue]) -> ConfigWarning:
    stale = group[0]
    keys = {dotted(each.key): f" ({each.source.origin(each.key)})" for each in reversed(group)}
    told = [key + place for key, place in reversed(keys.items())]
    listed = " and ".join(told) if len(told) < 3 else f"{told[0]}, {told[1]} and {len(told) - 2} more"
    one = next(iter(keys)) if len(keys) == 1 else None
    name = dotted(stale.variable)
    new, old, stay = f"The new {name}", name, "stays as it was" if one else "stay as they were"
    if stale.now is not UNKNOWN:
        new, old = (f"{name} = {one_line(value, 40)}" for value in (stale.now, stale.was))
        stay = f"stays {one_line(stale.value, 40)}" if one else stay
    return ConfigWarning(
        f"{new} does not reach {listed}, which {'was' if one else 'were'} computed from {old} ({stale.origin}) and "
        f"{stay}. Set {one or 'these'} instead.",
        origin=stale.overrider,
        key=name,
    )
