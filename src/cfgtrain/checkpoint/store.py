"""Where the checkpoints of a run go, and which of them it has written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cfgtrain.checkpoint.mirror import Mirror
from cfgtrain.checkpoint.ownership import remove_if_owned
from cfgtrain.checkpoint.sharded import is_sharded
from cfgtrain.errors import ArgumentError
from cfgtrain.fileio.backends.disk import HardDiskBackend
from cfgtrain.fileio.client import FileClient
from cfgtrain.filesystem.atomic import replace_symlink
from cfgtrain.parallel.dist import is_main_process

__all__ = ["CheckpointStore"]


class CheckpointStore:
    """The checkpoints that one hook writes: their folder, their copies and the list of them.

    If ``out_dir`` is on a disk, checkpoints are written to a folder in it that has the name of
    the work directory. Otherwise they are written to the work directory, because only there
    they can be written atomically and durably, and copied to a mirror of that name.

    Only the main process writes, copies and removes files; the list is the same in all processes.

    Args:
        out_dir: A path or URI; None is the work directory itself.
        file_client_args: Arguments of ``FileClient`` for it.

    Attributes:
        folder: Folder that checkpoints are written to, or None before ``open``.
        mirror: Where they are copied to, or None.
        written: Maps the path of each checkpoint, oldest first, to the id of the run that wrote it.

    Raises:
        ArgumentError: ``file_client_args`` is for another backend than the disk, and there is no ``out_dir``.
    """

    def __init__(self, out_dir: str | None = None, file_client_args: Mapping[str, Any] | None = None) -> None:
        args = dict(file_client_args or {})
        if out_dir is None and args.get("backend", "disk") != "disk":
            raise ArgumentError(
                f"file_client_args={args!r} is for an out_dir, and there is none.",
                argument="file_client_args",
            )
        self.out_dir = out_dir
        self.folder: Path | None = None
        self.mirror: Mirror | None = None
        self.written: dict[Path, str | None] = {}
        self._written_before = self.written
        self._client = FileClient.infer_client(args, out_dir)
        self._on_disk = isinstance(self._client.client, HardDiskBackend)

    def folder_for(self, work_dir: str | Path) -> Path:
        """Return the folder on disk that the checkpoints of a run are written to."""
        if self.out_dir is None or not self._on_disk:
            return Path(work_dir)
        with self._client.get_local_path(self.out_dir) as local:
            return Path(local) / Path(work_dir).name

    def mirror_for(self, work_dir: str | Path) -> Mirror | None:
        """Return where the checkpoints of a run are copied to, or None."""
        if self.out_dir is None or self._on_disk:
            return None
        return Mirror(self._client, self._client.join_path(self.out_dir, Path(work_dir).name))

    def open(self, work_dir: str | Path) -> Path:
        """Set and return the folder of a run, and check that its mirror can be written.

        Raises:
            CheckpointError: The mirror cannot be written.
        """
        self.folder = self.folder_for(work_dir)
        self.mirror = self.mirror_for(work_dir) if is_main_process() else None
        if self.mirror is not None:
            self.mirror.check_writable()
        return self.folder

    def add(self, name: str, run_id: str | None) -> Path:
        """Add a checkpoint that is about to be written: the list that is saved in it must include it.

        Args:
            name: Name of the file or folder.
            run_id: Id of this run.

        Returns:
            The path to write it to.
        """
        path = (self.folder or Path()) / name
        self._written_before = self.written
        self.written = {other: run for other, run in self.written.items() if other != path}
        self.written[path] = run_id
        return path

    def undo_add(self) -> None:
        """Restore the list from before ``add``: the checkpoint could not be written."""
        self.written = self._written_before

    def commit(self, keep: int, logger: logging.Logger, best: bool = False) -> str | None:
        """Copy the newest checkpoint to the mirror, and remove the oldest ones.

        Args:
            keep: How many checkpoints to keep; -1 keeps all.
            logger: Logger of the run.
            best: Whether the checkpoint was saved for its score.

        Returns:
            Why the checkpoint could not be copied, or None.
        """
        path = next(reversed(self.written))
        problem = None
        if self.mirror is not None:
            problem = self.mirror.copy(path, self.written[path], logger, best)
        self._remove_oldest(keep, logger)
        return problem

    def restore(
        self,
        written: Mapping[Path, str | None],
        keep: int,
        logger: logging.Logger,
        create_symlink: bool = False,
    ) -> None:
        """Set the list to that of a resumed run, and complete what a kill may have prevented.

        If the newest checkpoint was written, but the run was killed right after that, the oldest
        ones are still to be removed, and ``latest.pth`` is still to be updated.

        Args:
            written: As the attribute.
            keep: As for ``commit``.
            logger: Logger of the run.
            create_symlink: Whether ``latest.pth`` points to the newest checkpoint.
        """
        self.written = dict(written)
        newest = next(reversed(self.written), None)
        if newest is None or not (newest.is_file() or is_sharded(newest)):
            return
        self._remove_oldest(keep, logger)
        if create_symlink and is_main_process():
            with suppress(OSError):
                replace_symlink(newest.parent / "latest.pth", newest.name)

    def _remove_oldest(self, keep: int, logger: logging.Logger) -> None:
        for path in list(self.written)[:-keep] if keep > 0 else []:
            run_id = self.written.pop(path)
            if path.parent == self.folder and is_main_process():
                remove_if_owned(path, run_id, logger)
                if self.mirror is not None:
                    self.mirror.remove(path.name, run_id, logger)
