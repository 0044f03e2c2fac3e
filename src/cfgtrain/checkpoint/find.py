"""Find the checkpoint that a run goes on from."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.errors import CheckpointError

__all__ = [
    "Found",
    "PassedOver",
    "Resumed",
    "find_checkpoint",
    "find_resume",
    "remove_own",
    "run_of",
    "set_aside",
]


class PassedOver(NamedTuple):
    """A checkpoint that was not taken, and why."""

    path: Path
    reason: str


class Found(NamedTuple):
    """What a folder holds to go on from.

    Attributes:
        path: The newest whole checkpoint, or None.
        checkpoint: What it holds, read once.
        passed_over: Newer ones that are damaged, newest first.
    """

    path: Path | None
    checkpoint: dict[str, Any] | None
    passed_over: list[PassedOver]


def find_checkpoint(*folders: Path) -> Found:
    """Return the newest checkpoint in some folders that is whole and can be gone on from.

    Newest is the run that began last, and of it the furthest: what the files say of
    themselves, and only where they say the same their times, which copying changes. Files
    that cannot even be asked are tried in the order of their times, before the others.
    """
    unreadable: list[PassedOver] = []
    readable: list[tuple[str, int, int, int, Path]] = []
    files = {path for folder in folders for path in folder.glob("*.pth") if not path.is_symlink()}
    for path in sorted(files, key=_modified, reverse=True):
        try:
            facts = _peek(path)
        except CheckpointError as error:
            unreadable.append(PassedOver(path, str(error)))
            continue
        if facts is not None:
            readable.append((*facts, path))
    passed_over = unreadable
    for *_, path in sorted(readable, reverse=True):
        try:
            checkpoint = read_checkpoint(path)
        except CheckpointError as error:
            passed_over.append(PassedOver(path, str(error)))
            continue
        younger = (other for *_, other in readable if _modified(other) > _modified(path))
        return Found(path, checkpoint, [*passed_over, *_damaged(younger, passed_over)])
    return Found(None, None, passed_over)


def _damaged(paths: Iterable[Path], known: list[PassedOver]) -> Iterator[PassedOver]:
    """Find files that are damaged so that they only say they are of an earlier time."""
    for path in paths:
        if path not in [passed.path for passed in known]:
            try:
                verify_digest(path)
            except CheckpointError as error:
                yield PassedOver(path, str(error))


class Resumed(NamedTuple):
    """The checkpoint that a run goes on from."""

    path: Path
    checkpoint: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The id of the run that wrote it, or an empty str."""
        return str(self.checkpoint.get("meta", {}).get("run_id") or "")


def find_resume(wanted: str | None, folders: Sequence[Path], logger: logging.Logger) -> Resumed | None:
    """Return the checkpoint of that path, or with ``"auto"`` the newest whole one in the folders.

    What is passed over is logged with the reason; None is returned for None, and when there
    is nothing to go on from.

    Raises:
        CheckpointError: The named checkpoint is not there or is damaged.
    """
    if not wanted:
        return None
    if wanted != "auto":
        return Resumed(Path(wanted), read_checkpoint(wanted))
    found = find_checkpoint(*folders)
    for path, reason in found.passed_over:
        logger.warning("%s is passed over: %s", path.name, reason)
    if found.path is None or found.checkpoint is None:
        logger.info("There is no checkpoint in %s to go on from: the run begins anew.", folders[0])
        return None
    return Resumed(found.path, found.checkpoint)


def set_aside(path: Path, run_id: str | None) -> None:
    """Rename a checkpoint that another run wrote, so that this run does not overwrite it.

    Args:
        path: What is about to be written.
        run_id: Of this run; without one nothing is known of others.
    """
    if run_id is None or not path.exists():
        return
    other = run_of(path)
    if other != run_id:
        age = other or time.strftime("%Y%m%d_%H%M%S", time.localtime(path.stat().st_mtime))
        names = [f"{path.stem}.{age}", *(f"{path.stem}.{age}_{number}" for number in range(2, 1000))]
        targets = (path.with_name(name + path.suffix) for name in names)
        try:
            path.rename(next(target for target in targets if not target.exists()))
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {path} of an earlier run cannot be set aside: {error}."
            ) from error


def remove_own(path: Path, run_id: str | None, logger: logging.Logger) -> None:
    """Remove a checkpoint that is one too many, unless it is not the one that is meant.

    Args:
        path: Of the checkpoint; it may be gone already.
        run_id: Of the run that wrote it; without one nothing is known of others.
        logger: Is told if it cannot be removed.
    """
    try:
        if run_id is None or (path.exists() and run_of(path) == run_id):
            path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("The old checkpoint %s cannot be removed: %s", path, error)


def run_of(path: Path) -> str | None:
    """Return the id of the run that wrote a checkpoint, or None if that cannot be told."""
    try:
        return str(_load_lazily(path)["meta"]["run_id"])
    except (CheckpointError, LookupError, TypeError):
        return None


def _peek(path: Path) -> tuple[str, int, int, int] | None:
    """Return the run, how many iterations and epochs are done, and the file's time; None for bare weights."""
    checkpoint = _load_lazily(path)
    if "resume" not in checkpoint:
        verify_digest(path)  # it may have been there
        return None
    try:
        run, place = checkpoint["meta"].get("run_id", ""), checkpoint["resume"]["position"]
        done = int(place["iter"]), int(place["epoch"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"it does not say what it is of: {type(error).__name__}: {error}") from error
    return str(run), *done, _modified(path)


def _load_lazily(path: Path) -> dict[str, Any]:
    """Read what a checkpoint says of itself; the weights stay on disk."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file can fail in any way
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"it cannot be read: {first[:120]}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError("it is no checkpoint")
    return checkpoint


def _modified(path: Path) -> int:
    return path.lstat().st_mtime_ns
