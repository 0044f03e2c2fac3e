"""Merge samples into a batch, and explain why samples cannot be merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import default_collate

from cfgtrain.errors import SampleError
from cfgtrain.origin import dotted
from cfgtrain.suggestions import with_article

__all__ = ["merge_samples"]

_SHOWN = 4  # how many samples an error names
_LEAVE_OUT = "If the model does not need them, leave them out with dict(type='Collect', keys=[...])"


class _Mismatch(Exception):  # not an error of its own
    """Values of a batch that cannot be merged.

    Attributes:
        path: Key path of the values in a sample.
        problem: What is wrong.
        facts: What to say of each sample; samples with equal facts can be merged.
        hint: What would be right.
    """

    def __init__(
        self, path: tuple[Any, ...], problem: str, facts: Sequence[str] = (), hint: str = ""
    ) -> None:
        super().__init__(problem)
        self.path, self.problem, self.facts, self.hint = path, problem, facts, hint


def merge_samples(
    samples: Sequence[Any],
    describe: Callable[[int], str],
    merged: Mapping[Any, Tensor] | None = None,
    **place: Any,
) -> Any:
    """Merge samples into a batch, as torch's ``default_collate`` does.

    Args:
        samples: Samples of one structure: dicts, tuples or lists of tensors, arrays, numbers and strings.
        describe: Returns a description of the sample at a position in ``samples``.
        merged: Batches of some keys of dicts, which are merged already; see ``BatchRows``.
        **place: Place of the dataset in a config, for errors; see ``cfgtrain.origin.location``.

    Raises:
        SampleError: The samples have different keys, types, shapes or lengths, or values of a type that cannot
            be merged.
    """
    try:
        _check(samples, ())
        if not merged:
            return default_collate(list(samples))
        others = [{key: sample[key] for key in sample if key not in merged} for sample in samples]
        batch = {**default_collate(others), **merged}
        return {key: batch[key] for key in samples[0]}
    except _Mismatch as found:
        mismatch, cause = found, None
    except Exception as error:  # whatever a merge function of a type raises
        mismatch, cause = _failing(samples, (), error), error
    name = dotted(mismatch.path)
    values = f"Values of {name!r} in a batch" if mismatch.path else "The samples of a batch"
    shown = "; ".join(f"{fact}: {describe(at)}" for at, fact in _distinct(mismatch.facts))
    message = f"{values} {mismatch.problem}{f' ({shown})' if shown else ''}."
    raise SampleError(message, hint=mismatch.hint, **place) from cause


def _check(values: Sequence[Any], path: tuple[Any, ...]) -> None:
    """Raise if values of a batch differ in what ``default_collate`` does not check, or does not explain."""
    first = values[0]
    if len(set(map(type, values))) > 1 and len(set(map(_kind, values))) > 1:
        types = [type(value).__name__ for value in values]
        raise _Mismatch(path, "have different types", types, f"{_LEAVE_OUT}." if path else "")
    if isinstance(first, (Tensor, np.ndarray)):
        if any(value.shape != first.shape for value in values):
            raise _shape_mismatch(values, path)
        if any(value.dtype != first.dtype for value in values):
            raise _Mismatch(path, "have different dtypes", [str(value.dtype) for value in values])
    elif isinstance(first, Mapping):
        if any(value.keys() != first.keys() for value in values):
            raise _Mismatch(path, "have different keys", [", ".join(map(str, value)) for value in values])
        for key in first:
            _check([value[key] for value in values], (*path, key))
    elif isinstance(first, (tuple, list)):
        if any(len(value) != len(first) for value in values):
            lengths = [str(len(value)) for value in values]
            raise _Mismatch(path, "have different lengths", lengths, f"{_LEAVE_OUT}." if path else "")
        for i, items in enumerate(zip(*values, strict=True)):
            _check(items, (*path, i))


def _kind(value: Any) -> Any:
    """Return the kind of a value: numbers of Python and NumPy are merged alike, and so are strings."""
    if isinstance(value, bool | np.bool_):
        return bool
    return next(
        (kind for kind in (Integral, Real, str, bytes, Mapping) if isinstance(value, kind)), type(value)
    )


def _shape_mismatch(values: Sequence[Any], path: tuple[Any, ...]) -> _Mismatch:
    shapes = [str(tuple(value.shape)) for value in values]
    if not str(path[-1] if path else "").startswith("img") and not all(map(_looks_like_image, values)):
        hint = "Make them equal in the pipeline, or merge them with data.collate_fn='collate' and DataContainers."
        return _Mismatch(path, "have different shapes", shapes, hint)
    if len({_channels(value) for value in values}) > 1:
        counts = [
            f"{_channels(value)} {'channel' if _channels(value) == 1 else 'channels'}, {shape}"
            for value, shape in zip(values, shapes, strict=True)
        ]
        hint = "LoadImageFromFile(color_type='color') loads every image with 3 channels, 'grayscale' with 1."
        return _Mismatch(path, "have different numbers of channels", counts, hint)
    hint = "Add Resize with keep_ratio=False, CenterCrop or Pad with a size to the pipeline, so that all are equal."
    return _Mismatch(path, "have different shapes", shapes, hint)


def _looks_like_image(value: Any) -> bool:
    return value.ndim == 3 and (_channels(value) in (1, 3, 4))


def _channels(value: Any) -> int:
    """Return the number of channels of an image: a tensor is (C, H, W), an array (H, W, C) or (H, W)."""
    if value.ndim < 3:
        return 1
    return int(value.shape[-3] if isinstance(value, Tensor) else value.shape[-1])


def _failing(values: Sequence[Any], path: tuple[Any, ...], error: Exception) -> _Mismatch:
    """Return which values ``default_collate`` cannot merge."""
    first = values[0]
    inner: Iterator[tuple[Any, list[Any]]] = iter(())
    if isinstance(first, Mapping):
        inner = ((key, [value[key] for value in values]) for key in first)
    elif isinstance(first, (tuple, list)):
        inner = ((i, [value[i] for value in values]) for i in range(len(first)))
    for key, items in inner:
        try:
            default_collate(items)
        except Exception as deeper:  # see merge_samples
            return _failing(items, (*path, key), deeper)
    hint = f"{_LEAVE_OUT}, or use data.collate_fn='collate' and DataContainer(..., cpu_only=True)."
    if isinstance(error, TypeError):
        kind = with_article(type(first).__name__)
        if isinstance(first, np.ndarray):
            kind += f" of dtype {first.dtype}"
        return _Mismatch(path, f"cannot be merged, as each is {kind}", hint=hint)
    return _Mismatch(path, f"cannot be merged: {type(error).__name__}: {str(error).rstrip('.')}", hint=hint)


def _distinct(facts: Sequence[str]) -> list[tuple[int, str]]:
    """Return the first position of each fact, of a few of them."""
    first: dict[str, int] = {}
    for at, fact in enumerate(facts):
        first.setdefault(fact, at)
    return [(at, fact) for fact, at in list(first.items())[:_SHOWN]]
