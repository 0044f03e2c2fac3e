from __future__ import annotations

import multiprocessing
import random
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CROP, TO_TENSORS, Squares, same, squares_loader
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from cfgtrain.data.loader import EpochDataLoader, StreamLoader, iterate_epoch
from cfgtrain.data.samplers import Draw, EpochSampler
from cfgtrain.data.seeded import SeededDataset
from cfgtrain.errors import CheckpointError, SampleError
from cfgtrain.random_state import RandomState


class Noise:
    """A dataset of random numbers from all three generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def noise_loader(seed: int = 0, **kwargs: Any) -> EpochDataLoader:
    return EpochDataLoader(Noise(), EpochSampler(8, seed=seed), 3, seed=seed, **kwargs)


def epoch(loader: EpochDataLoader, number: int, start: int = 0) -> list[Any]:
    return list(iterate_epoch(loader, number, start))


def test_batches_do_not_depend_on_workers() -> None:
    """Batches with random augmentation are bit-identical with two workers and with none."""
    alone, helped = squares_loader(), squares_loader(workers=2)
    for number in (0, 1):
        assert same(epoch(alone, number), epoch(helped, number))


@pytest.mark.parametrize("workers", [0, 2])
def test_all_generators_are_seeded_per_sample(workers: int) -> None:
    """The numbers of Python, NumPy and torch for a sample depend only on seed, epoch and position."""
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
def test_start_batch(start: int) -> None:
    """The batches from ``start`` on are those of the whole epoch."""
    loader = squares_loader()
    whole = epoch(loader, 4)
    assert same(epoch(loader, 4, start), whole[start:])


@pytest.mark.parametrize("start", range(6))
def test_skipped_samples_are_not_loaded(start: int) -> None:
    """Starting at a later batch loads no sample of the skipped batches."""
    loader = squares_loader()
    epoch(loader, 0, start)
    assert len(loader.dataset.read) == max(23 - 5 * start, 0)


def test_start_batch_applies_to_one_epoch() -> None:
    """After an epoch that started at a later batch, the next one starts at its first batch."""
    loader = squares_loader()
    assert [len(epoch(loader, 0, 3)), len(epoch(loader, 1))] == [2, 5]


def test_close() -> None:
    """``close`` stops the workers and can be called twice; a new pass starts new workers."""
    others = set(multiprocessing.active_children())
    loader = squares_loader(workers=2)
    first = epoch(loader, 0)
    assert len(set(multiprocessing.active_children()) - others) == 2
    for _ in range(2):
        loader.close()
        assert not set(multiprocessing.active_children()) - others
    assert same(epoch(loader, 0), first)
    loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_concurrent_passes(workers: int) -> None:
    """A pass over another epoch does not affect a pass that is still running."""
    expected = epoch(squares_loader(), 1)
    loader = squares_loader(workers)
    first = iterate_epoch(loader, 1, 1)
    begun = [next(first), next(first)]
    assert len(epoch(loader, 0)) == 5
    assert same([*begun, *first], expected[1:])
    assert same(epoch(loader, 1), expected)
    loader.close()


def test_length() -> None:
    """``len()`` does not depend on the start of the next pass."""
    loader = squares_loader()
    loader.set_epoch(2, start_batch=4)
    assert len(loader) == 5


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_keeps_global_random_state(workers: int) -> None:
    """The global random state is the same after an epoch was loaded."""
    loader = noise_loader(num_workers=workers)
    before = RandomState.capture()
    epoch(loader, 0)
    assert same(RandomState.capture(), before)


def test_random_state_between_batches() -> None:
    """Random numbers drawn between two batches are not affected by loading them."""
    torch.manual_seed(5)
    expected = [torch.rand(()).item() for _ in range(3)]
    torch.manual_seed(5)
    assert [torch.rand(()).item() for _ in iterate_epoch(noise_loader(), 0)] == expected


def test_samples_do_not_depend_on_global_random_state() -> None:
    """Samples do not depend on the global random state."""
    first = epoch(noise_loader(), 0)
    torch.rand(7)
    random.random()
    np.random.rand()
    assert same(epoch(noise_loader(), 0), first)


def test_index_drawn_twice_is_augmented_twice() -> None:
    """Two draws of one index in an epoch differ, since they have different positions."""
    samples = SeededDataset(Noise(), seed=0)
    once, twice = samples[Draw(0, 0, 4)], samples[Draw(0, 5, 4)]
    assert once[0] == twice[0]
    assert set(once[1:]).isdisjoint(twice[1:])


def test_sample_does_not_depend_on_its_batch() -> None:
    """A sample is the same whether it is loaded alone or after others."""
    samples = SeededDataset(Noise(), seed=0)
    assert samples.__getitems__([Draw(1, 2, 3), Draw(1, 3, 6)])[1] == samples[Draw(1, 3, 6)]


def test_failing_sample_restores_random_state() -> None:
    """If a sample raises, the global random state is restored."""
    before = RandomState.capture()
    with pytest.raises(SampleError):
        SeededDataset(Squares(4), seed=0)[Draw(0, 0, 9)]
    assert same(RandomState.capture(), before)


def test_attributes_of_wrapped_dataset() -> None:
    """The attributes of the dataset are available on the loader's dataset."""
    loader = squares_loader()
    assert loader.dataset.labels == Squares().labels
    assert loader.dataset.evaluate(np.eye(3)[Squares().labels]) == {"acc": 1.0}
    with pytest.raises(AttributeError):
        _ = loader.dataset.nothing


