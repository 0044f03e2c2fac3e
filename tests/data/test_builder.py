from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Squares, same

from cfgtrain.data import DATASETS, SAMPLERS, Digits, Draw, build_dataloader, build_dataset
from cfgtrain.data.builder import loader_settings, metainfo_of, pipeline_registry
from cfgtrain.data.loader import epoch_fingerprint, iterate_epoch, num_batches
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BuildError, UnknownNameError
from cfgtrain.random_state import RandomState
from cfgtrain.registries import PIPELINES
from cfgtrain.registry.registry import Registry


def epoch_indices(loader: Any, epoch: int = 0) -> list[int]:
    loader.set_epoch(epoch)
    return [draw.index for batch in loader.batch_sampler for draw in batch]


def test_build_dataset() -> None:
    """A config contains the type of the dataset and its arguments, and is not changed."""
    cfg = {"type": "Digits", "split": "val"}
    built = build_dataset(cfg, {"pipeline": []})
    assert isinstance(built, Digits)
    assert built.split == "val"
    assert cfg == {"type": "Digits", "split": "val"}


def test_metainfo() -> None:
    """The metainfo of the training dataset is passed to the datasets that have an argument for it."""

    class Named(Squares):
        def __init__(self, metainfo: dict[str, Any] | None = None) -> None:
            super().__init__()
            self.metainfo = metainfo or {"classes": ["cat", "dog"]}

    train = build_dataset({"type": Named})
    other = build_dataset({"type": Named}, metainfo={"classes": ["dog"]})
    assert metainfo_of(train) == {"classes": ["cat", "dog"]}
    assert metainfo_of(other) == {"classes": ["dog"]}
    assert metainfo_of(build_dataset({"type": "Digits"}, metainfo={"classes": ["dog"]})) == {
        "classes": list("0123456789")
    }
    assert metainfo_of(object()) == {}


