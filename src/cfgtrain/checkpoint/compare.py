"""How two checkpoints differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.checkpoint.state_dict import weights_of

__all__ = ["CheckpointDiff", "MetaDifference", "TensorDifference", "compare_checkpoints"]

ABSENT = "not there"


class TensorDifference(NamedTuple):
    """A tensor that differs.

    Attributes:
        name: Its name.
        old: Its shape and dtype in the first file, or ``"not there"``.
        new: The same in the second file.
        largest: The largest absolute difference of two values; None if the shapes differ.
        relative: Euclidean norm of the difference divided by that of the first tensor; None likewise.
        changed: Share of the values that differ, from 0 to 1; None likewise.
    """

    name: str
    old: str
    new: str
    largest: float | None = None
    relative: float | None = None
    changed: float | None = None


class MetaDifference(NamedTuple):
    """An entry of the meta that differs.

    Attributes:
        key: Its key path.
        old: Its value in the first file, or ``"not there"``.
        new: The same in the second file.
    """

    key: str
    old: Any
    new: Any


class CheckpointDiff(NamedTuple):
    """How two checkpoints differ.

    Attributes:
        tensors: The tensors that differ, in the order of the files.
        equal: Number of tensors that are equal.
        meta: The entries of the meta that differ.
        keys: The top-level keys that only one of the files has, with which one: ``"a"`` or ``"b"``.
    """

    tensors: list[TensorDifference]
    equal: int
    meta: list[MetaDifference]
    keys: list[tuple[str, str]]


def compare_checkpoints(a: str, b: str) -> CheckpointDiff:
    """Compare the weights and the meta of two checkpoints.

    Args:
        a: Path or URI of the first one.
        b: Path or URI of the second one.

    Raises:
        CheckpointError: One of them cannot be read.
    """
    first, second = read_checkpoint(a, mmap=True), read_checkpoint(b, mmap=True)
    old, new = weights_of(first, a), weights_of(second, b)
    names = list(dict.fromkeys([*old, *new]))
    found = [each for name in names for each in _difference(name, old.get(name), new.get(name))]
    keys = [(str(key), "a") for key in first if key not in second and old is not first]
    keys += [(str(key), "b") for key in second if key not in first and new is not second]
    has_both = "meta" in first and "meta" in second
    meta = list(_meta_differences(first["meta"], second["meta"], "")) if has_both else []
    return CheckpointDiff(found, len(names) - len(found), meta, keys)


def _difference(name: str, old: Any, new: Any) -> Iterator[TensorDifference]:
    shown = TensorDifference(name, _kind(old), _kind(new))
    if not isinstance(old, Tensor) or not isinstance(new, Tensor):
        if isinstance(old, Tensor) or isinstance(new, Tensor) or old != new:
            yield shown
        return
    if old.shape != new.shape:
        yield shown
        return
    wide = torch.complex128 if old.is_complex() or new.is_complex() else torch.float64
    left, right = old.to(wide), new.to(wide)
    same = (left == right) | (left.isnan() & right.isnan())
    if bool(same.all()) and old.dtype == new.dtype:
        return
    change = torch.where(same, torch.zeros_like(left), right - left)
    norm = float(torch.linalg.vector_norm(left))
    size = float(torch.linalg.vector_norm(change))
    relative = size / norm if norm else (0.0 if size == 0 else float("inf"))
    largest = float(change.abs().max()) if change.numel() else 0.0
    share = float((~same).sum()) / same.numel() if same.numel() else 0.0
    yield shown._replace(largest=largest, relative=relative, changed=share)


def _meta_differences(old: Any, new: Any, key: str) -> Iterator[MetaDifference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            path = f"{key}.{name}" if key else str(name)
            yield from _meta_differences(old.get(name, ABSENT), new.get(name, ABSENT), path)
    elif not _equal(old, new):
        yield MetaDifference(key or "meta", old, new)


def _equal(old: Any, new: Any) -> bool:
    if type(old) is not type(new):
        return False
    try:
        return bool(old == new)
    except (RuntimeError, ValueError):  # tensors and arrays have no truth value
        return repr(old) == repr(new)


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return ABSENT if value is None else type(value).__name__
