"""Samplers: the order of samples as a pure function of (seed, epoch), with a start offset.

A sampler yields *draws*: (epoch, position, index). The position is that in the order of the epoch over all
processes. It determines the random augmentation of the sample, which therefore does not depend on the worker that
loads it. If an index is drawn twice, the two draws have different positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from cfgtrain.arguments import check_integer
from cfgtrain.random_state import derive_seed
from cfgtrain.registries import SAMPLERS

__all__ = ["Draw", "EpochBatchSampler", "EpochSampler"]


class Draw(NamedTuple):
    """One sample of one epoch.

    Attributes:
        epoch: The epoch, 0-based.
        position: Position in the order of the epoch over all processes, 0-based.
        index: Index in the dataset.
    """

    epoch: int
    position: int
    index: int  # type: ignore[assignment]  # hides the method of tuple, but is the usual term


class PositionSampler(Protocol):
    """The interface of a sampler: it can start at any position of any epoch."""

    def __len__(self) -> int:
        """Return the number of draws of this process in an epoch."""

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield the draws of this process in an epoch, without the first ``start`` draws."""


@SAMPLERS.register_module()
class EpochSampler:
    """Draws every sample once per epoch, shuffled or in order, and distributes the draws over the processes.

    Position ``i`` belongs to the process of rank ``i % world_size``.

    Args:
        size: Number of samples in the dataset.
        shuffle: Whether to shuffle the samples in each epoch.
        seed: Seed of the orders, which must be the same in all processes.
        rank: Rank of this process.
        world_size: Number of processes that share an epoch.
        round_up: Whether to repeat the first samples of the order at its end, so that all processes have the
            same number of draws. Use True for training and False for evaluation.

    Raises:
        ArgumentError: ``rank`` is not from 0 to ``world_size - 1``.
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
        self.size = size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = check_integer("rank", rank, 0, world_size - 1)
        self.world_size = world_size
        self.total = -(-size // world_size) * world_size if round_up else size

    def __len__(self) -> int:
        return len(range(self.rank, self.total, self.world_size))

    def order(self, epoch: int) -> list[int]:
        """Return the order of the indices in an epoch over all processes, before rounding up."""
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch) >> 1)
        return torch.randperm(self.size, generator=generator).tolist()

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield the draws of this process in an epoch, without the first ``start`` draws."""
        order = self.order(epoch)
        first = self.rank + start * self.world_size
        for position in range(first, self.total, self.world_size):
            yield Draw(epoch, position, order[position % self.size])


class EpochBatchSampler:
    """Yields the draws of an epoch in batches, starting at any batch.

    Args:
        sampler: The sampler that yields the draws.
        batch_size: Number of draws per batch.
        drop_last: Whether to drop the last batch if it is incomplete.

    Raises:
        ArgumentError: ``batch_size`` is less than 1.
    """

    def __init__(self, sampler: PositionSampler, batch_size: int, drop_last: bool = False) -> None:
        self.sampler = sampler
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.drop_last = drop_last
        self.epoch = 0
        self.start_batch = 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Set the epoch of the next pass, and its first batch."""
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch, even if the next pass starts later."""
        complete, rest = divmod(len(self.sampler), self.batch_size)
        return complete + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[Draw]]:
        # Bound now: another pass may start before this one ends.
        return self._batches(self.epoch, self.start_batch)

    def _batches(self, epoch: int, start_batch: int) -> Iterator[list[Draw]]:
        batch: list[Draw] = []
        for draw in self.sampler.draws(epoch, start_batch * self.batch_size):
            batch.append(draw)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch
