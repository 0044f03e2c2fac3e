"""Find the checkpoint that a run goes on from."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.errors import CheckpointError

__all__ = ["Found", "PassedOver", "Resumed", "find_checkpoint", "find_resume", "run_of", "set_aside"]


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


def find_checkpoint(folder: Path) -> Found:
    """Return the newest checkpoint of a folder that is whole and can be gone on from.

    Newest is the run that began last, and of it the furthest: what the files say of
    themselves, not their times, which copying changes. Files that cannot even be asked are
    tried in the order of their times, before the others.
    """
    unreadable: list[PassedOver] = []
    readable: list[tuple[str, int, int, Path]] = []
    for path in sorted(folder.glob("*.pth"), key=_modified, reverse=True):
        if path.is_symlink():
            continue
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
            return Found(path, read_checkpoint(path), passed_over)
        except CheckpointError as error:
            passed_over.append(PassedOver(path, str(error)))
    return Found(None, None, passed_over)


class Resumed(NamedTuple):
    """The checkpoint that a run goes on from."""

    path: Path
    checkpoint: dict[str, Any]


def find_resume(wanted: str | None, folder: Path, logger: logging.Logger) -> Resumed | None:
    """Return the checkpoint of that path, or with ``"auto"`` the newest whole one of the folder.

    What is passed over is logged with the reason; None is returned for None, and when there
    is nothing to go on from.

    Raises:
        CheckpointError: The named checkpoint is not there or is damaged.
    """
    if not wanted:
        return None
    if wanted != "auto":
        return Resumed(Path(wanted), read_checkpoint(wanted))
    found = find_checkpoint(folder)
    for path, reason in found.passed_over:
        logger.warning("%s is passed over: %s", path.name, reason)
    if found.path is None or found.checkpoint is None:
        logger.info("There is no checkpoint in %s to go on from: the run begins anew.", folder)
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
        path.rename(path.with_name(f"{path.stem}.{age}{path.suffix}"))


def run_of(path: Path) -> str | None:
    """Return the id of the run that wrote a checkpoint, or None if that cannot be told."""
    try:
        return str(_load_lazily(path)["meta"]["run_id"])
    except (CheckpointError, KeyError, TypeError):
        return None


def _peek(path: Path) -> tuple[str, int, int] | None:
    """Return the run, its progress in iterations and the file's time; None for bare weights."""
    checkpoint = _load_lazily(path)
    if "resume" not in checkpoint:
        return None
    place = checkpoint["resume"]["position"]
    return str(checkpoint["meta"].get("run_id", "")), int(place["iter"]), _modified(path)


def _load_lazily(path: Path) -> dict[str, Any]:
    """Read what a checkpoint says of itself; the weights stay on disk."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file can fail in any way
        raise CheckpointError(f"it cannot be read: {str(error).splitlines()[0][:120]}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError("it is no checkpoint")
    return checkpoint


def _modified(path: Path) -> int:
    return path.lstat().st_mtime_ns