@pytest.mark.parametrize("is_alias", [False, True])
def test_wrappers_of_projects(is_alias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the alias of MMCV they get datasets, unless they build them themselves."""
    monkeypatch.setattr(DATASETS, "projects_first", is_alias)

    class Wrapper:
        def __init__(self, dataset: Any, times: int = 1, datasets: Any = ()) -> None:
            self.dataset, self.datasets = dataset, datasets

    class Building(Wrapper):
        def __init__(self, dataset: Any, datasets: Any = ()) -> None:
            super().__init__(build_dataset(dataset), datasets=[DATASETS.build(each) for each in datasets])

    inner = {"type": "Digits", "split": "val"}
    cfg = {"type": Wrapper, "times": 2, "dataset": inner, "datasets": [inner, inner]}
    built = build_dataset(cfg)
    kind = Digits if is_alias else dict
    assert [type(each) for each in (built.dataset, *built.datasets)] == [kind] * 3
    assert cfg == {"type": Wrapper, "times": 2, "dataset": inner, "datasets": [inner, inner]}
    built = build_dataset({"type": Building, "dataset": inner, "datasets": [inner]})
    assert [type(each) for each in (built.dataset, *built.datasets)] == [Digits] * 2
    assert build_dataset({"type": Wrapper, "dataset": "name"}).dataset == "name"
    assert len(build_dataset({"type": "RepeatDataset", "dataset": inner, "times": 2})) == 2 * len(
        built.dataset
    )


def test_the_registry_of_a_pipeline() -> None:
    """A dataset of a project has the transforms of the project, if there is one registry of them."""
    own = Registry("dataset", scope="shop")
    own.register_module(module=Squares)
    assert pipeline_registry({"type": "Squares"}) is None
    transforms = Registry("pipelines", scope="shop")
    assert pipeline_registry({"type": "Squares"}) is None  # it is empty
    transforms.register_module("Fold", module=Squares)
    for kind in ("Squares", "shop.Squares"):
        assert pipeline_registry({"type": kind}) is transforms
    for kind in ("Digits", "unknown.Name", Squares):
        assert pipeline_registry({"type": kind}) is PIPELINES
    child = Registry("dataset", scope="mill", parent=DATASETS)
    child.register_module("Cubes", module=Squares)
    of_mill = Registry("pipeline", scope="mill", parent=PIPELINES)
    of_mill.register_module("Fold", module=Squares)
    for kind in ("Cubes", "mill.Cubes"):
        assert pipeline_registry({"type": kind}) is of_mill


def test_custom_dataset() -> None:
    """A registered class is built by its name."""
    DATASETS.register_module(module=Squares)
    assert len(build_dataset({"type": "Squares", "size": 4})) == 4


def test_loader_settings() -> None:
    """``data.<part>_dataloader`` overrides the settings in ``data``."""
    data = {"samples_per_gpu": 4, "workers_per_gpu": 2, "train": {}, "val_dataloader": {"samples_per_gpu": 8}}
    assert loader_settings(data, "train") == {"samples_per_gpu": 4, "workers_per_gpu": 2}
    assert loader_settings(data, "val") == {"samples_per_gpu": 8, "workers_per_gpu": 2}


def test_loader_settings_have_two_names() -> None:
    """A setting has the name of MMCV or that of PyTorch, which may differ between ``data`` and one dataset."""
    data = {"batch_size": 4, "workers_per_gpu": 2, "val_dataloader": {"samples_per_gpu": 8, "num_workers": 0}}
    assert loader_settings(data, "train") == {"samples_per_gpu": 4, "workers_per_gpu": 2}
    assert loader_settings(data, "val") == {"samples_per_gpu": 8, "workers_per_gpu": 0}
    with pytest.raises(ArgumentError, match="batch_size and samples_per_gpu are the same setting"):
        loader_settings({"batch_size": 4, "samples_per_gpu": 4}, "train")


@pytest.mark.parametrize(
    ("setting", "device", "pinned"),
    [
        (None, "cuda:1", True),
        (None, "cpu", False),
        (None, None, False),
        (True, "cpu", True),
        (False, "cuda", False),
    ],
)
def test_pinning_by_device(setting: bool | None, device: str | None, pinned: bool) -> None:
    """Batches are pinned by default if the device is CUDA."""
    assert build_dataloader(Squares(4), pin_memory=setting, device=device).pin_memory is pinned


def double(batch: list[Any]) -> Any:
    return torch.tensor([2 * value for value in batch])


def chunks_of(batch: list[Any], samples_per_gpu: int = 1) -> Any:
    return batch, samples_per_gpu


class Scale:
    """A collate function with state."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, batch: list[Any]) -> Any:
        return [self.factor * value for value in batch]


@pytest.mark.parametrize(
    ("collate_fn", "batch"),
    [
        (double, [0, 2, 4]),
        ({"type": double}, [0, 2, 4]),
        ("torch.utils.data.default_collate", [0, 1, 2]),
        ("collate", [0, 1, 2]),
        ({"type": Scale, "factor": 5}, [0, 5, 10]),
        (chunks_of, ([0, 1, 2], 3)),
        ({"type": chunks_of, "samples_per_gpu": 2}, ([0, 1, 2], 2)),
    ],
)
def test_collate_functions(collate_fn: Any, batch: Any) -> None:
    """A collate function is a name, an import path, a function, or a dict with arguments; it may get the batch size."""
    (got,) = build_dataloader([0, 1, 2], 3, shuffle=False, collate_fn=collate_fn)
    assert (got.tolist() if isinstance(got, torch.Tensor) else got) == batch


def test_unknown_collate_function() -> None:
    """A misspelt name is an error with a suggestion."""
    with pytest.raises(UnknownNameError, match="Did you mean 'collate'"):
        build_dataloader([0], collate_fn="colate")


def noisy(batch: list[Any]) -> Any:
    return torch.tensor(batch) + torch.rand(()) + random.random() + np.random.rand()


def test_random_collate_functions_are_reproducible() -> None:
    """What a collate function draws depends on seed, epoch and batch, and changes no global state."""
    before = RandomState.capture()
    loaders = [build_dataloader(list(range(9)), 2, workers, seed=3, collate_fn=noisy) for workers in (0, 2)]
    first, other = ([list(iterate_epoch(loader, number)) for number in (0, 1)] for loader in loaders)
    assert same(first, other)
    assert same(list(iterate_epoch(loaders[0], 1, 3)), first[1][3:])
    assert len({float(batch[0]) % 1 for number in first for batch in number}) == 10
    assert same(RandomState.capture(), before)
    for loader in loaders:
        loader.close()


class Labelled(Squares):
    """A dataset that counts how often its labels are read."""

    read_labels = 0

    @property
    def labels(self) -> Any:
        self.read_labels += 1
        return [0] * 20 + [1, 1, 2]

    @labels.setter
    def labels(self, value: Any) -> None:
        self.size = len(value)

    def __len__(self) -> int:
        return 23


def test_class_balanced_sampler() -> None:
    """The sampler gets the labels of the dataset, which no other sampler reads."""
    dataset = Labelled()
    assert len(build_dataloader(dataset, 5)) == 5
    assert dataset.read_labels == 0
    drawn = epoch_indices(build_dataloader(dataset, 5, sampler={"type": "ClassBalancedSampler"}))
    assert dataset.read_labels == 1
    counts = [
        sum(1 for index in drawn if index in range(*bounds)) for bounds in ((0, 20), (20, 22), (22, 23))
    ]
    assert sorted(counts) == [7, 8, 8]


def test_class_balanced_sampler_without_labels() -> None:
    """A dataset without labels is an error."""
    with pytest.raises(ArgumentError, match="the dataset has no attribute 'labels'"):
        build_dataloader([0, 1], sampler={"type": "ClassBalancedSampler"})


def test_infinite_sampler() -> None:
    """A loader with the infinite sampler has no length, and resumes at any batch."""
    loader = build_dataloader(list(range(5)), 3, seed=1, sampler={"type": "InfiniteSampler"})
    assert num_batches(loader) is None
    whole = list(islice(iterate_epoch(loader, 0), 20))
    assert same(list(islice(iterate_epoch(loader, 0, 7), 13)), whole[7:])
    assert epoch_fingerprint(loader) == "5 samples without end in batches of 3, shuffled with seed 1"


def test_shuffling() -> None:
    """The order depends on the seed and the epoch; without shuffling there is one order."""
    one, same_seed, other = (build_dataloader(Squares(9), 2, seed=seed) for seed in (1, 1, 2))
    assert epoch_indices(one) == epoch_indices(same_seed)
    assert epoch_indices(one) != epoch_indices(other)
    assert epoch_indices(one, 0) != epoch_indices(one, 1)
    assert epoch_indices(build_dataloader(Squares(4), 3, shuffle=False)) == [0, 1, 2, 3]


def test_arguments_are_passed_to_loader() -> None:
    """Batch size, drop_last and the options for workers are passed to the loader."""
    loader = build_dataloader(Squares(9), 2, 2, drop_last=True, prefetch_factor=5, persistent_workers=False)
    assert (len(loader), loader.num_workers, loader.prefetch_factor) == (4, 2, 5)
    assert loader.persistent_workers is False
    assert build_dataloader(Squares(9), 2, persistent_workers=True).persistent_workers is False


def test_processes_share_the_data() -> None:
    """Each process loads its share."""
    shares = [epoch_indices(build_dataloader(Squares(6), 2, seed=1, rank=r, world_size=2)) for r in (0, 1)]
    assert sorted(shares[0] + shares[1]) == list(range(6))
    assert len(shares[0]) == 3


class BackwardsSampler:
    """A sampler that only takes the size."""

    def __init__(self, size: int, step: int = 1) -> None:
        self.order = list(range(size))[::-step]

    def __len__(self) -> int:
        return len(self.order)

    def draws(self, epoch: int, start: int = 0) -> Any:
        for position, index in list(enumerate(self.order))[start:]:
            yield Draw(epoch, position, index)


def test_custom_sampler() -> None:
    """A custom sampler is built from its config, with the arguments that it accepts."""
    SAMPLERS.register_module(module=BackwardsSampler)
    assert epoch_indices(build_dataloader(Squares(5), 2, sampler={"type": "BackwardsSampler"})) == [
        4,
        3,
        2,
        1,
        0,
    ]
    assert epoch_indices(
        build_dataloader(Squares(5), 2, sampler={"type": "BackwardsSampler", "step": 2})
    ) == [
        4,
        2,
        0,
    ]


def test_invalid_sampler_argument() -> None:
    """An argument that the sampler does not accept raises an error."""
    with pytest.raises(BuildError, match=r"no argument 'shufle'. Did you mean 'shuffle'"):
        build_dataloader(Squares(5), sampler={"type": "EpochSampler", "shufle": True})


class Stream(torch.utils.data.IterableDataset[int]):
    """A stream of nine numbers without a length, distributed over the workers."""

    def __iter__(self) -> Any:
        worker = torch.utils.data.get_worker_info()
        return iter(range(9)[worker.id :: worker.num_workers] if worker else range(9))


@pytest.mark.parametrize("workers", [0, 1])
def test_stream(workers: int) -> None:
    """A stream is read in its own order, from any batch on, and the global random state is not changed."""
    loader = build_dataloader(Stream(), 4, workers, seed=1)
    before = torch.get_rng_state()
    assert [batch.tolist() for batch in iterate_epoch(loader, 0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert [batch.tolist() for batch in iterate_epoch(loader, 1, 2)] == [[8]]
    assert torch.equal(before, torch.get_rng_state())
    assert num_batches(loader) is None
    loader.close()


def test_streams_cannot_have_a_sampler() -> None:
    """A sampler for a stream raises an error."""
    with pytest.raises(ArgumentError, match="Stream is a stream: it cannot have a sampler"):
        build_dataloader(Stream(), sampler={"type": "EpochSampler"})


@pytest.mark.parametrize("dataset", [Squares(), Stream()])
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"samples_per_gpu": 0}, "samples_per_gpu must be at least 1, not 0"),
        ({"samples_per_gpu": 2.5}, "samples_per_gpu must be an int, not 2.5"),
        ({"workers_per_gpu": -1}, "workers_per_gpu must be at least 0, not -1"),
        ({"workers_per_gpu": 1, "prefetch_factor": 0}, "prefetch_factor must be at least 1, not 0"),
        ({"workers_per_gpu": 1, "prefetch_factor": True}, "prefetch_factor must be an int, not True"),
        ({"pin_memory": "cuda"}, "pin_memory must be True or False, not 'cuda'"),
        ({"persistent_workers": 1}, "persistent_workers must be True or False, not 1"),
        ({"drop_last": None}, "drop_last must be True or False, not None"),
    ],
)
def test_settings_that_torch_refuses_late(dataset: Any, settings: dict[str, Any], text: str) -> None:
    """A setting that is not valid is an error when the loader is built, for every kind of dataset."""
    with pytest.raises(ArgumentError, match=text):
        build_dataloader(dataset, **settings)


