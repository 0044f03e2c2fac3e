from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.data.samplers import Draw, EpochBatchSampler, EpochSampler
from cfgtrain.errors import ArgumentError


def indices(sampler: EpochSampler, epoch: int = 0) -> list[int]:
    return [draw.index for draw in sampler.draws(epoch)]


def test_shuffled_order() -> None:
    """Each epoch is a different permutation, which depends only on the seed."""
    sampler = EpochSampler(20, seed=4)
    first, second = indices(sampler, 0), indices(sampler, 1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first == indices(EpochSampler(20, seed=4), 0)
    assert first != indices(EpochSampler(20, seed=5), 0)


def test_order_without_shuffling() -> None:
    """Without shuffling every epoch has the order of the dataset."""
    assert indices(EpochSampler(4, shuffle=False), 7) == [0, 1, 2, 3]


@pytest.mark.parametrize("start", range(0, 11, 5))
def test_start_skips_draws(start: int) -> None:
    """The draws from a start on are the last part of the draws of the epoch."""
    sampler = EpochSampler(10, seed=1)
    assert list(sampler.draws(2, start)) == list(sampler.draws(2))[start:]


def test_epoch_and_position() -> None:
    """Draws contain the epoch and the position in it."""
    assert list(EpochSampler(2, shuffle=False).draws(3)) == [Draw(3, 0, 0), Draw(3, 1, 1)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_processes_share_an_epoch(size: int, world_size: int) -> None:
    """The draws of all processes together are the order of the epoch, rounded up with its first samples."""
    samplers = [EpochSampler(size, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    draws = sorted((draw for s in samplers for draw in s.draws(1)), key=lambda draw: draw.position)
    order = EpochSampler(size, seed=2).order(1)
    total = -(-size // world_size) * world_size
    assert [draw.position for draw in draws] == list(range(total))
    assert [draw.index for draw in draws] == [order[i % size] for i in range(total)]
    assert [len(s) for s in samplers] == [total // world_size] * world_size


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
def test_without_rounding_up(world_size: int) -> None:
    """Without rounding up no sample is drawn twice, and the lengths are correct."""
    samplers = [
        EpochSampler(5, shuffle=False, rank=rank, world_size=world_size, round_up=False)
        for rank in range(world_size)
    ]
    assert sorted(index for s in samplers for index in indices(s)) == [0, 1, 2, 3, 4]
    assert [len(s) for s in samplers] == [len(indices(s)) for s in samplers]


@pytest.mark.parametrize("rank", [-1, 2])
def test_invalid_rank(rank: int) -> None:
    """A rank outside of the valid range raises an error."""
    with pytest.raises(ArgumentError, match=f"rank must be from 0 to 1, not {rank}"):
        EpochSampler(5, rank=rank, world_size=2)


@pytest.mark.parametrize(
    ("size", "batch", "drop_last", "sizes"),
    [
        (7, 3, False, [3, 3, 1]),
        (7, 3, True, [3, 3]),
        (6, 3, False, [3, 3]),
        (2, 3, True, []),
        (0, 3, False, []),
    ],
)
def test_batches(size: int, batch: int, drop_last: bool, sizes: list[int]) -> None:
    """Draws are grouped in batches; an incomplete last batch is kept or dropped, and the length is correct."""
    batches = EpochBatchSampler(EpochSampler(size), batch, drop_last)
    assert [len(each) for each in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("start", range(5))
def test_start_batch(start: int) -> None:
    """A pass can start at any batch of any epoch; the length is that of a whole epoch."""
    batches = EpochBatchSampler(EpochSampler(10, seed=1), 3)
    batches.set_epoch(2)
    whole: list[Any] = list(batches)
    batches.set_epoch(2, start)
    assert list(batches) == whole[start:]
    assert len(batches) == 4


def test_invalid_batch_size() -> None:
    """A batch size below one raises an error."""
    with pytest.raises(ArgumentError, match="at least 1, not 0"):
        EpochBatchSampler(EpochSampler(3), 0)
