"""Loaders whose batches do not depend on how many workers make them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cfgtrain.data.samplers import Draw, EpochBatchSampler, PositionSampler
from cfgtrain.errors import ArgumentError, CheckpointError, SampleError
from cfgtrain.random_state import OwnRandomState, derive_seed, isolated_random_state, seed_sample

__all__ = [
    "EpochDataLoader",
    "SeededDataset",
    "StreamLoader",
    "iterate_epoch",
    "epoch_fingerprint",
    "num_batches",
    "empty_loader_error",
    "set_epoch",
]

logger = logging.getLogger(__name__)


class SeededDataset(Dataset[Any]):
    """A data set that is read by draws, each under a random state of its own.

    The state of a sample is a function of (seed, epoch, position): the worker that loads it,
    and what was loaded before it, do not matter, and nothing outside sees the difference.
    Attributes of the wrapped data set can be reached as if they were the wrapper's.

    Args:
        dataset: Has ``__len__`` and ``__getitem__(index)``.
        seed: Of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.loading: torch.Tensor | None = None  # (workers,) what each is at, or -1; shared with them

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw]) -> list[Any]:
        """Return the samples of a batch (torch's fetcher asks for all of them at once)."""
        with isolated_random_state():
            samples = [self._sample(draw) for draw in draws]
        self._note_loading(-1)
        return samples

    def _note_loading(self, index: int) -> None:
        worker = get_worker_info()
        if worker is not None and self.loading is not None:
            self.loading[worker.id] = index

    def _sample(self, draw: Draw) -> Any:
        self._note_loading(draw.index)
        seed_sample(derive_seed(self.seed, draw.epoch, draw.position))
        try:
            sample = self.dataset[draw.index]
        except Exception as error:
            raise SampleError(
                f"{self.describe(draw.index)} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        if sample is None:
            raise SampleError(
                f"{self.describe(draw.index)} was dropped by its pipeline, which returned None: the data set has "
                "to return another sample instead."
            )
        return sample

    def describe(self, index: int) -> str:
        """Name a sample, with its source where the data set has a ``source(index)``."""
        source = getattr(self.dataset, "source", None)
        where = f" ({source(index)})" if callable(source) else ""
        return f"Sample {index} of {type(self.dataset).__name__}{where}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)  # asked for while unpickling in a worker
        return getattr(self.dataset, name)


class EpochDataLoader(DataLoader[Any]):
    """A DataLoader that can be told which epoch comes next and where in it to begin.

    ``len()`` is always that of a whole epoch. A pass may begin while another one is open: the
    two do not disturb each other.

    Args:
        dataset: Has ``__len__`` and ``__getitem__(index)``.
        sampler: The order of the samples.
        batch_size: Samples per batch.
        seed: Of the run; decides the augmentation of each sample.
        drop_last: Whether a smaller last batch is left out.
        num_workers: Processes that load; 0 loads in this one.
        collate_fn: Makes a batch of a list of samples; torch's by default.
        pin_memory: Whether batches are copied to page-locked memory.
        persistent_workers: Whether workers live on between epochs.
        prefetch_factor: Batches that each worker loads ahead.
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
        self._open = 0  # passes that have begun and not ended
        super().__init__(
            self.seeded,
            batch_sampler=self.epoch_batches,
            num_workers=num_workers,
            collate_fn=collate_fn,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
            prefetch_factor=prefetch_factor if num_workers > 0 else None,
            worker_init_fn=_quiet_worker,
            # The default would draw from torch's global generator, which belongs to the training.
            generator=torch.Generator().manual_seed(derive_seed(seed) >> 1),
        )

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Say what the next pass is: ``epoch``, without its first ``start_batch`` batches."""
        self.epoch_batches.set_epoch(epoch, start_batch)

    def __iter__(self) -> Any:
        try:
            with _workers_started_in_peace():
                # Workers that live on would leave the open pass for this one.
                batches = self._get_iterator() if self._open else super().__iter__()
            self._open += 1
            try:
                yield from batches
            finally:
                self._open -= 1
        except RuntimeError as error:
            if "DataLoader worker" not in str(error) or isinstance(error, SampleError):
                raise
            at = self.seeded.loading.tolist() if self.seeded.loading is not None else []
            listed = "; ".join(self.seeded.describe(index) for index in at if index >= 0)
            raise SampleError(f"{error} What the workers were loading: {listed or 'nothing yet'}.") from error

    def close(self) -> None:
        """End the workers now, and not whenever the loader is collected as garbage.

        There Ctrl-C would not be heeded, and shown as an error that is ignored.
        """
        iterator, self._iterator = self._iterator, None
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # a loader with workers keeps its iterator

    def batch_indices(self, epoch: int, batch: int) -> list[int]:
        """Return which samples a batch of an epoch is made of, without reading them."""
        size = self.epoch_batches.batch_size
        draws = self.epoch_batches.sampler.draws(epoch, batch * size)
        return [draw.index for draw in islice(draws, size)]


class StreamLoader(DataLoader[Any]):
    """A DataLoader of a data set that is a stream, as torch's ``IterableDataset``: it has an order of its own.

    What the stream draws from the global generators, to shuffle or to augment, comes from a
    state of its own, a function of (seed, epoch), or in a worker process of its number too. So
    an epoch that is read again is the same, and the training does not notice.

    Args:
        dataset: Has ``__iter__``, and may have a ``__len__`` and a ``set_epoch(epoch)``.
        batch_size: Samples per batch.
        seed: Of the run.
        kwargs: For torch's DataLoader.
    """

    def __init__(self, dataset: Any, batch_size: int, seed: int = 0, **kwargs: Any) -> None:
        self.seed, self.epoch = seed, 0
        super().__init__(
            dataset, batch_size, worker_init_fn=_quiet_worker, generator=torch.Generator(), **kwargs
        )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self.epoch = epoch
        if callable(getattr(self.dataset, "set_epoch", None)):
            self.dataset.set_epoch(epoch)  # type: ignore[attr-defined]  # just seen

    def __iter__(self) -> Any:
        seed = derive_seed(self.seed, self.epoch)
        self.generator.manual_seed(seed >> 1)  # which the workers are seeded from
        state = OwnRandomState(seed)
        with state.entered(), _workers_started_in_peace():
            batches = super().__iter__()
        while True:
            with state.entered():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    def close(self) -> None:
        """Do nothing: the workers end with each pass."""


_END = object()


def set_epoch(loader: Any, epoch: int) -> None:
    """Tell a loader, or its sampler, that its next pass is a whole one of ``epoch``, if it wants to know."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    may_ask = (loader, getattr(loader, "sampler", None), getattr(batch_sampler, "sampler", None))
    told = next((each for each in may_ask if hasattr(each, "set_epoch")), None)
    if told is not None:
        told.set_epoch(epoch)


def iterate_epoch(loader: Any, epoch: int, start_batch: int = 0) -> Iterator[Any]:
    """Return the batches of an epoch from ``start_batch`` on.

    Ours are told where to begin and read nothing before it. Of streams, and of other loaders,
    the batches that are to be passed over are read and dropped, at once; the random state is
    then as it was.

    Raises:
        CheckpointError: The epoch is over before ``start_batch``.
    """
    if isinstance(loader, EpochDataLoader):
        loader.set_epoch(epoch, start_batch)
        return iter(loader)
    set_epoch(loader, epoch)
    if start_batch == 0:
        return iter(loader)
    logger.info("Reading and dropping the %d batches of the epoch that are done", start_batch)
    with isolated_random_state():
        batches: Iterator[Any] = iter(loader)
        passed = sum(1 for _ in islice(batches, start_batch))
    if passed < start_batch:
        raise CheckpointError(
            f"The run is to go on after {start_batch} batches of its epoch, and now there are only {passed}: its "
            "place in the data cannot be found."
        )
    return batches


def num_batches(loader: Any) -> int | None:
    """Return how many batches a pass over a loader has; None where that is not known before."""
    try:
        return len(loader)
    except TypeError:  # a loader has a __len__ that asks a data set which may have none
        return None


def empty_loader_error(loader: Any) -> ArgumentError:
    """Return the error for a loader that yields no batch, which would be asked for one for ever, or trained on in no time."""
    why = ""
    if isinstance(loader, EpochDataLoader):
        batches = loader.epoch_batches
        why = f": there are {len(loader.seeded)} samples"
        if batches.drop_last:
            why += f", and a batch of less than {batches.batch_size} is left out (drop_last=True)"
    return ArgumentError(f"The data loader yields no batch at all{why}.")


def epoch_fingerprint(loader: Any) -> str:
    """Say what an epoch of a loader is made of: a place within one means nothing in another."""
    if isinstance(loader, EpochDataLoader):
        batches, sampler = loader.epoch_batches, loader.epoch_batches.sampler
        order = "" if not getattr(sampler, "shuffle", True) else f", shuffled with seed {loader.seeded.seed}"
        return f"{len(sampler)} samples in {len(batches)} batches of {batches.batch_size}{order}"
    length = num_batches(loader)
    return "any number of batches" if length is None else f"{length} batches"


@contextmanager
def _workers_started_in_peace() -> Iterator[None]:
    """Hold signals back while workers start; they see to them in ``_quiet_worker``.

    torch would also have the death of a worker raise wherever the main process happens to
    be, in the middle of a step or of a save. It is noticed, seconds later, where the next
    batch is waited for; there the state of the training is not touched.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_child = signal.getsignal(signal.SIGCHLD)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _quiet_worker(worker_id: int) -> None:
    """Leave it to the main process what a signal to all of a command's processes means.

    Also keeps OpenCV from starting threads in every worker, where they would fight for the
    cores.
    """
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_heed_parent_only, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _heed_parent_only() -> None:
    """End this worker at the SIGTERM of its own main process, and at nobody else's."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
