"""Running the jobs in threads: OpenCV releases the GIL while it decodes, resizes and encodes."""

from __future__ import annotations

import errno
import threading
import traceback
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2

from cfgtrain.errors import CfgTrainError
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.image_files.header import Size
from cfgtrain.image_files.reader import read_header, read_picture
from cfgtrain.image_files.writer import encode_picture
from cfgtrain.utils.paths import mkdir_or_exist
from cfgtrain_cli.image.plan import Job
from cfgtrain_cli.image.tasks import Task

# Errors of writing that all other images would have too: no permission, a read-only or a full disk.
_HOPELESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class OutputFolderError(CfgTrainError, OSError):
    """Nothing can be written to the output folder."""


@dataclass(frozen=True)
class Outcome:
    """The result of one job.

    Attributes:
        job: The job.
        before: (w, h) of the upright input, or None if it is unknown.
        after: (w, h) of the output.
        losses: Descriptions of what could not be kept.
        error: Why nothing was written, or None.
    """

    job: Job
    before: Size | None = None
    after: Size | None = None
    losses: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of all jobs.

    Attributes:
        task: The operation on each image.
        quality: Of the encoder, from 1 to 100; None for its default.
        overwrite: Whether outputs may replace files.
        threads: The number of jobs to run at the same time.
    """

    task: Task
    quality: int | None = None
    overwrite: bool = False
    threads: int = 1


class Batch:
    """The execution of some jobs.

    Args:
        jobs: The jobs to run.
        settings: Their settings.

    Attributes:
        finished: The outcomes of the finished jobs, in the order in which they finished.
    """

    def __init__(self, jobs: list[Job], settings: Settings) -> None:
        self.finished: list[Outcome] = []
        self._jobs = jobs
        self._settings = settings
        self._stop = threading.Event()

    def outcomes(self) -> Generator[Outcome]:
        """Run the jobs, and yield the outcome of each as soon as it is finished.

        When the generator is closed, images that are being written are finished, and no more are started.

        Raises:
            OutputFolderError: Nothing can be written to the output folder.
        """
        threads = self._settings.threads
        cv2.setNumThreads(1 if threads > 1 else -1)  # one image per thread, or one on all cores
        pool = ThreadPoolExecutor(threads, thread_name_prefix="image")
        try:
            for future in as_completed([pool.submit(self._run, job) for job in self._jobs]):
                yield future.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def _run(self, job: Job) -> Outcome:
        outcome = run_job(job, self._settings, self._stop)
        self.finished.append(outcome)
        return outcome


def preview_job(job: Job, task: Task) -> Outcome:
    """Return the outcome that a job would have, from the header of its file alone."""
    try:
        header = read_header(job.source.read_bytes())
        before = header.upright_size
        return Outcome(job, before, task.new_size(before) if before else None)
    except (CfgTrainError, OSError) as error:
        return Outcome(job, error=reason(error))


def run_job(job: Job, settings: Settings, stop: threading.Event) -> Outcome:
    """Run one job; an error of this image becomes part of the outcome.

    Raises:
        OutputFolderError: Nothing can be written to the output folder.
    """
    try:
        task = settings.task
        picture = read_picture(job.source.read_bytes(), task.new_size if task.may_reduce else None)
        pixels = task.apply(picture)
        content, losses = encode_picture(pixels, picture.header, job.output.suffix, settings.quality)
        if stop.is_set():
            return Outcome(job, error="Interrupted.")
        _write(job.output, content, settings.overwrite)
    except OutputFolderError:
        raise
    except (CfgTrainError, OSError, MemoryError) as error:
        return Outcome(job, error=reason(error))
    except Exception as error:  # a bug must not stop the other images
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Outcome(job, error=f"Internal error: {type(error).__name__}: {error} ({place}).")
    return Outcome(job, picture.size, (pixels.shape[1], pixels.shape[0]), tuple(losses))


def _write(output: Path, content: bytes, overwrite: bool) -> None:
    try:
        mkdir_or_exist(output.parent)
        with atomic_write(output, durable=False, overwrite=overwrite) as file:
            file.write(content)
    except OSError as error:
        if error.errno in _HOPELESS:
            raise OutputFolderError(
                f"Cannot write to the folder {str(output.parent)!r}: {error.strerror}."
            ) from error
        raise


def reason(error: Exception) -> str:
    """Return the text of an error for a report."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
