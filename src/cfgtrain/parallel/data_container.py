"""DataContainer and collate: batches of samples that default collation cannot merge, as in MMCV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import default_collate

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import COLLATE_FUNCTIONS

__all__ = ["DataContainer", "collate"]


class DataContainer:
    """Wraps a value of a sample, and says how ``collate`` merges the values of a batch (MMCV name).

    Args:
        data: The value.
        stack: Whether the values are tensors that are padded at their ends to a common size and stacked.
            Otherwise they are returned as a list.
        padding_value: What tensors are padded with.
        cpu_only: Whether the values stay on the CPU, such as a dict of facts about an image. They are
            returned as a list, whatever ``stack`` is.
        pad_dims: Number of dimensions, counted from the last, that are padded: 1, 2 or 3. None: the
            tensors must have one shape already.

    Raises:
        ArgumentError: ``pad_dims`` is not valid.
    """

    def __init__(
        self,
        data: Any,
        stack: bool = False,
        padding_value: float = 0,
        cpu_only: bool = False,
        pad_dims: int | None = 2,
    ) -> None:
        check_choice("pad_dims", pad_dims, (None, 1, 2, 3))
        self._data = data
        self._stack = stack
        self._padding_value = padding_value
        self._cpu_only = cpu_only
        self._pad_dims = pad_dims

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data!r})"

    def __len__(self) -> int:
        return len(self._data)

    @property
    def data(self) -> Any:
        """The value; after ``collate``, a list with one item per chunk of the batch."""
        return self._data

    @property
    def datatype(self) -> type | str:
        """The type of the value; of a tensor its name, such as ``"torch.FloatTensor"``."""
        return self._data.type() if isinstance(self._data, Tensor) else type(self._data)

    @property
    def cpu_only(self) -> bool:
        """Whether the value stays on the CPU."""
        return self._cpu_only

    @property
    def stack(self) -> bool:
        """Whether ``collate`` stacks the values of a batch."""
        return self._stack

    @property
    def padding_value(self) -> float:
        """What tensors are padded with."""
        return self._padding_value

    @property
    def pad_dims(self) -> int | None:
        """Number of dimensions that are padded, counted from the last."""
        return self._pad_dims

    def size(self, *args: Any, **kwargs: Any) -> Any:
        """Return the size of the value, as ``Tensor.size`` does.

        Raises:
            AttributeError: The value is not a tensor.
        """
        return self._tensor("size").size(*args, **kwargs)

    def dim(self) -> int:
        """Return the number of dimensions of the value.

        Raises:
            AttributeError: The value is not a tensor.
        """
        return self._tensor("dim").dim()

    def _tensor(self, name: str) -> Tensor:
        if not isinstance(self._data, Tensor):
            raise AttributeError(f"{type(self._data).__name__} has no {name}(): only tensors have.")
        return self._data


@COLLATE_FUNCTIONS.register_module()
def collate(batch: Any, samples_per_gpu: int = 1) -> Any:
    """Merge samples into a batch; values in a ``DataContainer`` as it says (MMCV name).

    Dicts are merged key by key, and tuples and lists item by item. Everything else is merged by torch's
    ``default_collate``.

    Args:
        batch: The samples.
        samples_per_gpu: Number of samples per chunk. The values of ``DataContainer`` are merged chunk by
            chunk, so that each device can get one.

    Returns:
        A value of the same structure as a sample. In place of each ``DataContainer`` it has one whose data is
        a list with one item per chunk: a tensor (samples, ...) with ``stack``, and otherwise a list.

    Raises:
        ArgumentTypeError: ``batch`` is not a sequence.
        ArgumentError: The values cannot be merged.
    """
    if not isinstance(batch, Sequence) or isinstance(batch, str | bytes):
        raise ArgumentTypeError(f"A batch must be a sequence of samples, not {batch!r}.")
    if not batch:
        raise ArgumentError("A batch must have at least one sample.")
    check_integer("samples_per_gpu", samples_per_gpu, 1)
    first = batch[0]
    if isinstance(first, DataContainer):
        return _collate_containers(batch, samples_per_gpu)
    if isinstance(first, Mapping):
        for sample in batch:
            missing = sorted(map(str, first.keys() - sample.keys()))
            if missing:
                raise ArgumentError(f"A sample has no {missing[0]!r}, which the first of its batch has.")
        return {key: collate([sample[key] for sample in batch], samples_per_gpu) for key in first}
    if isinstance(first, Sequence) and not isinstance(first, str | bytes):
        lengths = sorted({len(sample) for sample in batch})
        if len(lengths) > 1:
            raise ArgumentError(f"Lists of different lengths cannot be merged: {lengths}.")
        return [collate(values, samples_per_gpu) for values in zip(*batch, strict=True)]
    return default_collate(list(batch))


def _collate_containers(batch: Sequence[Any], size: int) -> DataContainer:
    first: DataContainer = batch[0]
    other = next((each for each in batch if not isinstance(each, DataContainer)), None)
    if other is not None:
        raise ArgumentError(f"A batch has both DataContainers and a {type(other).__name__} for one value.")
    chunks: Iterator[list[Any]] = (
        [container.data for container in batch[start : start + size]] for start in range(0, len(batch), size)
    )
    settings = (first.stack, first.padding_value)
    if first.cpu_only:
        return DataContainer(list(chunks), *settings, cpu_only=True)
    if not first.stack:
        return DataContainer(list(chunks), *settings)
    return DataContainer([_stack(chunk, first) for chunk in chunks], *settings)


def _stack(values: list[Any], settings: DataContainer) -> Any:
    """Return the values of a chunk as one tensor, padded at the end of the last ``pad_dims`` dimensions."""
    pad_dims = settings.pad_dims
    if pad_dims is None:
        return default_collate(values)
    for value in values:
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"Only tensors can be stacked, not {type(value).__name__}. Use cpu_only=True or stack=False."
            )
        if value.dim() <= pad_dims or value.shape[:-pad_dims] != values[0].shape[:-pad_dims]:
            raise ArgumentError(
                f"Tensors that are padded in their last {pad_dims} dimensions (pad_dims) must have at least one more, "
                f"and equal sizes before them. The shapes are {_shapes(values)}."
            )
    sizes = torch.tensor([value.shape[-pad_dims:] for value in values]).amax(0).tolist()
    padded = []
    for value in values:
        missing = [size - own for size, own in zip(sizes, value.shape[-pad_dims:], strict=True)]
        pad = [number for each in reversed(missing) for number in (0, each)]  # last dimension first
        padded.append(functional.pad(value, pad, value=settings.padding_value))
    return default_collate(padded)


def _shapes(values: Sequence[Any]) -> str:
    return ", ".join(
        str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__ for value in values
    )
