"""Data loaders whose batches do not depend on the number of workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from cfgtrain.data.samplers import EpochBatchSampler, PositionSampler, is_infinite
from cfgtrain.data.seeded import (
    BatchMaker,
    Failure,
    SeededDataset,
    SizedStreamReader,
    StreamReader,
    WithSkipped,
)
from cfgtrain.data.skipped import SkippedSamples
from cfgtrain.data.streams import shard_stream, sharing_problem
from cfgtrain.data.workers import init_stream_worker, init_worker, signals_blocked
from cfgtrain.errors import ArgumentError, CheckpointError, SampleError
from cfgtrain.origin import Location
from cfgtrain.random_state import RandomStream, derive_seed, isolated_random_state

__all__ = ["EpochDataLoader", "StreamLoader"]

TIMEOUT = 300.0  # seconds
_CHECK_SECONDS = 5.0  # how often the workers are checked while no batch comes, as torch does

logger = logging.getLogger(__name__)


class _Loader(DataLoader[Any]):
    """A DataLoader that names the sample when loading it fails or hangs.

    Args:
        dataset: What loads the samples.
        timeout: How many seconds to wait for the workers while none of them completes a sample. 0 waits forever.
        collate_fn: See ``BatchMaker``.
        num_workers: Number of worker processes.
        skipped: What the skipped samples are added to.
        kwargs: Passed to torch's DataLoader.
    """

    def __init__(
        self,
        dataset: SeededDataset | StreamReader,
        timeout: float,
        collate_fn: Callable[[list[Any]], Any] | None,
        num_workers: int,
        skipped: SkippedSamples | None = None,
        **kwargs: Any,
    ) -> None:
        self.patience = timeout
        self.skipped = skipped
        dataset.share(num_workers)
        if isinstance(dataset, SeededDataset):  # torch has workers merge in memory that the processes share
            dataset.fills_batches = collate_fn is None and not num_workers
        super().__init__(
            dataset,
            collate_fn=BatchMaker(dataset, collate_fn),
            num_workers=num_workers,
            timeout=min(timeout / 4, _CHECK_SECONDS) if num_workers else 0,
            **kwargs,
        )

    def _received(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the batches that the workers send.

        Raises:
            SampleError: A sample cannot be loaded, too many were skipped, or the workers hang or have died.
        """
        reader: Any = self.dataset
        waited, before = 0.0, list[int]()
        while True:
            try:
                batch = next(batches, _END)
            except (OSError, EOFError) as error:
                if not self.num_workers:
                    raise
                lost = f"A worker died while it sent a batch: {type(error).__name__}: {error}."
                raise SampleError(
                    f"{lost} {_activity(reader, reader.loading_now())}", hint=_LOST_HINT, **reader.place
                ) from error
            except RuntimeError as error:
                if isinstance(error, SampleError):
                    raise
                loading = reader.loading_now()
                if "DataLoader timed out" in str(error):
                    # Counted, because the clock also runs while all processes are stopped.
                    waited = waited + self.timeout if loading == before else 0.0
                    before = loading
                    if waited < self.patience:
                        continue
                    for worker in getattr(batches, "_workers", ()):
                        worker.kill()  # it may not end otherwise
                    message = f"No sample was loaded for {self.patience:g} seconds (timeout). {_activity(reader, loading)}"
                    hint = (
                        "If a sample may take longer, raise timeout in data.train_dataloader; without worker processes "
                        "(data.workers_per_gpu=0), Ctrl-C with --debug shows where it hangs."
                    )
                    raise SampleError(message, hint=hint, **reader.place) from None
                if "DataLoader worker" not in str(error):
                    raise
                reason = str(error).strip().rstrip(".")
                raise SampleError(
                    f"{reason}. {_activity(reader, loading)}", hint=_LOST_HINT, **reader.place
                ) from error
            if batch is _END:
                if self.skipped is not None:
                    self.skipped.look(is_end=True)
                return
            if isinstance(batch, Failure):
                batch.throw()
            if isinstance(batch, WithSkipped):
                if self.skipped is not None:
                    self.skipped.add(batch.skipped)
                batch = batch.batch
            if self.skipped is not None:
                self.skipped.look()
            waited, before = 0.0, list[int]()
            yield batch


