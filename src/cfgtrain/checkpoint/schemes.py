"""Where checkpoints are loaded from, by the scheme of their path or URI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from cfgtrain.errors import CheckpointError, CheckpointNotFoundError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import uri_prefix

__all__ = ["SCHEMES", "Scheme", "checkpoint_exists", "local_checkpoint"]


class Scheme(NamedTuple):
    """How the files of a scheme are read.

    Attributes:
        local_path: Context manager that returns a local path, for which the file may be downloaded.
        exists: Returns whether a file exists. It does not access the network: where that would be
            necessary it returns True, and loading the file fails.
    """

    local_path: Callable[[str | Path], AbstractContextManager[str | Path]]
    exists: Callable[[str | Path], bool]


def _stored_path(filename: str | Path) -> AbstractContextManager[str | Path]:
    return FileClient.infer_client(uri=filename).get_local_path(filename)


def _is_local_file(filename: str | Path) -> bool:
    return FileClient.infer_client(uri=filename).isfile(filename)


def _has_backend(filename: str | Path) -> bool:
    """Return True; raise if no file backend reads the scheme or the library for it is missing."""
    FileClient.infer_client(uri=filename)
    return True


SCHEMES = {
    None: Scheme(_stored_path, _is_local_file),
    "file": Scheme(_stored_path, _is_local_file),
}
_OTHER = Scheme(_stored_path, _has_backend)  # every other scheme that FileClient knows


def checkpoint_exists(filename: str | Path) -> bool:
    """Return whether there is a file at a path; that of a remote file is not known before it is loaded.

    Raises:
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
    """
    return _scheme_of(filename).exists(filename)


@contextmanager
def local_checkpoint(filename: str | Path) -> Iterator[Path]:
    """Return a local path of a checkpoint; a downloaded file is removed at the end of the ``with`` block.

    Raises:
        CheckpointNotFoundError: The file does not exist.
        CheckpointError: It cannot be downloaded.
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
    """
    scheme = _scheme_of(filename)
    if not scheme.exists(filename):
        folder = Path(filename).expanduser().parent
        names = [path.name for path in folder.glob("*.pth")] if folder.is_dir() else []
        raise CheckpointNotFoundError(
            f"There is no checkpoint {filename}.", near=(Path(filename).name, names)
        )
    with ExitStack() as stack:
        try:
            local = stack.enter_context(scheme.local_path(filename))
        except OSError as error:
            raise CheckpointError(f"The checkpoint {filename} cannot be downloaded: {error}") from error
        yield Path(local)


def _scheme_of(filename: str | Path) -> Scheme:
    return SCHEMES.get((uri_prefix(filename) or "").lower() or None, _OTHER)
