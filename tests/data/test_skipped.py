"""Samples that cannot be loaded: errors, and what replaces them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same
from torch.utils.data import IterableDataset

from cfgtrain.data.builder import build_dataloader
from cfgtrain.data.loader import iterate_epoch
from cfgtrain.data.skipped import SKIPPED_FILE
from cfgtrain.errors import ArgumentError, SampleError
from cfgtrain.origin import Location, Origin

PLACE = Location(origin=Origin("cfg.py", 3, "train=dict("), key="data.train")


class Numbers:
    """The numbers from 0, with some that cannot be read; each is augmented."""

    def __init__(self, broken: tuple[int, ...] = (), size: int = 23, error: Any = ValueError) -> None:
        self.broken, self.size, self.error = broken, size, error

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        if index in self.broken:
            raise self.error(f"{index} is corrupt")
        return torch.tensor(index), torch.rand(())

    def source(self, index: int) -> str:
        return f"{index}.jpg"


OPEN: list[Any] = []


def loader_of(dataset: Any, workers: int = 0, **settings: Any) -> Any:
    loader = build_dataloader(dataset, 5, workers, seed=3, place=PLACE, **settings)
    OPEN.append(loader)
    return loader


@pytest.fixture(autouse=True)
def close_loaders() -> Iterator[None]:
    """Stop the workers of a test, also after an error."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_sample(workers: int) -> None:
    """A sample that cannot be loaded is one error with its source and the place of its dataset."""
    loader = loader_of(Numbers((7,)), workers)
    with pytest.raises(SampleError) as caught:
        list(iterate_epoch(loader, 0))
    expected = (
        "Sample 7 of Numbers (7.jpg) cannot be loaded: ValueError: 7 is corrupt\n  at data.train (cfg.py:3)"
    )
    assert str(caught.value) == expected
    assert 'raise self.error(f"{index} is corrupt")' in str(caught.value.__cause__) or not workers


def test_interrupt_is_not_a_broken_sample() -> None:
    """Ctrl-C while a sample is loaded is never taken for a broken sample."""
    with pytest.raises(KeyboardInterrupt):
        list(iterate_epoch(loader_of(Numbers((7,), error=KeyboardInterrupt), on_error="skip"), 0))


class Dying(Numbers):
    """A dataset with a sample that ends its process."""

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            os._exit(3)
        return super().__getitem__(index)


def test_worker_that_dies() -> None:
    """If a worker dies, the error names the sample that it was loading."""
    with pytest.raises(SampleError, match=r"[Ww]orker .* worker 1: Sample 7 of Dying \(7.jpg\)"):
        list(iterate_epoch(loader_of(Dying(), 2, timeout=1, shuffle=False), 0))


def skipping(workers: int, start: int = 0, epoch: int = 1, **settings: Any) -> list[Any]:
    loader = loader_of(Numbers((2, 7, 20)), workers, on_error="skip", **settings)
    return list(iterate_epoch(loader, epoch, start))


def test_broken_samples_are_replaced() -> None:
    """With ``on_error="skip"`` only the broken samples change, and the batches keep their size."""
    whole = [pair for batch in loader_of(Numbers()) for pair in zip(*batch, strict=True)]
    replaced = [
        pair for batch in loader_of(Numbers((2, 7, 20)), on_error="skip") for pair in zip(*batch, strict=True)
    ]
    changed = [int(old[0]) for old, new in zip(whole, replaced, strict=True) if not same(old, new)]
    assert sorted(changed) == [2, 7, 20]
    assert not {2, 7, 20} & {int(number) for number, _ in replaced}


