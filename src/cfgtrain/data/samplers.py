"""Samplers: the order of samples as a pure function of (seed, epoch), with a start offset.

A sampler yields *draws*: (epoch, position, index). The position is that in the order of the epoch over all
processes. It determines the random augmentation of the sample, which therefore does not depend on the worker that
loads it. If an index is drawn twice, the two draws have different positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.random_state import derive_seed
from cfgtrain.registries import SAMPLERS

__all__ = ["ClassBalancedSampler", "Draw", "EpochBatchSampler", "EpochSampler", "InfiniteSampler"]


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
        """Return the number of draws of this process in an epoch. ``is_infinite = True`` replaces it."""

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield the draws of this process in an epoch, without the first ``start`` draws."""


@SAMPLERS.register_module(name=["EpochSampler", "DefaultSampler", "DistributedSampler"])
class EpochSampler:
    """Draws every sample once per epoch, shuffled or in order, and distributes the draws over the processes.

    In a config it has the names ``DefaultSampler`` and ``DistributedSampler`` too. Position ``i`` belongs to the process of rank ``i % world_size``.

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


@SAMPLERS.register_module()
class ClassBalancedSampler:
    """Draws every class equally often, whatever the number of its samples (for training).

    The order consists of rounds, in each of which every class is drawn once, in random order. Within a class, the
    samples are drawn in shuffled order; all are drawn before one is repeated.

    Args:
        labels: The class of each sample: ints, of any values. By default the attribute ``labels`` of the dataset.
        num_samples: Number of draws of all processes per epoch. The default is the number of samples.
        seed: Seed of the orders, which must be the same in all processes.
        rank: Rank of this process.
        world_size: Number of processes that share an epoch.
        size: Number of samples in the dataset; None: that of the labels.

    Raises:
        ArgumentError: There are no labels, or not as many as samples, ``num_samples`` is less than 1, or ``rank`` is not
            from 0 to ``world_size - 1``.
        ArgumentTypeError: The labels are not one int per sample.
    """

    shuffle = True
    repeats_samples = True

    def __init__(
        self,
        labels: Sequence[int] | None = None,
        num_samples: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        size: int | None = None,
    ) -> None:
        if labels is None:
            raise ArgumentError(
                "ClassBalancedSampler needs the class of each sample, but the dataset has no attribute 'labels', a list "
                "of ints.",
                argument="labels",
            )
        classes = np.asarray(labels)
        if classes.ndim != 1 or classes.dtype.kind not in "iu":
            what = f"of dtype {classes.dtype} and shape {classes.shape}"
            raise ArgumentTypeError(f"labels must be one int per sample, not {what}.", argument="labels")
        if not len(classes):
            raise ArgumentError("labels must have at least one item.", argument="labels")
        if size is not None and len(classes) != size:
            raise ArgumentError(
                f"labels must be one int per sample: there are {len(classes)} labels and {size} samples.",
                argument="labels",
            )
        by_class = np.argsort(classes, kind="stable")
        _, starts = np.unique(classes[by_class], return_index=True)
        self._members = [torch.from_numpy(each) for each in np.split(by_class, starts[1:])]
        self.seed = seed
        self.rank = check_integer("rank", rank, 0, world_size - 1)
        self.world_size = world_size
        draws = len(classes) if num_samples is None else check_integer("num_samples", num_samples, 1)
        self.total = -(-draws // world_size) * world_size

    def __len__(self) -> int:
        return self.total // self.world_size

    def order(self, epoch: int) -> list[int]:
        """Return the indices that are drawn in an epoch by all processes."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch) >> 1)
        num_classes = len(self._members)
        rounds = torch.rand(-(-self.total // num_classes), num_classes, generator=generator).argsort(1)
        classes = rounds.flatten()[: self.total]
        counts = torch.bincount(classes, minlength=num_classes).tolist()
        order = torch.empty(self.total, dtype=torch.int64)
        positions = torch.split(classes.argsort(stable=True), counts)
        for members, count, where in zip(self._members, counts, positions, strict=True):
            times = -(-count // len(members))
            shuffled = [members[torch.randperm(len(members), generator=generator)] for _ in range(times)]
            if shuffled:
                order[where] = torch.cat(shuffled)[:count]
        return order.tolist()

    def draws(self, epoch: int, start: int = 0) -> Iterator[Draw]:
        """Yield the draws of this process in an epoch, without the first ``start`` draws."""
        order = self.order(epoch)
        first = self.rank + start * self.world_size
        for position in range(first, self.total, self.world_size):
            yield Draw(epoch, position, order[position])


@SAMPLERS.register_module()
class InfiniteSampler:
    """Draws all samples again and again without end, in a new order each time (for runs of iterations).

    There is no incomplete batch at the end of an order: a batch can have samples of two orders. It has no length,
    and everything is one epoch.

    Args:
        size: Number of samples in the dataset.
        shuffle: Whether to shuffle the samples.
        seed: Seed of the orders, which must be the same in all processes.
        rank: Rank of this process.
        world_size: Number of processes that share the samples.

    Raises:
        ArgumentError: ``size`` is less than 1, or ``rank`` is not from 0 to ``world_size - 1``.
    """

    is_infinite = True
    repeats_samples = True

    def __init__(
        self, size: int, shuffle: bool = True, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self._orders = EpochSampler(check_integer("size", size, 1), shuffle, seed)
        self.size = size
        self.shuffle = shuffle
        self.rank = check_integer("rank", rank, 0, world_size - 1)
        self.world_size = world_size

    def draws(self, epoch: int = 0, start: int = 0) -> Iterator[Draw]:
        """Yield the draws of this process without the first ``start`` draws. ``epoch`` has no effect.

        The epoch of a draw is the number of its order.
        """
        number, position = divmod(self.rank + start * self.world_size, self.size)
        while True:
            order = self._orders.order(number)
            for each in range(position, self.size, self.world_size):
                yield Draw(number, each, order[each])
            passed = position + len(range(position, self.size, self.world_size)) * self.world_size
            skipped, position = divmod(passed, self.size)
            number += skipped


def is_infinite(sampler: Any) -> bool:
    """Return whether a sampler draws without end."""
    return getattr(sampler, "is_infinite", False) is True


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
        """Return the number of batches in a whole epoch, even if the next pass starts later.

        Raises:
            TypeError: The sampler draws without end.
        """
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
