from __future__ import annotations

import multiprocessing
import random
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CROP, TO_TENSORS, Squares, same, squares_loader
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from cfgtrain.data.loader import EpochDataLoader, SeededDataset, StreamLoader, iterate_epoch
from cfgtrain.data.samplers import Draw, EpochSampler
from cfgtrain.errors import CheckpointError, SampleError
from cfgtrain.random_state import RandomState


class Noise:
    """Samples that are nothing but random numbers, from all three generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def noise_loader(seed: int = 0, **kwargs: Any) -> EpochDataLoader:
    return EpochDataLoader(Noise(), EpochSampler(8, seed=seed), 3, seed=seed, **kwargs)


def epoch(loader: EpochDataLoader, number: int, start: int = 0) -> list[Any]:
    return list(iterate_epoch(loader, number, start))


def test_workers_do_not_change_a_single_bit() -> None:
    """Batches, augmentation included, are the same whether two workers load them or none."""
    alone, helped = squares_loader(), squares_loader(workers=2)
    for number in (0, 1):
        assert same(epoch(alone, number), epoch(helped, number))


@pytest.mark.parametrize("workers", [0, 2])
def test_all_generators_are_seeded_per_sample(workers: int) -> None:
    """Python's, NumPy's and torch's numbers of a sample depend on seed, epoch and position alone."""
    assert same(epoch(noise_loader(num_workers=workers), 1), epoch(noise_loader(), 1))


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_differs_between_epochs_and_seeds(workers: int) -> None:
    """Another epoch or another seed gives other random numbers."""
    loader = noise_loader(num_workers=workers)
    first = torch.cat([batch[1] for batch in epoch(loader, 0)])
    second = torch.cat([batch[1] for batch in epoch(loader, 1)])
    reseeded = torch.cat([batch[1] for batch in epoch(noise_loader(seed=1), 0)])
    assert len({*first.tolist(), *second.tolist(), *reseeded.tolist()}) == 24


@pytest.mark.parametrize("start", range(6))
def test_epoch_can_begin_at_any_batch(start: int) -> None:
    """The batches from ``start`` on are those of the whole epoch."""
    loader = squares_loader()
    whole = epoch(loader, 4)
    assert same(epoch(loader, 4, start), whole[start:])


@pytest.mark.parametrize("start", range(6))
def test_nothing_before_the_start_is_read(start: int) -> None:
    """Beginning at a later batch reads no sample of the earlier ones."""
    loader = squares_loader()
    epoch(loader, 0, start)
    assert len(loader.dataset.read) == max(23 - 5 * start, 0)


def test_begun_epoch_is_whole_unless_it_is_told_otherwise() -> None:
    """After an epoch that began in the middle, the next one begins at its first batch."""
    loader = squares_loader()
    assert [len(epoch(loader, 0, 3)), len(epoch(loader, 1))] == [2, 5]


def test_closed_loader_has_no_workers_and_can_begin_again() -> None:
    """``close`` ends the workers, twice without harm, and a new pass starts new ones."""
    loader = squares_loader(workers=2)
    first = epoch(loader, 0)
    assert multiprocessing.active_children()
    for _ in range(2):
        loader.close()
        assert not multiprocessing.active_children()
    assert same(epoch(loader, 0), first)
    loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_passes_do_not_disturb_each_other(workers: int) -> None:
    """A pass that begins while another one is open, of another epoch, leaves that where it is."""
    expected = epoch(squares_loader(), 1)
    loader = squares_loader(workers)
    first = iterate_epoch(loader, 1, 1)
    begun = [next(first), next(first)]
    assert len(epoch(loader, 0)) == 5
    assert same([*begun, *first], expected[1:])
    assert same(epoch(loader, 1), expected)
    loader.close()


def test_length_is_that_of_a_whole_epoch() -> None:
    """``len()`` does not depend on where the next pass begins."""
    loader = squares_loader()
    loader.set_epoch(2, start_batch=4)
    assert len(loader) == 5


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_random_state_alone(workers: int) -> None:
    """The generators of the training are where they were after an epoch was loaded."""
    loader = noise_loader(num_workers=workers)
    before = RandomState.capture()
    epoch(loader, 0)
    assert same(RandomState.capture(), before)


def test_random_state_is_back_between_batches() -> None:
    """What the training draws between two batches is not touched by loading them."""
    torch.manual_seed(5)
    expected = [torch.rand(()).item() for _ in range(3)]
    torch.manual_seed(5)
    assert [torch.rand(()).item() for _ in iterate_epoch(noise_loader(), 0)] == expected


def test_global_random_state_does_not_reach_the_samples() -> None:
    """Samples do not depend on how far the training's generators have come."""
    first = epoch(noise_loader(), 0)
    torch.rand(7)
    random.random()
    np.random.rand()
    assert same(epoch(noise_loader(), 0), first)