@pytest.mark.parametrize("start", [0, 2, 4])
def test_replacements_do_not_depend_on_workers_or_resuming(start: int) -> None:
    """What replaces a sample depends only on seed, epoch and position."""
    whole = skipping(0)
    assert same(skipping(2, start), whole[start:])
    assert same(skipping(0, start), whole[start:])


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_samples_are_reported_once(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each skipped sample is logged and listed once, in several epochs and in a resumed run."""
    caplog.set_level(logging.WARNING)
    for epoch in (0, 1):
        skipping(workers, epoch=epoch, work_dir=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / SKIPPED_FILE).read_text().splitlines()]
    assert sorted(line["index"] for line in lines) == [2, 7, 20]
    assert {line["dataset"] for line in lines} == {"data.train"}
    (seven,) = (line for line in lines if line["index"] == 7)
    assert (seven["sample"], seven["reason"]) == ("Sample 7 of Numbers (7.jpg)", "ValueError: 7 is corrupt")
    assert sorted(caplog.messages) == sorted(
        f"{line['sample']} is skipped: {line['reason']}" for line in lines
    )


def test_list_with_an_incomplete_line(tmp_path: Path) -> None:
    """A line that a killed run did not complete is ignored."""
    (tmp_path / SKIPPED_FILE).write_text('{"dataset": "data.train", "index": 2}\n{"dataset": "da')
    skipping(0, work_dir=tmp_path)
    assert (tmp_path / SKIPPED_FILE).read_text().count("is corrupt") == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_skipped_samples(workers: int, tmp_path: Path) -> None:
    """More different samples than ``max_skipped`` are an error that names the list."""
    with pytest.raises(SampleError, match=r"3 samples cannot be loaded, but only 2 may be skipped") as caught:
        skipping(workers, max_skipped=2, work_dir=tmp_path)
    assert SKIPPED_FILE in str(caught.value)
    with pytest.raises(SampleError, match="only 2 may be skipped"):  # also when the run is resumed
        skipping(workers, max_skipped=2, work_dir=tmp_path)
    assert len(skipping(workers, max_skipped=3, work_dir=tmp_path)) == 5
    assert "at data.train (cfg.py:3)" in str(caught.value)
    assert len(skipping(workers, max_skipped=3)) == 5


@pytest.mark.parametrize("workers", [0, 2])
def test_all_samples_are_broken(workers: int) -> None:
    """If no replacement can be loaded either, as in a deleted folder, the first error is raised."""
    loader = loader_of(Numbers(tuple(range(23))), workers, on_error="skip")
    with pytest.raises(SampleError, match=r"Sample \d+ of Numbers .* is corrupt") as caught:
        list(iterate_epoch(loader, 0))
    assert caught.value.__notes__ == ["None of the 10 samples that were tried in its place can be loaded."]


def test_indices_of_a_batch_with_replacements() -> None:
    """``batch_indices`` returns what was loaded."""
    loader = loader_of(Numbers((2, 7, 20)), on_error="skip")
    for number, batch in enumerate(iterate_epoch(loader, 1)):
        assert loader.batch_indices(1, number) == batch[0].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_that_cannot_be_merged(workers: int) -> None:
    """Samples of different shapes are the same error with and without workers, and are not skipped."""
    dataset = [torch.zeros(3, 4, 4)] * 4 + [torch.zeros(3, 5, 4)]
    loader = loader_of(dataset, workers, on_error="skip", shuffle=False)
    with pytest.raises(SampleError) as caught:
        list(iterate_epoch(loader, 0))
    assert str(caught.value).startswith(
        "The samples of a batch have different shapes ((3, 4, 4): Sample 0 of list; (3, 5, 4): Sample 4 of list). Add"
    )


def failing_collate(batch: list[Any]) -> Any:
    raise KeyError("label")


@pytest.mark.parametrize("workers", [0, 2])
def test_failing_collate_function(workers: int) -> None:
    """An exception of a collate function is an error with its name and the first sample."""
    loader = loader_of(Numbers(), workers, collate_fn=failing_collate, shuffle=False)
    with pytest.raises(SampleError, match=r"failing_collate cannot merge .* KeyError: 'label'. .* \(0.jpg\)"):
        list(iterate_epoch(loader, 0))


class BrokenStream(IterableDataset[int]):
    """A stream that fails after seven numbers."""

    def __iter__(self) -> Any:
        yield from range(7)
        raise ValueError("line 8 is empty")


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_broken_stream(workers: int, drop_last: bool) -> None:
    """An exception of a stream is the same error with and without a worker, after the batches before it."""
    batches = iterate_epoch(loader_of(BrokenStream(), workers, drop_last=drop_last), 0)
    assert next(batches).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(SampleError) as caught:
        next(batches)
    assert str(caught.value) == (
        "Sample 7 of a pass over BrokenStream cannot be loaded: ValueError: line 8 is empty\n"
        "  at data.train (cfg.py:3)"
    )


class UnsharableStream(BrokenStream):
    """A stream whose ``shard`` fails."""

    def shard(self, index: int, count: int) -> None:
        raise ValueError("no shards")


def test_failing_shard() -> None:
    """An exception of ``shard`` in a worker is one error."""
    with pytest.raises(SampleError, match="ValueError: no shards"):
        list(iterate_epoch(loader_of(UnsharableStream(), 2), 0))


def test_streams_cannot_skip() -> None:
    """A stream cannot continue after an error, so ``on_error="skip"`` is an error."""
    with pytest.raises(ArgumentError, match="on_error must be 'raise'"):
        loader_of(BrokenStream(), on_error="skip")


class Hanging(Numbers):
    """A dataset with one sample that is never loaded."""

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            wait_forever()
        return super().__getitem__(index)


def wait_forever() -> None:
    import threading

    threading.Event().wait()


def test_hanging_worker() -> None:
    """The watchdog names the worker that hangs and the sample that it loads, and ends the workers."""
    loader = loader_of(Hanging(), 2, timeout=0.5, shuffle=False)
    batches = iterate_epoch(loader, 0)
    assert next(batches)[0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(SampleError) as caught:
        list(batches)
    assert caught.value.message == (
        "No sample was loaded for 0.5 seconds (timeout). The workers were loading: "
        "worker 1: Sample 7 of Hanging (7.jpg)."
    )
    assert caught.value.hint.startswith("If a sample may take longer, raise timeout in data.train_dataloader")
    assert str(caught.value).endswith("\n  at data.train (cfg.py:3)")


class Slow(Numbers):
    """A dataset whose batches take longer than the timeout, but whose samples do not."""

    def __getitem__(self, index: int) -> Any:
        import threading

        threading.Event().wait(0.15)
        return super().__getitem__(index)


def test_slow_batches_do_not_hang() -> None:
    """The watchdog waits as long as samples are being loaded."""
    loader = loader_of(Slow(size=10), 1, timeout=0.4, shuffle=False)
    assert len(list(iterate_epoch(loader, 0))) == 2
