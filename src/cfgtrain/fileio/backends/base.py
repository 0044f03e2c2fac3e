"""The base class of storage backends, and what most backends share."""

from __future__ import annotations

import importlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from cfgtrain.errors import ArgumentTypeError, BackendMethodError, MissingLibraryError
from cfgtrain.fileio.uri import file_name

__all__ = ["BaseStorageBackend"]


class BaseStorageBackend(ABC):
    """Base class of storage backends such as the local disk, a web server or an object store.

    A custom backend must define ``get`` and ``get_text``. Methods that it does not define raise
    ``BackendMethodError``. If it defines ``_entries``, it can also list folders.
    """

    _allow_symlink = False

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def allow_symlink(self) -> bool:
        """Whether the backend supports symbolic links."""
        return self._allow_symlink

    @abstractmethod
    def get(self, filepath: str | Path) -> bytes | memoryview:
        """Return the content of a file as bytes."""

    @abstractmethod
    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, replacing its content."""
        self._raise_unsupported("write files")

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text to a file, replacing its content."""
        self.put(obj.encode(encoding), filepath)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        self._raise_unsupported("remove files")

    def exists(self, filepath: str | Path) -> bool:
        """Return whether a file or folder exists."""
        self._raise_unsupported("check whether a path exists")

    def isdir(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing folder."""
        self._raise_unsupported("distinguish files from folders")

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing file."""
        self._raise_unsupported("distinguish files from folders")

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path with slashes."""
        return _join(str(filepath), *map(str, filepaths))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Yield the path of a local copy of a file, with the same extensions.

        The copy is removed when the ``with`` block ends.
        """
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
        """Yield the entries of a folder, sorted by name. Names that begin with a dot are skipped.

        Args:
            dir_path: The folder.
            list_dir: Whether to yield folders.
            list_file: Whether to yield files.
            suffix: Yield only files whose names end with this string, or with one of these.
            recursive: Whether to also yield the entries of subfolders.

        Returns:
            An iterator over paths relative to ``dir_path``.

        Raises:
            ArgumentTypeError: ``suffix`` is neither a str nor a tuple, or it is given although ``list_dir`` is
                True. It is raised by the call itself, not by the iterator.
        """
        if list_dir and suffix is not None:
            raise ArgumentTypeError(
                "`list_dir` should be False when `suffix` is not None: folders have no suffix. "
                "(`suffix` should be None when `list_dir` is True.)"
            )
        if not isinstance(suffix, str | tuple | None):
            raise ArgumentTypeError(f"`suffix` must be a string or tuple of strings, not {suffix!r}.")

        def search(folder: str, parents: tuple[str, ...]) -> Iterator[str]:
            parents = (*parents, self._identity(folder))
            for name, is_dir in sorted(self._entries(folder)):
                if name.startswith("."):
                    continue
                if list_dir if is_dir else list_file and name.endswith(suffix or ""):
                    yield name
                path = _join(folder, name)
                if is_dir and recursive and self._identity(path) not in parents:
                    yield from (_join(name, each) for each in search(path, parents))

        return search(str(dir_path), ())

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield (name, is_dir) for each entry of a folder."""
        self._raise_unsupported("list folders")

    def _identity(self, folder: str) -> str:
        """Return a unique identifier of a folder, for detecting links that form a cycle."""
        return folder

    def _raise_unsupported(self, what: str) -> NoReturn:
        raise BackendMethodError(f"{self.name} cannot {what}.")


def _join(first: str, *others: str) -> str:
    return "/".join([first.removesuffix("/"), *others])


@contextmanager
def temporary_file(like: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file with the extensions of ``like``; it is removed when the ``with`` block ends."""
    import tempfile  # slow to import: it loads all compression modules

    suffix = "".join(Path(file_name(like)).suffixes[-2:])
    with tempfile.NamedTemporaryFile(suffix=suffix if len(suffix) < 32 else "", delete=False) as file:
        try:
            yield file
        finally:
            file.close()
            Path(file.name).unlink(missing_ok=True)


def import_library(module: str, missing: str) -> Any:
    """Import a module of an optional library.

    Args:
        module: Name of the module.
        missing: What the library is required for and how it is installed, for the message.

    Raises:
        MissingLibraryError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(missing) from error


def decode(data: bytes | memoryview, encoding: str) -> str:
    r"""Decode bytes to text, with all line endings converted to ``\n``."""
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding).read()
