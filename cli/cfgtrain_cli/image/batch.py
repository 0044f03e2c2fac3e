"""Doing the jobs, in threads: OpenCV lets others run while it decodes, resizes and encodes."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2

from cfgtrain.errors import CfgTrainError
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.image.formats.sniff import read_header
from cfgtrain.image.picture import Size, encode_picture, read_picture, upright_size
from cfgtrain.utils.paths import mkdir_or_exist
from cfgtrain_cli.image.plan import Job
from cfgtrain_cli.image.tasks import Task


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        job: Which.
        before: (w, h) of the picture, upright; None where that is not known.
        after: (w, h) of what was written.
        losses: What could not be kept, in words.
        error: Why nothing was written, or None.
    """

    job: Job
    before: Size | None = None
    after: Size | None = None
    losses: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Settings:
    """What holds for all jobs.

    Attributes:
        task: What to do to each picture.
        quality: 1 to 100, or None.
        overwrite: Whether outputs may replace files.
        threads: How many jobs to do at once.
    """

    task: Task
    quality: int | None = None
    overwrite: bool = False
    threads: int = 1


class Batch:
    """Jobs that are being done.

    Args:
        jobs: What to do.
        settings: How.

    Attributes:
        finished: What has become of the jobs, in the order in which they ended.
    """

    def __init__(self, jobs: list[Job], settings: Settings) -> None:
        self.finished: list[Outcome] = []
        self._jobs = jobs
        self._settings = settings
        self._stop = threading.Event()

    def outcomes(self) -> Generator[Outcome]:
        """Do the jobs, and yield what becomes of each as soon as it is known.

        When it is closed, the pictures that are being written are finished, and no more are begun.
        """
        threads = self._settings.threads
        _quiet_opencv()
        cv2.setNumThreads(1 if threads > 1 else -1)  # one picture per thread, or one on all cores
        pool = ThreadPoolExecutor(threads, thread_name_prefix="image")
        try:
            for future in as_completed([pool.submit(self._do, job) for job in self._jobs]):
                yield future.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def _do(self, job: Job) -> Outcome:
        outcome = do(job, self._settings, self._stop)
        self.finished.append(outcome)
        return outcome


def look_at(job: Job, task: Task) -> Outcome:
    """Say what would become of a job, from the head of its file alone."""
    try:
        header = read_header(job.source.read_bytes())
        before = upright_size(header) if header.size else None
        return Outcome(job, before, task.wanted(before) if before else None)
    except (CfgTrainError, OSError) as error:
        return Outcome(job, error=_reason(error))


def do(job: Job, settings: Settings, stop: threading.Event) -> Outcome:
    """Do one job; what is wrong with its files becomes part of the outcome."""
    try:
        picture = read_picture(job.source.read_bytes(), settings.task.wanted)
        pixels = settings.task.apply(picture)
        content, losses = encode_picture(pixels, picture.header, job.output.suffix, settings.quality)
        if stop.is_set():
            return Outcome(job, error="Interrupted.")
        mkdir_or_exist(job.output.parent)
        with atomic_write(job.output, durable=False, overwrite=settings.overwrite) as file:
            file.write(content)
    except (CfgTrainError, OSError, MemoryError) as error:
        return Outcome(job, error=_reason(error))
    except Exception as error:  # a fault of ours; the pictures after this one are done all the same
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Outcome(job, error=f"A fault of cfgtrain's: {type(error).__name__}: {error} ({place}).")
    return Outcome(job, picture.size, (pixels.shape[1], pixels.shape[0]), tuple(losses))


def _quiet_opencv() -> None:
    """Let OpenCV keep to itself what it thinks of a file: what is wrong is told at the end."""
    if hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    else:  # OpenCV 4
        vars(cv2)["setLogLevel"](0)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
