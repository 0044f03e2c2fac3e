"""Find the checkpoint that a run resumes from."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.checkpoint.read import read_lazily, verify_checkpoint
from cfgtrain.checkpoint.sharded import checkpoints_in, is_sharded
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import printable

__all__ = ["Found", "Resumed", "Skipped", "find_checkpoint", "find_resume", "relocated"]


class Skipped(NamedTuple):
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


class Found(NamedTuple):
    """The result of a search for a checkpoint to resume from.

    Attributes:
        path: The newest intact checkpoint, or None.
        checkpoint: Its content, read once.
        skipped: Newer checkpoints that are damaged, newest first.
    """

    path: Path | None
    checkpoint: dict[str, Any] | None
    skipped: list[Skipped]


def find_checkpoint(*folders: Path, trusted: bool = False) -> Found:
    """Return the newest checkpoint in some folders that is intact and can be resumed from.

    Checkpoints are ordered by the start of their run, then by their progress in it; both are read
    from the files. Modification times only decide between equal ones, because
    copying changes these. Files that cannot be read at all come first, newest first.

    Args:
        folders: Where the checkpoints are.
        trusted: Whether their files may run code while they are loaded; see ``load_checkpoint``.
    """
    unreadable: list[Skipped] = []
    readable: list[tuple[str, int, int, int, Path]] = []
    files = {path for folder in folders for path in checkpoints_in(folder)}
    for path in sorted(files, key=_modified, reverse=True):
        try:
            progress = _progress_of(path, trusted)
        except CheckpointError as error:
            unreadable.append(Skipped(path, str(error)))
            continue
        if progress is not None:
            readable.append((*progress, path))
    skipped = unreadable
    for *_, path in sorted(readable, reverse=True):
        try:
            checkpoint = read_checkpoint(path, trusted=trusted)
        except CheckpointError as error:
            skipped.append(Skipped(path, str(error)))
            continue
        later = (other for *_, other in readable if _modified(other) > _modified(path))
        return Found(path, checkpoint, [*skipped, *_damaged(later, skipped, trusted)])
    return Found(None, None, skipped)


def _damaged(paths: Iterable[Path], known: list[Skipped], trusted: bool) -> Iterator[Skipped]:
    """Yield files whose damage makes them look older than they are."""
    for path in paths:
        if path not in [each.path for each in known]:
            try:
                verify_checkpoint(path, trusted=trusted)
            except CheckpointError as error:
                yield Skipped(path, str(error))


class Resumed(NamedTuple):
    """The checkpoint that a run resumes from.

    Attributes:
        path: Its path or URI.
        checkpoint: Its content.
    """

    path: str
    checkpoint: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The id of the run that wrote it, or an empty str."""
        return str(self.checkpoint.get("meta", {}).get("run_id") or "")


def find_resume(
    wanted: str | None, folders: Sequence[Path], logger: logging.Logger, trusted: bool = False
) -> Resumed | None:
    """Return the checkpoint at a path, or for ``"auto"`` the newest intact one in the folders.

    Checkpoints that cannot be used are logged with the reason. Returns None for None, and if
    there is no checkpoint to resume from. A ``trusted`` checkpoint may run code; see ``load_checkpoint``.

    Raises:
        CheckpointError: The named checkpoint does not exist or is damaged.
    """
    if not wanted:
        return None
    if wanted != "auto":
        return Resumed(str(wanted), read_checkpoint(wanted, trusted=trusted))
    found = find_checkpoint(*folders, trusted=trusted)
    for path, reason in found.skipped:
        logger.warning("Skipping %s: %s", printable(path.name), reason)
    if found.path is None or found.checkpoint is None:
        logger.info("There is no checkpoint in %s to resume from: the run starts anew.", folders[0])
        return None
    return Resumed(str(found.path), found.checkpoint)


def relocated(messages: Mapping[str, Any], checkpoint: str | Path) -> dict[str, Any]:
    """Return the ``hook_msgs`` of a checkpoint whose folder may have been moved or copied since it was saved.

    ``best_ckpt`` and ``last_ckpt`` are absolute paths. If a checkpoint exists
    at the same path relative to the folder of the checkpoint, that file is used instead.

    Args:
        messages: As saved in the checkpoint.
        checkpoint: Path of the checkpoint now.
    """
    paths = {
        key: Path(messages[key]) for key in ("best_ckpt", "last_ckpt") if isinstance(messages.get(key), str)
    }
    now = Path(checkpoint).absolute()
    # The checkpoint is the newest of the run, or the best one.
    saved = next((path for path in paths.values() if path.name == now.name), paths.get("last_ckpt"))
    moved = {
        key: now.parent / (path.name if saved is None else os.path.relpath(path, saved.parent))
        for key, path in paths.items()
    }
    return {
        **messages,
        **{key: os.path.normpath(path) for key, path in moved.items() if path.is_file() or is_sharded(path)},
    }


def _progress_of(path: Path, trusted: bool) -> tuple[str, int, int, int] | None:
    """Return run id, completed iterations and epochs, and modification time; None for weights alone."""
    checkpoint = read_lazily(path, trusted)
    if "resume" not in checkpoint:
        verify_checkpoint(path, trusted=trusted)  # damage may have removed the key
        return None
    try:
        run, position = checkpoint["meta"].get("run_id", ""), checkpoint["resume"]["position"]
        done = int(position["iter"]), int(position["epoch"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"its position in the run cannot be read: {type(error).__name__}: {error}"
        ) from error
    return str(run), *done, _modified(path)


def _modified(path: Path) -> int:
    return path.lstat().st_mtime_ns
