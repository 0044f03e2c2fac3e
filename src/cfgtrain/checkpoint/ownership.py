"""Which run wrote a checkpoint: one run never overwrites or removes those of another."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from cfgtrain.checkpoint.read import read_lazily
from cfgtrain.errors import CheckpointError
from cfgtrain.filesystem.atomic import remove_path

__all__ = ["remove_if_owned", "rename_foreign", "run_id_of"]


def run_id_of(path: Path) -> str | None:
    """Return the id of the run that wrote a checkpoint, or None if it is unknown."""
    try:
        return str(read_lazily(path)["meta"]["run_id"])
    except (CheckpointError, LookupError, TypeError):
        return None


def rename_foreign(path: Path, run_id: str | None) -> None:
    """Rename a checkpoint that another run wrote, so that this run does not overwrite it.

    Args:
        path: Path that is about to be written.
        run_id: Id of this run; None renames nothing.

    Raises:
        CheckpointError: It cannot be renamed.
    """
    if run_id is None or not path.exists():
        return
    other = run_id_of(path)
    if other != run_id:
        label = other or time.strftime("%Y%m%d_%H%M%S", time.localtime(path.stat().st_mtime))
        names = [f"{path.stem}.{label}", *(f"{path.stem}.{label}_{number}" for number in range(2, 1000))]
        targets = (path.with_name(name + path.suffix) for name in names)
        try:
            path.rename(next(target for target in targets if not target.exists()))
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {path} of an earlier run cannot be renamed: {error}."
            ) from error


def remove_if_owned(path: Path, run_id: str | None, logger: logging.Logger) -> None:
    """Remove a checkpoint, unless another run has written one of that name since.

    Args:
        path: Path of the checkpoint; it may be gone already.
        run_id: Id of the run that wrote it; None removes it without a check.
        logger: Receives a warning if it cannot be removed.
    """
    try:
        if run_id is None or (path.exists() and run_id_of(path) == run_id):
            remove_path(path)
    except OSError as error:
        logger.warning("The old checkpoint %s cannot be removed: %s", path, error)
