"""What every storage can be asked for, and what most of them do alike."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from cfgtrain.errors import ArgumentTypeError, BackendMethodError
from cfgtrain.fileio.uri import file_name

__all__ = ["BaseStorageBackend"]


class BaseStorageBackend(ABC):
    """A place where files are: the disk, a web server, an object store.

    One of your own needs ``get`` and ``get_text``; what it leaves out raises
    ``BackendMethodError``. With ``_entries`` it can list folders, too.
    """

    _allow_symlink = False

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def allow_symlink(self) -> bool:
        """Whether files can be linked to."""
        return self._allow_symlink

    @abstractmethod
    def get(self, filepath: str | Path) -> bytes | memoryview:
        """Return the content of a file."""

    @abstractmethod
    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file."""
        self._cannot("write files")

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        self._cannot("remove files")

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is a file or folder of this name."""
        self._cannot("tell what is there")

    def isdir(self, filepath: str | Path) -> bool:
        """Whether there is a folder of this name."""
        self._cannot("tell files from folders")

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is a file of this name."""
        self._cannot("tell files from folders")

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path with slashes."""
        return _joined(str(filepath), *map(str, filepaths))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Have the content of a file under a local path, with its extensions, for the time of a ``with``."""
        with temporary_file(filepath) as file:
            file.write(self.get(filepath))
            file.close()
            yield file.name

    def list_dir_or_file(
        self,
        dir_path: str | Path,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """List a folder, sorted by name; what begins with a dot is left out.

        Args:
            dir_path: The folder.
            list_dir: Whether to list folders.
            list_file: Whether to list files.
            suffix: Only files that end in this, or in one of these.
            recursive: Whether to list what is in the folders, too.

        Returns:
            Paths relative to ``dir_path``.

        Raises:
            ArgumentTypeError: At once, for a suffix that is neither str nor tuple, and for one
                where folders are to be listed.
        """
        if list_dir and suffix is not None:
            raise ArgumentTypeError(
                "`list_dir` should be False when `suffix` is not None: folders have none. "
                "(`suffix` should be None when `list_dir` is True.)"
            )
        if suffix is not None and not isinstance(suffix, (str, tuple)):
            raise ArgumentTypeError(f"`suffix` must be a string or tuple of strings, not {suffix!r}.")
        return self._listed(str(dir_path), list_dir, list_file, suffix or "", recursive, ())

    def _listed(
        self,
        folder: str,
        list_dir: bool,
        list_file: bool,
        suffix: str | tuple[str, ...],
        recursive: bool,
        above: tuple[str, ...],
    ) -> Iterator[str]:
        above = (*above, self._identity(folder))
        for name, is_dir in sorted(self._entries(folder)):
            if name.startswith("."):
                continue
            if list_dir if is_dir else list_file and name.endswith(suffix):
                yield name
            path = _joined(folder, name)
            if is_dir and recursive and self._identity(path) not in above:
                inner = self._listed(path, list_dir, list_file, suffix, recursive, above)
                yield from (_joined(name, each) for each in inner)

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield the name of each entry of a folder, and whether it is a folder itself."""
        self._cannot("list folders")

    def _identity(self, folder: str) -> str:
        """Return what tells a folder from every other, so that links in a circle come to an end."""
        return folder

    def _cannot(self, what: str) -> NoReturn:
        raise BackendMethodError(f"{self.name} cannot {what}.")


def _joined(first: str, *others: str) -> str:
    return "/".join([first.removesuffix("/"), *others])


@contextmanager
def temporary_file(like: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that has the extensions of ``like`` and is gone afterwards."""
    import tempfile  # it loads every compression there is

    suffix = "".join(Path(file_name(like)).suffixes[-2:])
    with tempfile.NamedTemporaryFile(suffix=suffix if len(suffix) < 32 else "", delete=False) as file:
        try:
            yield file
        finally:
            file.close()
            Path(file.name).unlink(missing_ok=True)


def decode(data: bytes | memoryview, encoding: str) -> str:
    """Return bytes as text, with line ends as Python has them."""
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding).read()