_LOST_HINT = (
    "The system kills processes when memory runs out: use fewer workers. With data.workers_per_gpu=0 an error of the "
    "dataset shows."
)


def _activity(reader: Any, loading: list[int]) -> str:
    """Return a sentence about what the workers load."""
    samples = [f"worker {i}: {reader.describe(index)}" for i, index in enumerate(loading) if index >= 0]
    return f"The workers were loading: {'; '.join(samples) or 'no sample'}."


class EpochDataLoader(_Loader):
    """A DataLoader that can start at any batch of any epoch.

    ``len()`` is always the number of batches in a whole epoch. Several passes over the loader can run at the same
    time.

    Args:
        dataset: A dataset with ``__len__`` and ``__getitem__(index)``.
        sampler: Sampler that determines the order of the samples.
        batch_size: Number of samples per batch.
        seed: Seed of the run, which determines the augmentation of each sample.
        drop_last: Whether to drop the last batch if it is incomplete.
        num_workers: Number of worker processes. 0 loads in this process.
        collate_fn: Function that merges a list of samples into a batch; by default torch's ``default_collate``, with
            errors that name what differs, or MMCV's ``collate`` if the samples have a ``DataContainer``. Each ``DataContainer`` in its result is replaced by its data.
        pin_memory: Whether to copy batches to pinned (page-locked) memory.
        persistent_workers: Whether to keep the workers running between epochs.
        prefetch_factor: Number of batches that each worker loads in advance.
        timeout: After how many seconds without a loaded sample hanging workers are an error. 0: never.
        skipped: What the samples that cannot be loaded are added to, each of which is replaced by another one.
            None raises an error for such a sample.
        place: Place of the dataset in a config, for errors; see ``cfgtrain.origin.location``.
    """

    def __init__(
        self,
        dataset: Any,
        sampler: PositionSampler,
        batch_size: int,
        seed: int = 0,
        drop_last: bool = False,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        persistent_workers: bool = True,
        prefetch_factor: int = 2,
        timeout: float = TIMEOUT,
        skipped: SkippedSamples | None = None,
        place: Location | None = None,
    ) -> None:
        self.epoch_batches = EpochBatchSampler(sampler, batch_size, drop_last)
        self.seeded = SeededDataset(dataset, seed, skipped is not None, place)
        self._num_open = 0  # passes that have started and not ended
        super().__init__(
            self.seeded,
            timeout,
            collate_fn,
            num_workers,
            skipped,
            batch_sampler=self.epoch_batches,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
            prefetch_factor=prefetch_factor if num_workers > 0 else None,
            worker_init_fn=init_worker,
            # By default, a DataLoader draws from torch's global generator, which the training uses.
            generator=torch.Generator().manual_seed(derive_seed(seed) >> 1),
        )

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Set the epoch of the next pass, and its first batch."""
        self.epoch_batches.set_epoch(epoch, start_batch)

    def __iter__(self) -> Any:
        with signals_blocked():
            # With persistent workers, super().__iter__() would reset the pass that is still running.
            batches = self._get_iterator() if self._num_open else super().__iter__()
        self._num_open += 1
        try:
            yield from self._received(batches)
        finally:
            self._num_open -= 1

    def close(self) -> None:
        """Stop the workers.

        Without this call, they are stopped when the loader is garbage-collected. A Ctrl-C during garbage
        collection would be lost and printed as an ignored exception.
        """
        iterator, self._iterator = self._iterator, None
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # a loader with workers keeps its iterator

    def batch_indices(self, epoch: int, batch: int) -> list[int]:
        """Return the indices of the samples in a batch of an epoch, without loading them.

        If samples of the epoch have been skipped, the indices are those of their replacements.
        """
        size = self.epoch_batches.batch_size
        draws = islice(self.epoch_batches.sampler.draws(epoch, batch * size), size)
        return [draw.index if self.skipped is None else self.skipped.loaded_index(draw) for draw in draws]


class StreamLoader(_Loader):
    """A DataLoader for a stream: an ``IterableDataset`` of torch, which determines its own order.

    Random numbers that the stream draws from the global generators, for shuffling or augmentation, come from a
    separate state that is a function of (seed, epoch) and, in worker processes, of the worker id. So an epoch can
    be repeated exactly, and the random state of the training is not changed.

    Each worker, or without workers this process, reads its share: ``shard(index, count)`` of the stream is called
    once before the first sample, see ``cfgtrain.data.streams``.

    Args:
        dataset: A stream with ``__iter__`` and optionally ``__len__``, the number of samples of all shares, and
            ``set_epoch(epoch)``.
        batch_size: Number of samples per batch.
        seed: Seed of the run.
        rank: Rank of this process.
        world_size: Number of processes that share the stream.
        num_workers: Number of worker processes.
        prefetch_factor: Number of batches that each worker loads in advance.
        collate_fn: As for ``EpochDataLoader``.
        timeout: As for ``EpochDataLoader``.
        place: As for ``EpochDataLoader``.
        kwargs: Passed to torch's DataLoader.

    Raises:
        ArgumentError: There are several workers, and the stream does not say how they share it.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        timeout: float = TIMEOUT,
        place: Location | None = None,
        **kwargs: Any,
    ) -> None:
        readers = max(num_workers, 1)
        problem = sharing_problem(dataset, readers * world_size)
        if problem is not None:
            raise ArgumentError(problem)
        self.seed, self.epoch, self.stream = seed, 0, dataset
        self._pass: Any = None  # the newest one
        self._readers = range(rank * readers, (rank + 1) * readers)  # numbers of the workers of this process
        self._num_readers = readers * world_size
        self._samples = num_batches(dataset)  # of the whole stream, before it is told its share
        reader = SizedStreamReader if hasattr(dataset, "__len__") else StreamReader
        super().__init__(
            reader(dataset, place),
            timeout,
            collate_fn,
            num_workers,
            batch_size=batch_size,
            prefetch_factor=prefetch_factor if num_workers > 0 else None,
            worker_init_fn=partial(init_stream_worker, self._readers.start, self._num_readers),
            generator=torch.Generator(),
            **kwargs,
        )
        if num_workers == 0:
            shard_stream(dataset, rank, world_size)

    def __len__(self) -> int:
        """Return the number of batches if the workers have equal shares: each has its own last batch."""
        if self._num_readers == 1 or self._samples is None:
            return super().__len__()
        size, rest = divmod(self._samples, self._num_readers)
        shares = [size + (index < rest) for index in self._readers]
        batch_size = self.batch_size or 1
        return sum(share // batch_size if self.drop_last else -(-share // batch_size) for share in shares)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass, and call ``set_epoch`` of the stream if it has one."""
        self.epoch = epoch
        if callable(getattr(self.stream, "set_epoch", None)):
            self.stream.set_epoch(epoch)

    def __iter__(self) -> Any:
        seed = derive_seed(self.seed, self.epoch)
        self.generator.manual_seed(seed >> 1)  # the seeds of the workers are drawn from it
        stream = RandomStream(seed)
        with stream.use(), signals_blocked():
            self._pass = super().__iter__()
        batches = self._received(self._pass)
        while True:
            with stream.use():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    def close(self) -> None:
        """Stop the workers of a pass that has not ended; otherwise they have stopped at its end."""
        iterator, self._pass = self._pass, None
        if iterator is not None and self.num_workers:
            iterator._shutdown_workers()


_END = object()


def set_epoch(loader: Any, epoch: int) -> None:
    """Set the epoch of the next pass over a loader, from its first batch.

    This calls ``set_epoch`` of the loader, of its sampler or of the sampler in its batch sampler, whichever has it
    first. A loader without ``set_epoch`` is left unchanged.
    """
    batch_sampler = getattr(loader, "batch_sampler", None)
    candidates = (loader, getattr(loader, "sampler", None), getattr(batch_sampler, "sampler", None))
    target = next((each for each in candidates if hasattr(each, "set_epoch")), None)
    if target is not None:
        target.set_epoch(epoch)


def iterate_epoch(loader: Any, epoch: int, start_batch: int = 0) -> Iterator[Any]:
    """Return an iterator over the batches of an epoch, starting at ``start_batch``.

    An ``EpochDataLoader`` does not load the skipped batches. With any other loader, the skipped batches are loaded
    and discarded in this call, and the random state is restored afterwards.

    Raises:
        CheckpointError: The epoch has fewer than ``start_batch`` batches.
    """
    if isinstance(loader, EpochDataLoader):
        loader.set_epoch(epoch, start_batch)
        return iter(loader)
    set_epoch(loader, epoch)
    if start_batch == 0:
        return iter(loader)
    logger.info("Skipping the %d completed batches of the epoch", start_batch)
    with isolated_random_state():
        batches: Iterator[Any] = iter(loader)
        skipped = sum(1 for _ in islice(batches, start_batch))
    if skipped < start_batch:
        raise CheckpointError(
            f"The run was saved after {start_batch} batches of its epoch, but the epoch now has only {skipped} "
            "batches, so it cannot be resumed there."
        )
    return batches


def dataset_of(loader: Any) -> Any:
    """Return the dataset of a loader, without the wrapper that loads its samples."""
    dataset = loader.dataset
    if isinstance(dataset, SeededDataset):
        return dataset.dataset
    return dataset.stream if isinstance(dataset, StreamReader) else dataset


def num_batches(loader: Any) -> int | None:
    """Return the number of batches in an epoch, or None if it is unknown."""
    try:
        return len(loader)
    except TypeError:  # the __len__ of a loader calls that of the dataset, which may not have one
        return None


def empty_loader_error(loader: Any) -> ArgumentError:
    """Return the error for a loader that yields no batches."""
    reason = ""
    if isinstance(loader, EpochDataLoader):
        batches = loader.epoch_batches
        reason = f": there are {len(loader.seeded)} samples"
        if batches.drop_last:
            reason += f", and a batch of fewer than {batches.batch_size} samples is dropped (drop_last=True)"
    return ArgumentError(f"The data loader yields no batches{reason}.")


_SHARED = ", shared by "  # in a fingerprint, before the number of processes


def epoch_fingerprint(loader: Any) -> str:
    """Return a description of the epochs of a loader: the number of samples and batches, and the order.

    A position within an epoch is valid only for epochs with the same description.
    """
    if isinstance(loader, EpochDataLoader):
        batches, sampler = loader.epoch_batches, loader.epoch_batches.sampler
        order = "" if not getattr(sampler, "shuffle", True) else f", shuffled with seed {loader.seeded.seed}"
        count = getattr(sampler, "world_size", 1)
        order += f"{_SHARED}{count} processes" if count > 1 else ""
        if is_infinite(sampler):
            return f"{len(loader.seeded)} samples without end in batches of {batches.batch_size}{order}"
        return f"{len(sampler)} samples in {len(batches)} batches of {batches.batch_size}{order}"
    length = num_batches(loader)
    return "any number of batches" if length is None else f"{length} batches"


def of_processes(fingerprint: str) -> str:
    """Return how many processes share the epochs that ``epoch_fingerprint`` has described, such as ``"2 processes"``."""
    return fingerprint.partition(_SHARED)[2] or "1 process"
