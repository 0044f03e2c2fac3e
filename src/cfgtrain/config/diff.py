"""The differences between two configs: keys added, removed and changed, with their origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cfgtrain.config.key_paths import KeyPath
from cfgtrain.origin import Origin

if TYPE_CHECKING:
    from cfgtrain.config.config import Config


class Side(NamedTuple):
    """A value in one of the two configs.

    Attributes:
        path: Its key path; the index of a list item may differ between the two configs.
        value: The value.
        origin: The place that set it, if known.
    """

    path: KeyPath
    value: object
    origin: Origin | None


class Change(NamedTuple):
    """One difference: the old and the new value; None on the side that does not have the key."""

    old: Side | None
    new: Side | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """The kind of difference."""
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"

    @property
    def side(self) -> Side:
        """The new side if there is one, else the old."""
        side = self.new or self.old
        if side is None:  # pragma: no cover - one of them is always set
            raise ValueError(self)
        return side


def diff(old: Config, new: Config) -> list[Change]:
    """Return the differences between two configs, in the order of ``old``, then of ``new``.

    Dicts are compared key by key. Lists of dicts are aligned: an inserted item does not change
    the others, and items of the same ``type`` are compared key by key. Lists of plain values are
    compared as a whole. A list and a tuple, or True and 1, are different values.
    """
    return [
        Change(
            None if a is None else Side(a[0], a[1], old.origin(a[0])),
            None if b is None else Side(b[0], b[1], new.origin(b[0])),
        )
        for a, b in _compare(((), old._cfg_dict), ((), new._cfg_dict))
    ]


_At = tuple[KeyPath, Any]
_Pair = tuple[_At | None, _At | None]


def _compare(a: _At, b: _At) -> Iterator[_Pair]:
    old, new = a[1], b[1]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _compare_dicts(a, b)
    elif (
        _is_list(old)
        and type(old) is type(new)
        and any(isinstance(part, (dict, list, tuple)) for part in (*old, *new))
    ):
        yield from _compare_lists(a, b)
    elif _form(old) != _form(new):
        yield a, b


def _compare_dicts(a: _At, b: _At) -> Iterator[_Pair]:
    (path, old), (other, new) = a, b
    for key, value in old.items():
        here = ((*path, key), value)
        if key in new:
            yield from _compare(here, ((*other, key), new[key]))
        else:
            yield here, None
    for key, value in new.items():
        if key not in old:
            yield None, ((*other, key), value)


def _compare_lists(a: _At, b: _At) -> Iterator[_Pair]:
    old = [((*a[0], i), part) for i, part in enumerate(a[1])]
    new = [((*b[0], i), part) for i, part in enumerate(b[1])]
    for are_equal, before, after in _matched(old, new, _form):
        # Of the items that are not equal, those of the same type are paired in order.
        for are_paired, lefts, rights in _matched(before, after, _kind) if not are_equal else ():
            if are_paired:
                for left, right in zip(lefts, rights, strict=True):
                    yield from _compare(left, right)
            else:
                yield from ((left, None) for left in lefts)
                yield from ((None, right) for right in rights)


def _matched(
    old: list[_At], new: list[_At], key: Callable[[Any], object]
) -> Iterator[tuple[bool, list[_At], list[_At]]]:
    """Divide two lists, and yield the parts with whether their items have the same keys."""
    old_keys, new_keys = ([key(part) for _, part in items] for items in (old, new))
    for tag, i, j, k, m in SequenceMatcher(None, old_keys, new_keys, autojunk=False).get_opcodes():
        yield tag == "equal", old[i:j], new[k:m]


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _kind(value: object) -> object:
    """Return a key that is equal for list items of the same type."""
    if isinstance(value, Mapping):
        return "dict", repr(value.get("type"))
    return type(value).__name__


def _form(value: Any) -> object:
    """Return a hashable form of a value; forms are equal only for equal values of the same type."""
    if isinstance(value, Mapping):
        return "dict", frozenset((repr(key), _form(part)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, tuple(map(_form, value))
    if isinstance(value, float) and value.is_integer():
        return "int", repr(int(value))  # 1.0 is 1
    return type(value).__name__, repr(value)
