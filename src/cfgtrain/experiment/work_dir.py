"""The folder of a run: made, tried, and given its config and its log."""

from __future__ import annotations

import logging
import secrets
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cfgtrain.config.bases import SUFFIXES
from cfgtrain.config.config import Config
from cfgtrain.errors import ConfigNotFoundError, WorkDirError
from cfgtrain.filesystem.atomic import atomic_write, remove_unfinished
from cfgtrain.filesystem.lock import locked_folder
from cfgtrain.origin import Origin

MARK = "# The merged config of a run, written by cfgtrain."

__all__ = [
    "config_stem",
    "find_config",
    "make_work_dir",
    "new_run_id",
    "run_log",
    "sole_use",
    "write_config",
]


def config_stem(cfg: Config) -> str:
    """Return the name of the config's file without its extension."""
    return Path(cfg.filename).stem if cfg.filename else "run"


def make_work_dir(cfg: Config) -> Path:
    """Make the work directory, and see that it can be written to."""
    work_dir = Path(cfg.work_dir).expanduser().absolute()
    with told_of_folder(work_dir):
        work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            return work_dir


@contextmanager
def sole_use(folders: Iterable[Path]) -> Iterator[None]:
    """Make the folders that a run writes to, hold them against other runs, and tidy them up.

    Raises:
        WorkDirError: One of them is in use, or cannot be written to.
    """
    with ExitStack() as locks:
        for folder in dict.fromkeys(each.resolve() for each in folders):
            with told_of_folder(folder):
                folder.mkdir(parents=True, exist_ok=True)
            locks.enter_context(locked_folder(folder))
            remove_unfinished(folder)
        yield


def write_config(cfg: Config, work_dir: Path) -> None:
    """Put the merged config into the work directory, over no file but one of that kind."""
    with told_of_folder(work_dir):
        file = work_dir / f"{config_stem(cfg)}.py"
        if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(MARK):
            file = file.with_suffix(".merged.py")  # the config itself, or a file of the user's
        with atomic_write(file) as out:
            out.write(f"{MARK}\n{cfg.pretty_text}".encode())


def find_config(work_dir: Path) -> Path:
    """Return the merged config in a work directory; one that MMCV left there will do.

    Raises:
        ConfigNotFoundError: There is none, or more than one.
    """
    files = sorted(each for each in work_dir.glob("*.py") if each.is_file())
    found = [file for file in files if file.read_bytes().startswith(MARK.encode())] or files
    if not found:
        others = sorted(each for each in work_dir.glob("*") if each.suffix in SUFFIXES)
        found = [each for each in others if not each.name.endswith(".log.json")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found)
    problem = f"holds {len(found)} configs: {names}. Name one of them" if found else "holds no config"
    raise ConfigNotFoundError(f"The folder {work_dir} {problem}.", origin=Origin(str(work_dir)))


@contextmanager
def told_of_folder(folder: Path) -> Iterator[None]:
    """Say of a failure of the disk which folder it is about."""
    try:
        yield
    except OSError as error:
        raise WorkDirError(
            f"The folder {folder} cannot be written to: {error.strerror or error}. "
            "Choose another with --work-dir."
        ) from error


def unused_stamp(work_dir: Path) -> str:
    """Return the time as ``YYYYmmdd_HHMMSS``, with a number if a log of that second is there."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    names = [stamp, *(f"{stamp}_{number}" for number in range(2, 1000))]
    return next(name for name in names if not (work_dir / f"{name}.log").exists())


def new_run_id(before: str = "") -> str:
    """Return a name for a run that sorts after those of runs that began before, in any time zone.

    Args:
        before: The name of the run that this one goes on with: it sorts after that even if the
            clock has been put back meanwhile, or is that of another machine.
    """
    name = f"{datetime.now(UTC):%Y%m%d_%H%M%S_%f}_{secrets.token_hex(2)}"
    return name if name > before else f"{before}_{secrets.token_hex(2)}"


@contextmanager
def run_log(work_dir: Path, level: str) -> Iterator[tuple[logging.Logger, str]]:
    """Give the run a log file of its own, closed at the end; with it comes the stamp in its name."""
    stamp = unused_stamp(work_dir)
    logger = logging.getLogger("cfgtrain")
    before = logger.level
    with told_of_folder(work_dir):
        handler = _RunLog(work_dir / f"{stamp}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield logger, stamp
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        with suppress(OSError):  # a full disk
            handler.close()


class _RunLog(logging.FileHandler):
    """Does without a line when the disk is full, where logging would print a traceback for each."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop the line if it could not be written; any other error is a bug, which logging prints."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
