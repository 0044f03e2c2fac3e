from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Squares

from cfgtrain.data import DATASETS, SAMPLERS, Digits, Draw, build_dataloader, build_dataset
from cfgtrain.data.builder import loader_settings
from cfgtrain.data.loader import iterate_epoch, num_batches
from cfgtrain.errors import ArgumentError, BuildError


def epoch_indices(loader: Any, epoch: int = 0) -> list[int]:
    loader.set_epoch(epoch)
    return [draw.index for batch in loader.batch_sampler for draw in batch]


def test_data_set_from_its_config() -> None:
    """A config names the data set and its arguments."""
    cfg = {"type": "Digits", "split": "val"}
    built = build_dataset(cfg, {"pipeline": []})
    assert isinstance(built, Digits)
    assert built.split == "val"
    assert cfg == {"type": "Digits", "split": "val"}


def test_own_data_set_can_be_registered() -> None:
    """A registered class is built by its name."""
    DATASETS.register_module(module=Squares)
    assert len(build_dataset({"type": "Squares", "size": 4})) == 4


def test_settings_of_a_part_win() -> None:
    """``data.<part>_dataloader`` overrides what ``data`` says for all parts."""
    data = {"samples_per_gpu": 4, "workers_per_gpu": 2, "train": {}, "val_dataloader": {"samples_per_gpu": 8}}
    assert loader_settings(data, "train") == {"samples_per_gpu": 4, "workers_per_gpu": 2}
    assert loader_settings(data, "val") == {"samples_per_gpu": 8, "workers_per_gpu": 2}


def test_loader_shuffles_by_seed_and_epoch() -> None:
    """Orders are those of the seed, and another one in each epoch; unshuffled there is one order."""
    one, same_seed, other = (build_dataloader(Squares(9), 2, seed=seed) for seed in (1, 1, 2))
    assert epoch_indices(one) == epoch_indices(same_seed)
    assert epoch_indices(one) != epoch_indices(other)
    assert epoch_indices(one, 0) != epoch_indices(one, 1)
    assert epoch_indices(build_dataloader(Squares(4), 3, shuffle=False)) == [0, 1, 2, 3]


def test_words_reach_the_loader() -> None:
    """Batch size, dropping, and what only matters with workers are passed on."""
    loader = build_dataloader(Squares(9), 2, 2, drop_last=True, prefetch_factor=5, persistent_workers=False)
    assert (len(loader), loader.num_workers, loader.prefetch_factor) == (4, 2, 5)
    assert loader.persistent_workers is False
    assert build_dataloader(Squares(9), 2, persistent_workers=True).persistent_workers is False


def test_processes_share_the_data() -> None:
    """Each process loads its share."""
    shares = [epoch_indices(build_dataloader(Squares(6), 2, seed=1, rank=r, world_size=2)) for r in (0, 1)]
    assert sorted(shares[0] + shares[1]) == list(range(6))
    assert len(shares[0]) == 3


class Backwards:
    """A sampler that knows its size and nothing else."""

    def __init__(self, size: int, step: int = 1) -> None:
        self.order = list(range(size))[::-step]

    def __len__(self) -> int:
        return len(self.order)

    def draws(self, epoch: int, start: int = 0) -> Any:
        for position, index in list(enumerate(self.order))[start:]:
            yield Draw(epoch, position, index)


def test_sampler_can_be_replaced() -> None:
    """Another sampler is built from its config and given only what it takes."""
    SAMPLERS.register_module(module=Backwards)
    assert epoch_indices(build_dataloader(Squares(5), 2, sampler={"type": "Backwards"})) == [4, 3, 2, 1, 0]
    assert epoch_indices(build_dataloader(Squares(5), 2, sampler={"type": "Backwards", "step": 2})) == [
        4,
        2,
        0,
    ]


def test_wrong_sampler_argument() -> None:
    """An argument that the sampler does not take is an error."""
    with pytest.raises(BuildError, match=r"no argument 'shufle'. Did you mean 'shuffle'"):
        build_dataloader(Squares(5), sampler={"type": "EpochSampler", "shufle": True})


class Stream(torch.utils.data.IterableDataset[int]):
    """Nine numbers, divided over the workers, that do not tell how many they are."""

    def __iter__(self) -> Any:
        worker = torch.utils.data.get_worker_info()
        return iter(range(9)[worker.id :: worker.num_workers] if worker else range(9))


@pytest.mark.parametrize("workers", [0, 1])
def test_stream_keeps_its_order(workers: int) -> None:
    """A data set that is a stream is read in its own order, from any batch on, without touching the random state."""
    loader = build_dataloader(Stream(), 4, workers, seed=1)
    before = torch.get_rng_state()
    assert [batch.tolist() for batch in iterate_epoch(loader, 0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert [batch.tolist() for batch in iterate_epoch(loader, 1, 2)] == [[8]]
    assert torch.equal(before, torch.get_rng_state())
    assert num_batches(loader) is None
    loader.close()


@pytest.mark.parametrize("words", [{"sampler": {"type": "EpochSampler"}}, {"world_size": 2}])
def test_stream_cannot_be_ordered_or_shared(words: dict[str, Any]) -> None:
    """A sampler for a stream, or several processes that would all read the same, is an error that says so."""
    with pytest.raises(ArgumentError, match="Stream is a stream, which no sampler can order"):
        build_dataloader(Stream(), **words)
