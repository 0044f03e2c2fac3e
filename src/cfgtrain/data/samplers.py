"""In which order samples are drawn: pure functions of (seed, epoch) with a start offset.

A sampler yields *draws*: (epoch, position, index). The position counts through the epoch's
order over all processes; it, and not the worker that happens to load the sample, decides
how the sample is augmented. An index that is drawn twice has two positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from cfgtrain.errors import ArgumentError
from cfgtrain.random_state import derive_seed
from cfgtrain.registries import SAMPLERS

__all__ = ["Draw", "EpochBatchSampler", "EpochSampler"]


class Draw(NamedTuple):
    """One sample of one epoch.

    Attributes:
        epoch: 0-based.
        position: 0-based place in the epoch's order, over all processes.
        index: Index into the data set.
    """

    epoch: int
    position: int
    index: int  # type: ignore[assignment]  # the field's word, though tuples have a method of that name


class PositionSampler(Protocol):
    """What a loader needs of a sampler: the order of an epoch, from any position on."""

    def __len__(self) -> int:
        """Return how many draws this process makes in an epoch."""

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield this process's draws of an epoch, the first ``start`` left out unread."""


@SAMPLERS.register_module()
class EpochSampler:
    """Every sample once per epoch, shuffled or in order, dealt out to the processes in turn.

    Args:
        size: Number of samples in the data set.
        shuffle: Whether each epoch has its own random order.
        seed: Of the orders; the same in all processes.
        rank: Which of the processes this is.
        world_size: How many processes share an epoch.
        round_up: Whether the last positions are filled with the first samples of the order, so
            that all processes draw equally often (training needs it, evaluation must not).
    """

    def __init__(
        self,
        size: int,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        round_up: bool = True,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ArgumentError(f"rank is from 0 to world_size - 1 = {world_size - 1}, not {rank}.")
        self.size = size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.total = -(-size // world_size) * world_size if round_up else size

    def __len__(self) -> int:
        return len(range(self.rank, self.total, self.world_size))

    def order(self, epoch: int) -> list[int]:
        """Return the indices of an epoch in order, over all processes, before rounding up."""
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch) >> 1)
        return torch.randperm(self.size, generator=generator).tolist()

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield this process's draws of an epoch, the first ``start`` left out unread."""
        order = self.order(epoch)
        first = self.rank + start * self.world_size
        for position in range(first, self.total, self.world_size):
            yield Draw(epoch, position, order[position % self.size])


class EpochBatchSampler:
    """Batches of draws of one epoch; which epoch, and where in it to begin, can be set.

    Args:
        sampler: The order.
        batch_size: Draws per batch.
        drop_last: Whether a smaller last batch is left out.
    """

    def __init__(self, sampler: PositionSampler, batch_size: int, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise ArgumentError(f"A batch has at least one sample, not {batch_size}.")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.epoch = 0
        self.start_batch = 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Say what the next pass is: ``epoch``, without its first ``start_batch`` batches."""
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        """Return the batches of a whole epoch, wherever the next pass begins."""
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[Draw]]:
        return self._batches(self.epoch, self.start_batch)  # another pass may begin before this one ends

    def _batches(self, epoch: int, start_batch: int) -> Iterator[list[Draw]]:
        batch: list[Draw] = []
        for draw in self.sampler.draws(epoch, start_batch * self.batch_size):
            batch.append(draw)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch
