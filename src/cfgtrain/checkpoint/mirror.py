"""Copies of checkpoints in an object store or another file backend."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from cfgtrain.checkpoint.ownership import rename_foreign, run_id_of
from cfgtrain.checkpoint.read import read_lazily, verify_checkpoint
from cfgtrain.checkpoint.sharded import files_of, has_shards
from cfgtrain.errors import CheckpointError
from cfgtrain.fileio.client import FileClient
from cfgtrain.filesystem.atomic import atomic_write, replace_folder

__all__ = ["Mirror"]

INDEX = "checkpoints.json"  # lists the files in a mirror, oldest first


class Entry(NamedTuple):
    """A checkpoint in a mirror.

    Attributes:
        name: Name of the file, or of the folder.
        run: Id of the run that wrote it, or None.
        best: Whether it was saved for its score.
        files: The names of the files in it, if it is a folder, otherwise empty.
    """

    name: str
    run: str | None
    best: bool
    files: tuple[str, ...] = ()


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
            files = tuple(files_of(path)) if has_shards(path) else ()
            for file in files:
                self._client.put((path / file).read_bytes(), self._path(path.name, file))
            if not files:
                self._client.put(path.read_bytes(), self._path(path.name))
            others = [each for each in entries if each.name != path.name]
            self._write([*others, Entry(path.name, run_id, best, files)])
        except Exception as error:  # likewise
            problem = f"{path} cannot be copied to {self.folder}: {error}"
            logger.error("%s. It exists only on this machine.", problem)
            return problem
        return None

    def remove(self, name: str, run_id: str | None, logger: logging.Logger) -> None:
        """Remove the copy of a checkpoint, unless another run wrote it."""
        try:
            entries = self._entries()
            found = next((each for each in entries if each.name == name and each.run == run_id), None)
            if found is not None:
                self._write([entry for entry in entries if entry.name != name])
                for file in reversed(found.files):
                    self._client.remove(self._path(name, file))
                if not found.files:
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
            if (path.is_file() or has_shards(path)) and run_id_of(path) == entry.run:
                verify_checkpoint(path)
                return True
        except CheckpointError:
            logger.warning("%s is damaged and downloaded again from %s", path, self.folder)
        try:
            if entry.files:
                self._download_folder(entry, path)
            else:
                self._download_file(entry, path)
        except (CheckpointError, FileNotFoundError) as error:
            logger.warning("Skipping %s: %s", self._path(entry.name), error)
            return False
        logger.info("Downloaded %s", self._path(entry.name))
        return True

    def _download_file(self, entry: Entry, path: Path) -> None:
        with self._client.get_local_path(self._path(entry.name)) as downloaded:
            if not verify_checkpoint(Path(downloaded), self._path(entry.name)):
                read_lazily(Path(downloaded))  # without a digest, it may be any file
            rename_foreign(path, entry.run)
            _copy(Path(downloaded), path)

    def _download_folder(self, entry: Entry, path: Path) -> None:
        """Download the files of a folder to a temporary one, and verify it before it gets its name."""
        temporary = path.with_name(f".{path.name[:50]}.{os.urandom(4).hex()}.tmp")
        try:
            temporary.mkdir()
            for file in entry.files:
                with self._client.get_local_path(self._path(entry.name, file)) as downloaded:
                    _copy(Path(downloaded), temporary / file)
            verify_checkpoint(temporary, self._path(entry.name))
            rename_foreign(path, entry.run)
            replace_folder(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _keep_foreign(self, entry: Entry, run_id: str | None) -> Entry:
        """Copy a checkpoint of another run to another name before it is overwritten."""
        if run_id is None or entry.run == run_id:
            return entry
        old = Path(entry.name)
        name = f"{old.stem}.{entry.run}{old.suffix}"
        for file in entry.files or ("",):
            parts = (file,) if file else ()
            self._client.put(
                bytes(self._client.get(self._path(entry.name, *parts))), self._path(name, *parts)
            )
        return entry._replace(name=name)

    def _entries(self) -> list[Entry]:
        if not self._client.isfile(self._path(INDEX)):
            return []
        listed = json.loads(self._client.get_text(self._path(INDEX)))
        entries = [Entry(**{**each, "files": tuple(each.get("files", ()))}) for each in listed]
        return [
            entry for entry in entries if all(Path(name).name == name for name in (entry.name, *entry.files))
        ]

    def _write(self, entries: list[Entry]) -> None:
        listed = [{key: each for key, each in entry._asdict().items() if each != ()} for entry in entries]
        self._client.put_text(json.dumps(listed, indent=1), self._path(INDEX))

    def _path(self, *names: str) -> str:
        return self._client.join_path(self.folder, *names)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as opened, atomic_write(target) as file:
        shutil.copyfileobj(opened, file)