def test_settings_of_workers_have_no_effect_without_workers() -> None:
    """So a config can be run with no workers without any other change."""
    loader = build_dataloader(Squares(), 5, 0, persistent_workers=True, prefetch_factor=4)
    assert len(list(loader.batch_sampler)) == 5


def test_dataset_needs_a_length() -> None:
    """A dataset that is neither a stream nor has a length cannot be loaded."""
    with pytest.raises(ArgumentTypeError, match="object has no length"):
        build_dataloader(object())


def test_sampler_needs_the_methods_of_one() -> None:
    """A sampler of PyTorch has no order for each epoch; this is found when the loader is built."""
    sampler = {"type": "torch.utils.data.SequentialSampler", "data_source": range(3)}
    with pytest.raises(ArgumentError, match="SequentialSampler cannot be used as a sampler: it has no draws"):
        build_dataloader(Squares(), sampler=sampler)


class DividedStream(Stream):
    """A stream that says that it divides its samples itself."""

    divides_itself = True


class ShardedStream(torch.utils.data.IterableDataset[int]):
    """A stream of nine numbers that is told its share."""

    def __init__(self) -> None:
        self.share = [-1]

    def __len__(self) -> int:
        return 9

    def shard(self, index: int, count: int) -> None:
        assert self.share == [-1]  # called once
        self.share = list(range(9))[index::count]

    def __iter__(self) -> Any:
        return iter(self.share)


