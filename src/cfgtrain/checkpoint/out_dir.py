"""Where checkpoints go: the work directory, another folder, or a copy in an object store."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.find import run_of, set_aside
from cfgtrain.errors import ArgumentError, CheckpointError
from cfgtrain.fileio.backends.disk import HardDiskBackend
from cfgtrain.fileio.client import FileClient
from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["Mirror", "OutDir"]

INDEX = "checkpoints.json"  # what a mirror holds, oldest first


class OutDir:
    """The ``out_dir`` of a hook.

    On a disk, checkpoints go to a folder in it, named as the work directory. Elsewhere, they
    go to the work directory, as only there they can be made whole and durable, and from there
    to a mirror of that name.

    Args:
        out_dir: A path or URI; None is the work directory itself.
        file_client_args: Arguments of ``FileClient`` for it.

    Raises:
        ArgumentError: ``file_client_args`` is for another backend than the disk, and there is no ``out_dir``.
    """

    def __init__(self, out_dir: str | None, file_client_args: Mapping[str, Any] | None = None) -> None:
        args = dict(file_client_args or {})
        if out_dir is None and args.get("backend", "disk") != "disk":
            raise ArgumentError(
                f"file_client_args={args!r} is for an out_dir, and there is none.",
                argument="file_client_args",
            )
        self.out_dir = out_dir
        self._store = FileClient.infer_client(args, out_dir)
        self._on_disk = isinstance(self._store.client, HardDiskBackend)

    def folder(self, work_dir: str | Path) -> Path:
        """Return the folder on disk that checkpoints are written to."""
        if self.out_dir is None or not self._on_disk:
            return Path(work_dir)
        with self._store.get_local_path(self.out_dir) as local:
            return Path(local) / Path(work_dir).name

    def mirror(self, work_dir: str | Path) -> Mirror | None:
        """Return where they are copied to, or None."""
        if self.out_dir is None or self._on_disk:
            return None
        return Mirror(self._store, self._store.join_path(self.out_dir, Path(work_dir).name))


class Entry(NamedTuple):
    """A checkpoint in a mirror.

    Attributes:
        name: Of the file.
        run: Id of the run that wrote it, or None.
        best: Whether it was kept for its score.
    """

    name: str
    run: str | None
    best: bool


class Mirror:
    """Copies of checkpoints in a folder of a file backend, with an index of them.

    Args:
        store: The backend.
        folder: The folder in it.
    """

    def __init__(self, store: FileClient, folder: str) -> None:
        self._store = store
        self.folder = folder

    def try_out(self) -> None:
        """Write the index as it is, to hear before the run what is wrong with the place.

        Raises:
            CheckpointError: It cannot be read or written.
        """
        try:
            self._write(self._entries())
        except Exception as error:  # each store has errors of its own
            raise CheckpointError(f"Checkpoints cannot be copied to {self.folder}: {error}") from error

    def copy(self, path: Path, run_id: str | None, logger: logging.Logger, best: bool = False) -> str | None:
        """Copy a checkpoint that is whole and durable; one of another run under its name gets another.

        Returns:
            Why that failed, which is logged as an error, or None.
        """
        try:
            entries = self._entries()
            entries = [self._aside(each, run_id) if each.name == path.name else each for each in entries]
            self._store.put(path.read_bytes(), self._path(path.name))
            others = [each for each in entries if each.name != path.name]
            self._write([*others, Entry(path.name, run_id, best)])
        except Exception as error:  # likewise
            problem = f"{path} cannot be copied to {self.folder}: {error}"
            logger.error("%s. It is on this machine only.", problem)
            return problem
        return None

    def remove(self, name: str, run_id: str | None, logger: logging.Logger) -> None:
        """Remove the copy of a checkpoint that is one too many, unless another run wrote it."""
        try:
            entries = self._entries()
            if any(entry.name == name and entry.run == run_id for entry in entries):
                self._write([entry for entry in entries if entry.name != name])
                self._store.remove(self._path(name))
        except Exception as error:  # likewise
            logger.warning("The old checkpoint %s cannot be removed: %s", self._path(name), error)

    def fetch(self, folder: Path, logger: logging.Logger) -> None:
        """Bring the newest checkpoint and the best one to a folder, unless they are there already.

        Raises:
            CheckpointError: The place cannot be read.
        """
        try:
            entries = self._entries()
            for best in (False, True):
                wanted = (entry for entry in reversed(entries) if entry.best is best)
                next((entry for entry in wanted if self._bring(entry, folder, logger)), None)
        except Exception as error:  # likewise
            raise CheckpointError(f"{self.folder} cannot be looked into: {error}") from error

    def _bring(self, entry: Entry, folder: Path, logger: logging.Logger) -> bool:
        """Return whether a whole copy is in the folder now."""
        path = folder / entry.name
        try:
            if path.is_file() and run_of(path) == entry.run and verify_digest(path):
                return True
        except CheckpointError:
            logger.warning("%s is damaged, and fetched from %s", path, self.folder)
        try:
            with self._store.get_local_path(self._path(entry.name)) as fetched:
                if not verify_digest(Path(fetched)):
                    raise CheckpointError("it has lost its end, and its digest with it")
                set_aside(path, entry.run)
                with Path(fetched).open("rb") as source, atomic_write(path) as target:
                    shutil.copyfileobj(source, target)
        except (CheckpointError, FileNotFoundError) as error:
            logger.warning("%s is passed over: %s", self._path(entry.name), error)
            return False
        logger.info("Fetched %s", self._path(entry.name))
        return True

    def _aside(self, entry: Entry, run_id: str | None) -> Entry:
        """Copy what another run wrote to a name of its own, before it is overwritten."""
        if run_id is None or entry.run == run_id:
            return entry
        stem, dot, suffix = entry.name.rpartition(".")
        name = f"{stem}.{entry.run}{dot}{suffix}"
        self._store.put(bytes(self._store.get(self._path(entry.name))), self._path(name))
        return entry._replace(name=name)

    def _entries(self) -> list[Entry]:
        if not self._store.isfile(self._path(INDEX)):
            return []
        listed = json.loads(self._store.get_text(self._path(INDEX)))
        entries = [Entry(**each) for each in listed]
        return [entry for entry in entries if Path(entry.name).name == entry.name]

    def _write(self, entries: list[Entry]) -> None:
        self._store.put_text(json.dumps([entry._asdict() for entry in entries], indent=1), self._path(INDEX))

    def _path(self, name: str) -> str:
        return self._store.join_path(self.folder, name)
