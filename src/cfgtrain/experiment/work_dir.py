"""The work directory of a run, with its config."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cfgtrain.config.bases import SUFFIXES
from cfgtrain.config.config import Config
from cfgtrain.errors import ConfigNotFoundError, WorkDirError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.filesystem.atomic import remove_unfinished
from cfgtrain.filesystem.lock import LOCK_NAME, locked_folder
from cfgtrain.origin import Location, Origin

HEADER = "# The merged config of a run, written by cfgtrain."

__all__ = [
    "before_the_run",
    "config_file",
    "config_stem",
    "find_config",
    "make_work_dir",
    "new_run_id",
    "unless_rejected",
    "work_dir_of",
    "exclusive_folders",
]


def config_stem(cfg: Config) -> str:
    """Return the name of the config's file without its extension."""
    return Path(cfg.filename).stem if cfg.filename else "run"


def work_dir_of(cfg: Config) -> Path:
    """Return the work directory of a config, which is ``work_dirs/<config name>`` by default."""
    work_dir = cfg.get("work_dir") or Path("work_dirs") / config_stem(cfg)
    return Path(work_dir).expanduser().absolute()


def make_work_dir(cfg: Config) -> Path:
    """Create the work directory, and check that it can be written to."""
    work_dir = work_dir_of(cfg)
    with folder_errors(work_dir):
        work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            return work_dir


@contextmanager
def unless_rejected(work_dir: Path) -> Iterator[None]:
    """Remove what the block has written to the work directory of a run, if it raises before the run has begun.

    That is the log, which the terminal shows too, and the folders that did not exist. Exceptions before the run has begun
    are marked by ``before_the_run``.
    """
    missing = [folder for folder in (work_dir, *work_dir.parents) if not folder.exists()]
    before = set(work_dir.glob("*.log*")) if work_dir.exists() else set()
    try:
        yield
    except BaseException as error:
        if getattr(error, "exit_code", None) in (ExitCode.USAGE, ExitCode.INTERRUPTED):
            for file in set(work_dir.glob("*.log*")) - before:
                file.unlink(missing_ok=True)
            if work_dir in missing:
                (work_dir / LOCK_NAME).unlink(missing_ok=True)
            with suppress(OSError):  # a folder that is not empty stays
                for folder in missing:
                    folder.rmdir()
        raise


@contextmanager
def before_the_run() -> Iterator[None]:
    """Give an exception in the block the exit code of a run that was not started, as an attribute ``exit_code``.

    It may be of custom code, or of torch, which a value of the config made fail, or a KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        error.exit_code = ExitCode.INTERRUPTED  # type: ignore[attr-defined]  # exceptions have any attributes
        raise
    except (Exception, SystemExit) as error:
        error.exit_code = ExitCode.USAGE  # type: ignore[union-attr]  # exceptions have any attributes
        raise


@contextmanager
def exclusive_folders(
    folders: Iterable[Path], places: Mapping[Path, Location] | None = None
) -> Iterator[None]:
    """Create the folders that a run writes to, lock them, and remove unfinished files from them.

    Args:
        folders: The folders.
        places: Where the config sets those that follow from an ``out_dir``.

    Raises:
        WorkDirError: One of them is in use, or cannot be written to.
    """
    place_of: dict[Path, Location | None] = {}
    for each in folders:
        place_of.setdefault(each.resolve(), (places or {}).get(each))
    with ExitStack() as locks:
        for folder, place in place_of.items():
            setting = "--work-dir" if place is None else "out_dir"
            try:
                with folder_errors(folder, setting):
                    folder.mkdir(parents=True, exist_ok=True)
                locks.enter_context(locked_folder(folder, setting))
            except WorkDirError as error:
                if place is not None:
                    error.origin, error.key = place["origin"], place["key"]
                raise
            remove_unfinished(folder)
        yield


def find_config(work_dir: Path) -> Path:
    """Return the path of the merged config in a work directory, which may be that of an MMCV run.

    Raises:
        ConfigNotFoundError: There is none, or more than one.
    """
    files = sorted(each for each in work_dir.glob("*.py") if each.is_file())
    found = [file for file in files if file.read_bytes().startswith(HEADER.encode())] or files
    if not found:
        others = sorted(each for each in work_dir.glob("*") if each.suffix in SUFFIXES)
        found = [each for each in others if not each.name.endswith(".log.json")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found)
    problem = f"holds {len(found)} configs: {names}. Name one of them" if found else "holds no config"
    raise ConfigNotFoundError(f"The folder {work_dir} {problem}.", origin=Origin(str(work_dir)))


def config_file(path: str | Path) -> Path:
    """Return the file of a config that is given by its path, or by the work directory of a run.

    Raises:
        ConfigNotFoundError: The folder contains no merged config, or more than one.
    """
    path = Path(path).expanduser()
    return find_config(path) if path.is_dir() else path


@contextmanager
def folder_errors(folder: Path, setting: str = "--work-dir") -> Iterator[None]:
    """Raise a WorkDirError that names the folder for an OSError in the block.

    Args:
        folder: The folder.
        setting: By what the user has chosen it.
    """
    try:
        yield
    except OSError as error:
        raise WorkDirError(
            f"The folder {folder} cannot be written to: {error.strerror or error}.",
            hint=f"Choose another with {setting}.",
        ) from error


def new_run_id(before: str = "") -> str:
    """Return an id for a run that sorts after the ids of earlier runs, in any time zone.

    Args:
        before: The id of the run that is resumed. The new id sorts after it even if the clock was
            set back, or is that of another machine.
    """
    name = f"{datetime.now(UTC):%Y%m%d_%H%M%S_%f}_{secrets.token_hex(2)}"
    return name if name > before else f"{before}_{secrets.token_hex(2)}"