class Doubled(torch.utils.data.IterableDataset[int]):
    """A wrapper of another dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __iter__(self) -> Any:
        return (2 * each for each in self.dataset)


class ForeignShard(Stream):
    """A stream with a method of the same name and another meaning, as in other libraries."""

    def shard(self, num_shards: int, index: int) -> Stream:
        raise AssertionError


def read(dataset: Any, epoch: int = 0, **words: Any) -> list[int]:
    """Return all samples that the processes of a run read in an epoch, sorted."""
    loaders = [
        build_dataloader(dataset(), 2, rank=rank, **words) for rank in range(words.get("world_size", 1))
    ]
    return sorted(
        number for loader in loaders for batch in iterate_epoch(loader, epoch) for number in batch.tolist()
    )


@pytest.mark.parametrize("words", [
    {"workers_per_gpu": 0},
    {"workers_per_gpu": 1},
    {"workers_per_gpu": 2},
    {"workers_per_gpu": 0, "world_size": 3},
    {"workers_per_gpu": 2, "world_size": 2},
])  # fmt: skip
@pytest.mark.parametrize("wrapped", [False, True])
def test_sharded_stream(words: dict[str, int], wrapped: bool) -> None:
    """``shard`` is called with the number of the worker among all workers of all processes, in every epoch."""
    for epoch in (0, 1):
        if wrapped:
            assert read(lambda: Doubled(ShardedStream()), epoch, **words) == list(range(0, 18, 2))
        else:
            assert read(ShardedStream, epoch, **words) == list(range(9))


def test_stream_that_divides_itself() -> None:
    """With ``divides_itself = True``, of the class or the object, several workers are allowed."""
    assert read(DividedStream, workers_per_gpu=2) == list(range(9))
    stream = ForeignShard()
    stream.divides_itself = True  # type: ignore[attr-defined]
    assert read(lambda: stream, workers_per_gpu=2) == list(range(9))


def test_chained_streams() -> None:
    """The streams in torch's ChainDataset are told their shares."""
    chain = torch.utils.data.ChainDataset
    assert read(lambda: chain([ShardedStream(), DividedStream()]), workers_per_gpu=2) == sorted(
        [*range(9)] * 2
    )
    with pytest.raises(ArgumentError, match="ChainDataset is a stream"):
        build_dataloader(chain([ShardedStream(), Stream()]), workers_per_gpu=2)