def test_index_drawn_twice_is_augmented_twice() -> None:
    """Two draws of one index in one epoch differ, for they stand at two positions."""
    samples = SeededDataset(Noise(), seed=0)
    once, twice = samples[Draw(0, 0, 4)], samples[Draw(0, 5, 4)]
    assert once[0] == twice[0]
    assert set(once[1:]).isdisjoint(twice[1:])


def test_sample_does_not_depend_on_its_batch() -> None:
    """A sample is the same whether it is loaded alone or after others."""
    samples = SeededDataset(Noise(), seed=0)
    assert samples.__getitems__([Draw(1, 2, 3), Draw(1, 3, 6)])[1] == samples[Draw(1, 3, 6)]


def test_failing_sample_puts_the_random_state_back() -> None:
    """An exception in a data set does not leave the generators at the sample's state."""
    before = RandomState.capture()
    with pytest.raises(SampleError):
        SeededDataset(Squares(4), seed=0)[Draw(0, 0, 9)]
    assert same(RandomState.capture(), before)


def test_attributes_of_the_data_set_shine_through() -> None:
    """What a data set has can be reached through the loader's data set."""
    loader = squares_loader()
    assert loader.dataset.labels == Squares().labels
    assert loader.dataset.evaluate(np.eye(3)[Squares().labels]) == {"acc": 1.0}
    with pytest.raises(AttributeError):
        _ = loader.dataset.nothing


def test_last_batch_may_be_smaller_or_left_out() -> None:
    """23 samples in fives are five batches, or four with ``drop_last``."""
    dataset = Squares(pipeline=[CROP, *TO_TENSORS])
    sizes = {
        drop: [
            len(batch["gt_label"]) for batch in EpochDataLoader(dataset, EpochSampler(23), 5, drop_last=drop)
        ]
        for drop in (False, True)
    }
    assert sizes == {False: [5, 5, 5, 5, 3], True: [5, 5, 5, 5]}


class TellingSampler(RandomSampler):
    """A sampler of someone else's that wants to know the epoch."""

    def __init__(self) -> None:
        super().__init__(range(6))
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


@pytest.mark.parametrize("within_batch_sampler", [False, True])
def test_other_loaders_are_told_the_epoch(within_batch_sampler: bool) -> None:
    """A foreign sampler's ``set_epoch`` is called, also where a batch sampler holds it."""
    sampler = TellingSampler()
    if within_batch_sampler:
        loader: Any = DataLoader(range(6), batch_sampler=BatchSampler(sampler, 2, drop_last=False))
    else:
        loader = DataLoader(range(6), sampler=sampler, batch_size=2)
    iterate_epoch(loader, 4)
    assert sampler.epochs == [4]


def test_batches_of_other_loaders_are_passed_over() -> None:
    """A plain list of batches can be begun in the middle too."""
    assert list(iterate_epoch(["a", "b", "c"], 0, 2)) == ["c"]


class NoiseStream(IterableDataset[Any]):
    """Six numbers that a transform draws from all three global generators."""

    def __iter__(self) -> Any:
        for _ in range(6):
            yield random.random() + np.random.random() + torch.rand(()).item()


@pytest.mark.parametrize("workers", [0, 1])
def test_streams_draw_from_a_state_of_their_own(workers: int) -> None:
    """What a stream draws is a function of seed and epoch, from any batch on, and the training does not notice."""

    def drawn(number: int, start: int = 0, seed: int = 1) -> Any:
        loader = StreamLoader(NoiseStream(), 2, seed, num_workers=workers)
        return [batch.tolist() for batch in iterate_epoch(loader, number, start)]

    torch.manual_seed(0)
    before = RandomState.capture()
    first = drawn(0)
    assert same(RandomState.capture(), before)
    torch.manual_seed(7)
    assert drawn(0) == first
    assert drawn(0, start=2) == first[2:]
    assert len({number for batch in [*first, *drawn(1), *drawn(0, seed=2)] for number in batch}) == 18


def test_passing_over_batches_of_other_loaders_leaves_the_random_state_alone() -> None:
    """Neither what a loader draws when it begins nor what its passed batches draw is missing afterwards."""

    def noisy() -> Any:
        return DataLoader([0, 1, 2, 3], collate_fn=lambda batch: torch.rand(()).item())

    torch.manual_seed(3)
    batches = iterate_epoch(noisy(), 0)
    begun = [next(batches), next(batches)]
    state = torch.get_rng_state()
    rest = [*batches]
    torch.set_rng_state(state)
    assert [*iterate_epoch(noisy(), 0, 2)] == rest
    assert len(begun + rest) == 4


def test_epoch_that_is_over_before_its_place_is_refused() -> None:
    """Data that have become fewer than were read is an error with both numbers; exactly as many are not."""
    assert [*iterate_epoch(["a", "b"], 0, 2)] == []
    with pytest.raises(CheckpointError, match="after 3 batches of its epoch, and now there are only 2"):
        iterate_epoch(["a", "b"], 0, 3)
