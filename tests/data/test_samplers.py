from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest

from cfgtrain.data import build_dataloader
from cfgtrain.data.samplers import (
    ClassBalancedSampler,
    Draw,
    EpochBatchSampler,
    EpochSampler,
    InfiniteSampler,
)
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import SAMPLERS


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


@pytest.mark.parametrize("name", ["DefaultSampler", "DistributedSampler"])
def test_other_names_of_the_default_sampler(name: str) -> None:
    """The default sampler has the names of MMEngine and torch too."""
    assert SAMPLERS.get(name) is EpochSampler


LABELS = [7] * 20 + [-1] * 5 + [3] * 2


@pytest.mark.parametrize("labels", [LABELS, np.array(LABELS, np.int8), tuple(LABELS)])
def test_classes_are_drawn_equally_often(labels: Any) -> None:
    """In every round of three draws each of the three classes is drawn once, in an order that varies."""
    drawn = [LABELS[draw.index] for draw in ClassBalancedSampler(labels, seed=1).draws(0)]
    rounds = [tuple(drawn[at : at + 3]) for at in range(0, 27, 3)]
    assert all(sorted(each) == [-1, 3, 7] for each in rounds)
    assert len(set(rounds)) > 1


def test_samples_of_a_class_are_drawn_in_turn() -> None:
    """All samples of a class are drawn before one of them is repeated."""
    counts = Counter(draw.index for draw in ClassBalancedSampler(LABELS, num_samples=60).draws(2))
    assert [counts[index] for index in range(20)] == [1] * 20
    assert [counts[index] for index in range(20, 25)] == [4] * 5
    assert [counts[index] for index in range(25, 27)] == [10] * 2


def test_balanced_order_depends_on_seed_and_epoch() -> None:
    """The order is a function of seed and epoch, and starts at any draw."""
    sampler = ClassBalancedSampler(LABELS, seed=4)
    assert list(sampler.draws(3, 10)) == list(ClassBalancedSampler(LABELS, seed=4).draws(3))[10:]
    others = [sampler.draws(4), ClassBalancedSampler(LABELS, seed=5).draws(3)]
    assert all([draw.index for draw in other] != sampler.order(3) for other in others)


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_a_balanced_epoch(world_size: int) -> None:
    """All processes together draw one order, and each draws equally many samples."""
    samplers = [ClassBalancedSampler(LABELS, rank=rank, world_size=world_size) for rank in range(world_size)]
    draws = sorted((draw for each in samplers for draw in each.draws(1)), key=lambda draw: draw.position)
    assert [draw.index for draw in draws] == samplers[0].order(1)
    assert {len(list(each.draws(1))) for each in samplers} == {len(samplers[0])} == {-(-27 // world_size)}


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (None, ArgumentError, "the dataset has no attribute 'labels'"),
        ([], ArgumentTypeError, "one int per sample"),
        (np.zeros(0, np.int64), ArgumentError, "at least one item"),
        ([0.0, 1.0], ArgumentTypeError, "not of dtype float64"),
        ([[0, 1], [1, 0]], ArgumentTypeError, r"shape \(2, 2\)"),
        (["cat"], ArgumentTypeError, "one int per sample"),
    ],
)
def test_labels_that_cannot_be_balanced(labels: Any, error: type[Exception], message: str) -> None:
    """Labels that are not one int per sample are an error."""
    with pytest.raises(error, match=message):
        ClassBalancedSampler(labels)


def test_infinite_order() -> None:
    """All samples are drawn in one order after another, each a different permutation."""
    drawn = [draw.index for draw in islice(InfiniteSampler(5, seed=3).draws(), 50)]
    orders = [tuple(drawn[at : at + 5]) for at in range(0, 50, 5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(set(orders)) > 5
    assert [draw.index for draw in islice(InfiniteSampler(2, shuffle=False).draws(), 5)] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("start", [0, 1, 4, 5, 23])
@pytest.mark.parametrize("world_size", [1, 2, 7])
def test_infinite_draws_start_anywhere(start: int, world_size: int) -> None:
    """Each process draws its share of the endless order, from any draw on."""
    order = list(islice(InfiniteSampler(5, seed=1).draws(), 300))
    for rank in range(world_size):
        sampler = InfiniteSampler(5, seed=1, rank=rank, world_size=world_size)
        expected = order[rank::world_size][start : start + 10]
        assert list(islice(sampler.draws(0, start), 10)) == expected


def test_infinite_batches_are_complete() -> None:
    """A batch can have samples of two orders, and there is no length."""
    batches = EpochBatchSampler(InfiniteSampler(5), 4)
    assert {len(batch) for batch in islice(batches, 10)} == {4}
    with pytest.raises(TypeError):
        len(batches)


def test_as_many_labels_as_samples() -> None:
    """Labels of the config that are fewer or more than the samples are an error before the first draw."""
    dataset = list(range(6))
    loader = build_dataloader(dataset, 2, 0, sampler={"type": "ClassBalancedSampler", "labels": [0, 1] * 3})
    assert sorted(index for batch in loader for index in batch.tolist()) == dataset
    with pytest.raises(ArgumentError, match="there are 7 labels and 6 samples"):
        build_dataloader(dataset, 2, 0, sampler={"type": "ClassBalancedSampler", "labels": [0] * 7})
