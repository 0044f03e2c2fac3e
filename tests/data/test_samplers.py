from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.data.samplers import Draw, EpochBatchSampler, EpochSampler
from cfgtrain.errors import ArgumentError


def indices(sampler: EpochSampler, epoch: int = 0) -> list[int]:
    return [draw.index for draw in sampler.draws(epoch)]


def test_every_sample_once_in_its_own_order() -> None:
    """Each epoch is a permutation of its own, and that of a seed is always the same."""
    sampler = EpochSampler(20, seed=4)
    first, second = indices(sampler, 0), indices(sampler, 1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first == indices(EpochSampler(20, seed=4), 0)
    assert first != indices(EpochSampler(20, seed=5), 0)


def test_order_without_shuffling() -> None:
    """Unshuffled, every epoch is in the order of the data set."""
    assert indices(EpochSampler(4, shuffle=False), 7) == [0, 1, 2, 3]


@pytest.mark.parametrize("start", range(0, 11, 5))
def test_start_leaves_out_the_first_draws(start: int) -> None:
    """Draws from a start on are the tail of the epoch's draws."""
    sampler = EpochSampler(10, seed=1)
    assert list(sampler.draws(2, start)) == list(sampler.draws(2))[start:]


def test_draw_knows_epoch_and_position() -> None:
    """Positions count through the epoch."""
    assert list(EpochSampler(2, shuffle=False).draws(3)) == [Draw(3, 0, 0), Draw(3, 1, 1)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_processes_share_an_epoch(size: int, world_size: int) -> None:
    """Dealt out in turn, the draws of all processes are the epoch's order, filled up from its beginning."""
    samplers = [EpochSampler(size, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    draws = sorted((draw for s in samplers for draw in s.draws(1)), key=lambda draw: draw.position)
    order = EpochSampler(size, seed=2).order(1)
    total = -(-size // world_size) * world_size
    assert [draw.position for draw in draws] == list(range(total))
    assert [draw.index for draw in draws] == [order[i % size] for i in range(total)]
    assert [len(s) for s in samplers] == [total // world_size] * world_size


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
def test_evaluation_counts_every_sample_once(world_size: int) -> None:
    """Without rounding up no sample is drawn twice, and lengths are what is drawn."""
    samplers = [
        EpochSampler(5, shuffle=False, rank=rank, world_size=world_size, round_up=False)
        for rank in range(world_size)
    ]
    assert sorted(index for s in samplers for index in indices(s)) == [0, 1, 2, 3, 4]
    assert [len(s) for s in samplers] == [len(indices(s)) for s in samplers]


@pytest.mark.parametrize("rank", [-1, 2])
def test_rank_is_below_world_size(rank: int) -> None:
    """A rank outside the processes is refused."""
    with pytest.raises(ArgumentError, match=f"from 0 to world_size - 1 = 1, not {rank}"):
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
    """Draws come in batches; a smaller last one is kept or dropped, and the length says so."""
    batches = EpochBatchSampler(EpochSampler(size), batch, drop_last)
    assert [len(each) for each in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("start", range(5))
def test_batches_from_a_start(start: int) -> None:
    """The next pass can begin at any batch of any epoch; the length stays that of a whole one."""
    batches = EpochBatchSampler(EpochSampler(10, seed=1), 3)
    batches.set_epoch(2)
    whole: list[Any] = list(batches)
    batches.set_epoch(2, start)
    assert list(batches) == whole[start:]
    assert len(batches) == 4


def test_batch_has_a_sample() -> None:
    """A batch size below one is refused."""
    with pytest.raises(ArgumentError, match="at least one sample, not 0"):
        EpochBatchSampler(EpochSampler(3), 0)
