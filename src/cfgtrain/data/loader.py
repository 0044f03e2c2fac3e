"""Data loaders whose batches do not depend on the number of workers."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cfgtrain.data.samplers import Draw, EpochBatchSampler, PositionSampler
from cfgtrain.data.streams import shard_stream, sharing_problem
from cfgtrain.errors import ArgumentError, CheckpointError, SampleError, TransformError
from cfgtrain.random_state import RandomStream, derive_seed, isolated_random_state, seed_sample

__all__ = ["EpochDataLoader", "SeededDataset"]

logger = logging.getLogger(__name__)


class SeededDataset(Dataset[Any]):
    """Wraps a dataset so that each sample is loaded with its own random state.

    The random state of a sample is a function of (seed, epoch, position). It depends neither on the worker that
    loads the sample nor on the samples loaded before, and the global random state is restored afterwards. The
    wrapper is indexed by draws. All attributes of the wrapped dataset are available on the wrapper.

    Args:
        dataset: A dataset with ``__len__`` and ``__getitem__(index)``.
        seed: Seed of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.loading: torch.Tensor | None = None  # (workers,) index each worker loads, or -1; shared

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw]) -> list[Any]:
        """Return the samples of a batch (torch calls this once per batch).

        Raises:
            SampleError: A sample cannot be loaded, or its pipeline returned None.
        """
        with isolated_random_state():
            samples = [self._sample(draw) for draw in draws]
        self._set_loading(-1)
        return samples

    def _set_loading(self, index: int) -> None:
        worker = get_worker_info()
        if worker is not None and self.loading is not None:
            self.loading[worker.id] = index

    def _sample(self, draw: Draw) -> Any:
        self._set_loading(draw.index)
        seed_sample(derive_seed(self.seed, draw.epoch, draw.position))
        try:
            sample = self.dataset[draw.index]
        except TransformError as error:  # the sample is not to blame
            error.add_note(f"while loading {self.describe(draw.index)}")
            raise
        except Exception as error:
            raise SampleError(
                f"{self.describe(draw.index)} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        if sample is None:
            raise SampleError(
                f"{self.describe(draw.index)} was dropped, because its pipeline returned None. The dataset must "
                "return another sample in this case."
            )
        return sample

    def describe(self, index: int) -> str:
        """Return a description of a sample, with its source if the dataset has a method ``source(index)``."""
        source = getattr(self.dataset, "source", None)
        where = f" ({source(index)})" if callable(source) else ""
        return f"Sample {index} of {type(self.dataset).__name__}{where}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)  # accessed during unpickling in a worker, before self.dataset exists
        return getattr(self.dataset, name)


class EpochDataLoader(DataLoader[Any]):
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
        collate_fn: Function that merges a list of samples into a batch; by default torch's ``default_collate``.
        pin_memory: Whether to copy batches to pinned (page-locked) memory.
        persistent_workers: Whether to keep the workers running between epochs.
        prefetch_factor: Number of batches that each worker loads in advance.
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
    ) -> None:
        self.epoch_batches = EpochBatchSampler(sampler, batch_size, drop_last)
        self.seeded = SeededDataset(dataset, seed)
        if num_workers:
            self.seeded.loading = torch.full((num_workers,), -1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._num_open = 0  # passes that have started and not ended
        super().__init__(
            self.seeded,
            batch_sampler=self.epoch_batches,
            num_workers=num_workers,
            collate_fn=collate_fn,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
            prefetch_factor=prefetch_factor if num_workers > 0 else None,
            worker_init_fn=_init_worker,
            # By default, a DataLoader draws from torch's global generator, which the training uses.
            generator=torch.Generator().manual_seed(derive_seed(seed) >> 1),
        )

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Set the epoch of the next pass, and its first batch."""
        self.epoch_batches.set_epoch(epoch, start_batch)

    def __iter__(self) -> Any:
        try:
            with _signals_blocked():
                # With persistent workers, super().__iter__() would reset the pass that is still running.
                batches = self._get_iterator() if self._num_open else super().__iter__()
            self._num_open += 1
            try:
                yield from batches
            finally:
                self._num_open -= 1
        except RuntimeError as error:
            if "DataLoader worker" not in str(error) or isinstance(error, SampleError):
                raise
            loading = self.seeded.loading.tolist() if self.seeded.loading is not None else []
            samples = "; ".join(self.seeded.describe(index) for index in loading if index >= 0)
            raise SampleError(f"{error} The workers were loading: {samples or 'no sample yet'}.") from error

    def close(self) -> None:
        """Stop the workers.

        Without this call, they are stopped when the loader is garbage-collected. A Ctrl-C during garbage
        collection would be lost and printed as an ignored exception.
        """
        iterator, self._iterator = self._iterator, None
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # a loader with workers keeps its iterator

    def batch_indices(self, epoch: int, batch: int) -> list[int]:
        """Return the indices of the samples in a batch of an epoch, without loading them."""
        size = self.epoch_batches.batch_size
        draws = self.epoch_batches.sampler.draws(epoch, batch * size)
        return [draw.index for draw in islice(draws, size)]


class StreamLoader(DataLoader[Any]):
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
        **kwargs: Any,
    ) -> None:
        readers = max(num_workers, 1)
        problem = sharing_problem(dataset, readers * world_size)
        if problem is not None:
            raise ArgumentError(problem)
        self.seed, self.epoch = seed, 0
        self._readers = range(rank * readers, (rank + 1) * readers)  # numbers of the workers of this process
        self._num_readers = readers * world_size
        self._samples = num_batches(dataset)  # of the whole stream, before it is told its share
        super().__init__(
            dataset,
            batch_size,
            num_workers=num_workers,
            prefetch_factor=prefetch_factor if num_workers > 0 else None,
            worker_init_fn=partial(_init_stream_worker, self._readers.start, self._num_readers),
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
        if callable(getattr(self.dataset, "set_epoch", None)):
            self.dataset.set_epoch(epoch)  # type: ignore[attr-defined]  # checked above

    def __iter__(self) -> Any:
        seed = derive_seed(self.seed, self.epoch)
        self.generator.manual_seed(seed >> 1)  # the seeds of the workers are drawn from it
        stream = RandomStream(seed)
        with stream.use(), _signals_blocked():
            batches = super().__iter__()
        while True:
            with stream.use():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    def close(self) -> None:
        """Do nothing, since the workers stop at the end of each pass."""


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


def epoch_fingerprint(loader: Any) -> str:
    """Return a description of the epochs of a loader: the number of samples and batches, and the order.

    A position within an epoch is valid only for epochs with the same description.
    """
    if isinstance(loader, EpochDataLoader):
        batches, sampler = loader.epoch_batches, loader.epoch_batches.sampler
        order = "" if not getattr(sampler, "shuffle", True) else f", shuffled with seed {loader.seeded.seed}"
        return f"{len(sampler)} samples in {len(batches)} batches of {batches.batch_size}{order}"
    length = num_batches(loader)
    return "any number of batches" if length is None else f"{length} batches"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM while workers start. The workers unblock SIGINT in ``_init_worker``.

    It also restores the handler of SIGCHLD, which torch replaces. With torch's handler, the death of a worker would
    raise wherever the main process is, possibly in the middle of a step or of saving a checkpoint. Without it, the
    death is detected a few seconds later, while the main process waits for the next batch, when the state of the
    training is consistent.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    child_handler = signal.getsignal(signal.SIGCHLD)
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        if child_handler is not None:
            signal.signal(signal.SIGCHLD, child_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def _init_worker(worker_id: int) -> None:
    """Make a worker ignore SIGINT, and SIGTERM unless its main process sends it.

    A signal that is sent to all processes of a command, such as Ctrl-C, is handled by the main process alone. This
    function also disables the threads of OpenCV, since the threads of all workers would compete for the cores.
    """
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_exit_on_parent_sigterm, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _init_stream_worker(first: int, count: int, worker_id: int) -> None:
    """Initialize a worker that reads a share of a stream: the share ``first + worker_id`` of ``count``."""
    _init_worker(worker_id)
    worker = get_worker_info()
    if worker is not None:
        shard_stream(worker.dataset, first + worker_id, count)


def _exit_on_parent_sigterm() -> None:
    """Exit this worker when its parent process sends SIGTERM; ignore SIGTERM from other processes."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