def test_drop_last() -> None:
    """23 samples in batches of 5 are five batches, or four with ``drop_last``."""
    dataset = Squares(pipeline=[CROP, *TO_TENSORS])
    sizes = {
        drop: [
            len(batch["gt_label"]) for batch in EpochDataLoader(dataset, EpochSampler(23), 5, drop_last=drop)
        ]
        for drop in (False, True)
    }
    assert sizes == {False: [5, 5, 5, 5, 3], True: [5, 5, 5, 5]}


class RecordingSampler(RandomSampler):
    """A third-party sampler that records the epochs it is set to."""

    def __init__(self) -> None:
        super().__init__(range(6))
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


@pytest.mark.parametrize("within_batch_sampler", [False, True])
def test_set_epoch_of_other_loaders(within_batch_sampler: bool) -> None:
    """The ``set_epoch`` of a third-party sampler is called, also inside a batch sampler."""
    sampler = RecordingSampler()
    if within_batch_sampler:
        loader: Any = DataLoader(range(6), batch_sampler=BatchSampler(sampler, 2, drop_last=False))
    else:
        loader = DataLoader(range(6), sampler=sampler, batch_size=2)
    iterate_epoch(loader, 4)
    assert sampler.epochs == [4]


def test_start_batch_of_other_loaders() -> None:
    """A list of batches can be started at a later batch, too."""
    assert list(iterate_epoch(["a", "b", "c"], 0, 2)) == ["c"]


class NoiseStream(IterableDataset[Any]):
    """A stream of six numbers, drawn from all three global generators."""

    def __iter__(self) -> Any:
        for _ in range(6):
            yield random.random() + np.random.random() + torch.rand(()).item()


@pytest.mark.parametrize("workers", [0, 1])
def test_streams_have_their_own_random_state(workers: int) -> None:
    """What a stream draws is a function of seed and epoch, and the global state is not changed."""

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


def test_skipping_batches_keeps_random_state() -> None:
    """Neither starting a loader nor loading skipped batches changes the global random state."""

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


def test_too_few_batches_to_resume() -> None:
    """If there are fewer batches than were completed, an error contains both numbers; equally many are accepted."""
    assert [*iterate_epoch(["a", "b"], 0, 2)] == []
    with pytest.raises(CheckpointError, match="after 3 batches of its epoch, but the epoch now has only 2"):
        iterate_epoch(["a", "b"], 0, 3)
