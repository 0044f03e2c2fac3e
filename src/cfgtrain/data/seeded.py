"""Load samples and make batches: what a worker process does, and what it reports."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate, get_worker_info

from cfgtrain.data.batches import tensors_in
from cfgtrain.data.collation import merge_samples
from cfgtrain.data.rows import BatchRows
from cfgtrain.data.samplers import Draw
from cfgtrain.data.streams import shard_stream
from cfgtrain.errors import FileContentError, ImageDecodeError, SampleError, TransformError
from cfgtrain.introspection.signatures import callable_name
from cfgtrain.introspection.user_code import user_frame_lines
from cfgtrain.origin import Location
from cfgtrain.parallel.data import unpack_containers
from cfgtrain.parallel.data_container import DataContainer, collate
from cfgtrain.random_state import derive_seed, isolated_random_state, seed_sample

__all__ = ["SeededDataset"]

ATTEMPTS = 10  # how many samples are tried in place of one that cannot be loaded
NO_SAMPLE = -1
_BATCH = -1  # in place of an attempt, in the seed of a collate function


class SkippedSample(NamedTuple):
    """A sample that could not be loaded, and was replaced.

    Attributes:
        index: Its index in the dataset.
        description: Its description, with its source.
        reason: Why it could not be loaded.
        epoch: The epoch, 0-based.
        position: Its position in the order of the epoch over all processes, 0-based.
        replacement: Index of the sample in its place.
    """

    index: int  # type: ignore[assignment]  # as in Draw
    description: str
    reason: str
    epoch: int
    position: int
    replacement: int


class WithSkipped(NamedTuple):
    """A batch, and the samples that were skipped in it."""

    batch: Any
    skipped: list[SkippedSample]


@dataclass
class Failure:
    """An error in a worker process, which is sent to the main process in place of a batch.

    Attributes:
        error: The error.
        trace: Its traceback, as text.
        code: The lines of the user's code in which its cause was raised; see ``user_frame_lines``.
    """

    error: SampleError
    trace: str
    code: list[str]

    @classmethod
    def of(cls, error: SampleError) -> Self:
        """Return the failure of an error that was raised."""
        code = [] if error.__cause__ is None else user_frame_lines(error.__cause__)
        return cls(error, "".join(traceback.format_exception(error)), code)

    def throw(self) -> None:
        """Raise the error, with the traceback of the worker as its cause."""
        cause = WorkerTraceback(self.trace)
        cause.user_frame_lines = self.code
        raise self.error from cause


class WorkerTraceback(Exception):  # the cause of an error
    """The traceback of an error in a worker process, which is printed as the cause of the error."""

    user_frame_lines: list[str]

    def __str__(self) -> str:
        return f"\n\nIn a worker process:\n{self.args[0].rstrip()}"


class Samples(list[Any]):
    """The samples of a batch.

    Attributes:
        draws: Their draws.
        indices: Their indices in the dataset, which are those of other draws if samples were skipped.
        rows: The batches that their tensors are copied into, if any.
        skipped: The samples that were skipped.
        failure: Set in a worker process if one of the samples cannot be loaded.
    """

    def __init__(self, draws: Sequence[Draw], rows: BatchRows | None = None) -> None:
        super().__init__()
        self.draws = draws
        self.rows = rows
        self.indices: list[int] = []
        self.skipped: list[SkippedSample] = []
        self.failure: Failure | None = None


class _Reporting(ABC):
    """What each worker is loading, in memory that the processes share.

    Attributes:
        loading: (workers,) the index that each worker loads, or -1; None without workers.
    """

    loading: torch.Tensor | None = None

    def share(self, num_workers: int) -> None:
        """Allocate the memory for a number of workers."""
        if num_workers:
            loading = torch.full((num_workers,), NO_SAMPLE, dtype=torch.int64)
            self.loading = loading.share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def set_loading(self, index: int) -> None:
        """Set which sample this worker loads."""
        worker = get_worker_info()
        if worker is not None and self.loading is not None:
            self.loading[worker.id] = index

    def loading_now(self) -> list[int]:
        """Return the index that each worker loads, or -1."""
        return [] if self.loading is None else self.loading.tolist()

    @abstractmethod
    def describe(self, index: int) -> str:
        """Return a description of a sample."""


class SeededDataset(_Reporting, Dataset[Any]):
    """Wraps a dataset so that each sample is loaded with its own random state.

    The random state of a sample is a function of (seed, epoch, position). It depends neither on the worker that
    loads the sample nor on the samples loaded before, and the global random state is restored afterwards. The
    wrapper is indexed by draws. All attributes of the wrapped dataset are available on the wrapper.

    Args:
        dataset: A dataset with ``__len__`` and ``__getitem__(index)``.
        seed: Seed of the run.
        skip_errors: Whether a sample that cannot be loaded is replaced by another one, which is a function of
            (seed, epoch, position) too. Its random state is different from that of the sample it replaces.
        place: Place of the dataset in a config, for errors; see ``cfgtrain.origin.location``.

    Attributes:
        fills_batches: Whether the tensors of the samples are copied into batches at once; see ``BatchRows``.
    """

    fills_batches = False

    def __init__(
        self, dataset: Any, seed: int, skip_errors: bool = False, place: Location | None = None
    ) -> None:
        self.dataset = dataset
        self.seed = seed
        self.skip_errors = skip_errors
        self.place: Location = place or {"origin": None, "key": None}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw]) -> Samples:
        """Return the samples of a batch (torch calls this once per batch).

        Raises:
            SampleError: A sample cannot be loaded, or its pipeline returned None. In a worker process, this is
                not raised but kept in the samples.
        """
        samples = Samples(draws, BatchRows(len(draws)) if self.fills_batches else None)
        try:
            with isolated_random_state():
                for draw in draws:
                    self._add_sample(samples, draw)
        except SampleError as error:
            if get_worker_info() is None:
                raise
            samples.failure = Failure.of(error)
        finally:
            self.set_loading(NO_SAMPLE)
        return samples

    def _add_sample(self, samples: Samples, draw: Draw) -> None:
        """Load the sample of a draw, or another one in its place."""
        errors: list[tuple[int, SampleError]] = []
        while True:
            index, attempt = draw.index, len(errors)
            seed = derive_seed(self.seed, draw.epoch, draw.position)
            if attempt:
                seed = derive_seed(self.seed, draw.epoch, draw.position, attempt)
                index = seed % len(self.dataset)
            try:
                sample = self._sample(index, seed)
            except SampleError as error:
                errors.append((index, error))
                if self.skip_errors and attempt < ATTEMPTS:
                    continue
                if attempt:
                    first = errors[0][1]
                    first.add_note(
                        f"None of the {ATTEMPTS} samples that were tried in its place can be loaded."
                    )
                    raise first from first.__cause__
                raise
            samples.append(sample if samples.rows is None else samples.rows.take(sample, len(samples)))
            samples.indices.append(index)
            place = (draw.epoch, draw.position, index)
            samples.skipped += [
                SkippedSample(broken, self.describe(broken), _reason(failed, self.source_of(broken)), *place)
                for broken, failed in errors
            ]
            return

    def _sample(self, index: int, seed: int) -> Any:
        self.set_loading(index)
        seed_sample(seed)
        try:
            sample = self.dataset[index]
        except (
            TransformError
        ) as error:  # it says what is wrong with the pipeline, rather than with the sample
            error.add_note(f"while loading {self.describe(index)}")
            error.origin, key = self.place["origin"], self.place["key"]
            error.key = f"{key}.pipeline[{error.step}]" if key else None
            raise
        except (Exception, SystemExit) as error:
            raise _sample_error(self.describe(index), error, self.place, self.source_of(index)) from error
        if sample is None:
            raise SampleError(
                f"{self.describe(index)} was dropped, because its pipeline returned None. The dataset must "
                "return another sample in this case; a transform ends with `return results`.",
                **self.place,
            )
        return sample

    def describe(self, index: int) -> str:
        """Return a description of a sample, with its source if the dataset has a method ``source(index)``."""
        source = self.source_of(index)
        return f"Sample {index} of {type(self.dataset).__name__}{f' ({source})' if source else ''}"

    def source_of(self, index: int) -> str:
        """Return where a sample is from, or "" if the dataset has no method ``source(index)``."""
        source = getattr(self.dataset, "source", None)
        return str(source(index)) if callable(source) else ""

    def non_finite(self, indices: Iterable[int]) -> str:
        """Return a sentence about the first of some samples with a number that is infinite or NaN, or ``""``.

        The samples are loaded again; those that cannot be converted to tensors are left out.
        """
        with isolated_random_state():
            for index in indices:
                with suppress(Exception):
                    for name, values in tensors_in(default_collate([self.dataset[index]])):
                        if values.is_floating_point() and not bool(values.isfinite().all()):
                            value = values[~values.isfinite()][0].item()
                            return f"{self.describe(index)} has {value}{f' in {name}' if name else ''}."
        return ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)  # accessed during unpickling in a worker, before self.dataset exists
        return getattr(self.dataset, name)


class StreamReader(_Reporting, IterableDataset[Any]):
    """Wraps a stream so that an exception that it raises becomes a ``SampleError``.

    All attributes of the stream are available on the wrapper.

    Args:
        stream: An ``IterableDataset`` of torch.
        place: Place of the dataset in a config, for errors; see ``cfgtrain.origin.location``.

    Attributes:
        share_of: In a worker process, the arguments of ``shard_stream``: the number of the worker among all
            workers, and of all workers.
    """

    def __init__(self, stream: Any, place: Location | None = None) -> None:
        self.stream = stream
        self.share_of: tuple[int, int] | None = None
        self.place: Location = place or {"origin": None, "key": None}

    def __iter__(self) -> Iterator[Any]:
        count = 0
        samples: Iterator[Any] | None = None
        while True:
            self.set_loading(count)
            try:
                if samples is None:
                    if self.share_of is not None:
                        shard_stream(self.stream, *self.share_of)
                    samples = iter(self.stream)
                sample = next(samples)
            except StopIteration:
                break
            except (Exception, SystemExit) as error:
                failed = _sample_error(self.describe(count), error, self.place)
                if get_worker_info() is None:
                    raise failed from error
                failed.__cause__ = error
                failure = Failure.of(failed)
                while True:  # a single one could be dropped as an incomplete batch
                    yield failure
            self.set_loading(NO_SAMPLE)
            count += 1
            yield sample
        self.set_loading(NO_SAMPLE)

    def describe(self, index: int) -> str:
        """Return a description of a sample, with its number among those that this worker reads."""
        return f"Sample {index} of a pass over {type(self.stream).__name__}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "stream":
            raise AttributeError(name)  # see SeededDataset
        return getattr(self.stream, name)


class SizedStreamReader(StreamReader):
    """A reader of a stream that has a length."""

    def __len__(self) -> int:
        return len(self.stream)


class BatchMaker:
    """Merges samples into a batch, and passes on what happened to them.

    Random numbers that a custom function draws come from a state that is a function of (seed, epoch, position
    of the first sample), and the global random state is restored afterwards.

    Args:
        dataset: What loaded the samples.
        collate_fn: A custom function that merges a list of samples; by default ``merge_samples``, or MMCV's ``collate``
            if the samples have a ``DataContainer``. Each ``DataContainer`` in what it returns is replaced by its data.
    """

    def __init__(
        self, dataset: SeededDataset | StreamReader, collate_fn: Callable[[list[Any]], Any] | None = None
    ) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn

    def __call__(self, samples: list[Any]) -> Any:
        """Return the batch, a ``WithSkipped`` with it, or in a worker process a ``Failure``.

        Raises:
            SampleError: The samples cannot be merged.
        """
        failure = samples.failure if isinstance(samples, Samples) else None
        failure = failure or next((each for each in samples if isinstance(each, Failure)), None)
        if failure is not None:
            return failure
        try:
            batch = self._merge(samples)
        except SampleError as error:
            if get_worker_info() is None:
                raise
            return Failure.of(error)
        if isinstance(samples, Samples) and samples.skipped:
            return WithSkipped(batch, samples.skipped)
        return batch

    def _merge(self, samples: list[Any]) -> Any:
        def describe(at: int) -> str:
            return (
                self.dataset.describe(samples.indices[at]) if isinstance(samples, Samples) else f"sample {at}"
            )

        merge = merge_function(samples, self.collate_fn)
        if merge is None:
            rows = samples.rows if isinstance(samples, Samples) else None
            merged = None if rows is None else rows.complete(samples)
            return merge_samples(samples, describe, merged, **self.dataset.place)
        try:
            if not isinstance(samples, Samples):
                return unpack_containers(merge(list(samples)))
            epoch, position, _ = samples.draws[0]
            with isolated_random_state():
                seed_sample(derive_seed(self.dataset.seed, epoch, position, _BATCH))
                return unpack_containers(merge(list(samples)))
        except Exception as error:
            raise SampleError(
                f"{callable_name(merge)} cannot merge the samples of a batch: {type(error).__name__}: {error}. "
                f"The first is: {describe(0)}.",
                **self.dataset.place,
            ) from error


def merge_function(
    samples: Sequence[Any], collate_fn: Callable[[list[Any]], Any] | None
) -> Callable[[list[Any]], Any] | None:
    """Return the function that merges samples, or None for ``merge_samples``.

    Args:
        samples: The samples of a batch.
        collate_fn: A custom function. Without it, samples with a ``DataContainer`` are merged by MMCV's ``collate``.

    Returns:
        The function. The caller replaces each ``DataContainer`` in its result by its data.
    """
    if collate_fn is None and _has_container(samples[0]):
        return partial(collate, samples_per_gpu=len(samples))
    return collate_fn


def _has_container(sample: Any) -> bool:
    """Return whether a sample, a dict or a sequence, has a ``DataContainer``."""
    values = sample.values() if isinstance(sample, Mapping) else sample
    return (
        isinstance(values, Iterable)
        and not isinstance(values, str | bytes | Tensor | np.ndarray)
        and any(isinstance(value, DataContainer) for value in values)
    )


def _sample_error(sample: str, error: BaseException, place: Location, source: str = "") -> SampleError:
    """Return the error about a sample that cannot be loaded.

    Args:
        sample: Its description.
        error: Why.
        place: Place of the dataset in a config.
        source: Where the sample is from, which the description contains.
    """
    reason = str(error).strip().removeprefix(f"{source}: ")
    if isinstance(error, ImageDecodeError | FileContentError):  # says itself what is wrong with the file
        reason = f"{reason.rstrip('.')}."
        hint = (
            "Replace or remove the file, or set data.train_dataloader.on_error='skip' to skip such samples of the "
            "training."
        )
    else:
        reason, hint = f"{type(error).__name__}: {reason}".rstrip(": "), ""
    if isinstance(error, FileNotFoundError):
        reason, hint = f"{reason.rstrip('.')}.", "Was it moved or deleted after the run began?"
    return SampleError(f"{sample} cannot be loaded: {reason}", hint=hint, **place)


def _reason(error: SampleError, source: str) -> str:
    """Return why a sample cannot be loaded, for the list of skipped samples, which contains its source."""
    cause = error.__cause__
    if cause is None:
        return "its pipeline returned None"
    return f"{type(cause).__name__}: {str(cause).removeprefix(f'{source}: ')}"
