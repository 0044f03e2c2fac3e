"""Copies of checkpoints in an object store or another file backend."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import NamedTuple

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.ownership import rename_foreign, run_id_of
from cfgtrain.checkpoint.read import read_lazily
from cfgtrain.errors import CheckpointError
from cfgtrain.fileio.client import FileClient
from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["Mirror"]

INDEX = "checkpoints.json"  # lists the files in a mirror, oldest first


class Entry(NamedTuple):
    """A checkpoint in a mirror.

    Attributes:
        name: Name of the file.
        run: Id of the run that wrote it, or None.
        best: Whether it was saved for its score.
    """

    name: str
    run: str | None
    best: bool


class Mirror:
    """Copies of checkpoints in a folder of a file backend, with an index of them.

    Args:
        client: The backend.
        folder: Path of the folder in it.
    """

    def __init__(self, client: FileClient, folder: str) -> None:
        self._client = client
        self.folder = folder

    def check_writable(self) -> None:
        """Write the index unchanged, so that errors show before the run.

        Raises:
            CheckpointError: The index cannot be read or written.
        """
        try:
            self._write(self._entries())
        except Exception as error:  # each backend raises its own errors
            raise CheckpointError(f"Checkpoints cannot be copied to {self.folder}: {error}") from error

    def copy(self, path: Path, run_id: str | None, logger: logging.Logger, best: bool = False) -> str | None:
        """Copy a checkpoint that is completely written; a copy of that name from another run is renamed.

        Returns:
            Why the checkpoint could not be copied, which is logged as an error, or None.
        """
        try:
            entries = self._entries()
            entries = [
                self._keep_foreign(each, run_id) if each.name == path.name else each for each in entries
            ]
            self._client.put(path.read_bytes(), self._path(path.name))
            others = [each for each in entries if each.name != path.name]
            self._write([*others, Entry(path.name, run_id, best)])
        except Exception as error:  # likewise
            problem = f"{path} cannot be copied to {self.folder}: {error}"
            logger.error("%s. It exists only on this machine.", problem)
            return problem
        return None

    def remove(self, name: str, run_id: str | None, logger: logging.Logger) -> None:
        """Remove the copy of a checkpoint, unless another run wrote it."""
        try:
            entries = self._entries()
            if any(entry.name == name and entry.run == run_id for entry in entries):
                self._write([entry for entry in entries if entry.name != name])
                self._client.remove(self._path(name))
        except Exception as error:  # likewise
            logger.warning("The old checkpoint %s cannot be removed: %s", self._path(name), error)

    def fetch(self, folder: Path, logger: logging.Logger) -> None:
        """Download the newest checkpoint and the best one to a folder, unless they are there already.

        Raises:
            CheckpointError: The mirror cannot be read.
        """
        try:
            entries = self._entries()
            for best in (False, True):
                wanted = (entry for entry in reversed(entries) if entry.best is best)
                next((entry for entry in wanted if self._download(entry, folder, logger)), None)
        except Exception as error:  # likewise
            raise CheckpointError(f"The checkpoints in {self.folder} cannot be read: {error}") from error

    def _download(self, entry: Entry, folder: Path, logger: logging.Logger) -> bool:
        """Download a checkpoint if it is not in the folder, and return whether an intact one is there now."""
        path = folder / entry.name
        try:
            if path.is_file() and run_id_of(path) == entry.run:
                verify_digest(path)
                return True
        except CheckpointError:
            logger.warning("%s is damaged and downloaded again from %s", path, self.folder)
        try:
            with self._client.get_local_path(self._path(entry.name)) as downloaded:
                if not verify_digest(Path(downloaded), self._path(entry.name)):
                    read_lazily(Path(downloaded))  # without a digest, it may be any file
                rename_foreign(path, entry.run)
                with Path(downloaded).open("rb") as source, atomic_write(path) as target:
                    shutil.copyfileobj(source, target)
        except (CheckpointError, FileNotFoundError) as error:
            logger.warning("Skipping %s: %s", self._path(entry.name), error)
            return False
        logger.info("Downloaded %s", self._path(entry.name))
        return True

    def _keep_foreign(self, entry: Entry, run_id: str | None) -> Entry:
        """Copy a checkpoint of another run to another name before it is overwritten."""
        if run_id is None or entry.run == run_id:
            return entry
        stem, dot, suffix = entry.name.rpartition(".")
        name = f"{stem}.{entry.run}{dot}{suffix}"
        self._client.put(bytes(self._client.get(self._path(entry.name))), self._path(name))
        return entry._replace(name=name)

    def _entries(self) -> list[Entry]:
        if not self._client.isfile(self._path(INDEX)):
            return []
        listed = json.loads(self._client.get_text(self._path(INDEX)))
        entries = [Entry(**each) for each in listed]
        return [entry for entry in entries if Path(entry.name).name == entry.name]

    def _write(self, entries: list[Entry]) -> None:
        self._client.put_text(json.dumps([entry._asdict() for entry in entries], indent=1), self._path(INDEX))

    def _path(self, name: str) -> str:
        return self._client.join_path(self.folder, name)