@pytest.mark.parametrize(
    "words", [{"workers_per_gpu": 2}, {"world_size": 2}, {"workers_per_gpu": 1, "world_size": 2}]
)
@pytest.mark.parametrize("dataset", [Stream(), Doubled(Stream()), Doubled([1, 2]), ForeignShard()])
def test_streams_must_say_how_they_are_shared(words: dict[str, int], dataset: Any) -> None:
    """Several workers for a stream that does not say how they share it are an error that names both ways."""
    name = type(dataset).__name__
    with pytest.raises(
        ArgumentError,
        match=rf"{name} is a stream .* how 2 workers share.*shard\(index, count\).*divides_itself = True",
    ):
        build_dataloader(dataset, **words)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_length_of_a_sharded_stream(workers: int, drop_last: bool) -> None:
    """The length counts the last, smaller batch of each worker."""
    loader = build_dataloader(ShardedStream(), 4, workers, drop_last=drop_last)
    assert len(loader) == len(list(loader))


def test_length_of_a_stream_shared_by_processes() -> None:
    """The length is that of this process."""
    loaders = [build_dataloader(ShardedStream(), 2, rank=rank, world_size=2) for rank in (0, 1)]
    assert [len(loader) for loader in loaders] == [len(list(loader)) for loader in loaders] == [3, 2]
