"""Where checkpoints are loaded from: paths, and the URIs of every file backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cfgtrain.errors import CheckpointError, CheckpointNotFoundError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import uri_prefix

__all__ = ["checkpoint_exists", "local_checkpoint"]


def checkpoint_exists(filename: str | Path) -> bool:
    """Return whether there is a file at a path; True for a remote file, for which the network is not accessed.

    Raises:
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
    """
    client = FileClient.infer_client(uri=filename)
    return (uri_prefix(filename) or "file").lower() != "file" or client.isfile(filename)


@contextmanager
def local_checkpoint(filename: str | Path) -> Iterator[Path]:
    """Return a local path of a checkpoint; a downloaded file is removed at the end of the ``with`` block.

    Raises:
        CheckpointNotFoundError: The file does not exist.
        CheckpointError: It cannot be downloaded.
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
    """
    if not checkpoint_exists(filename):
        folder = Path(filename).expanduser().parent
        names = [path.name for path in folder.glob("*.pth")] if folder.is_dir() else []
        raise CheckpointNotFoundError(
            f"There is no checkpoint {filename}.", near=(Path(filename).name, names)
        )
    with ExitStack() as stack:
        try:
            client = FileClient.infer_client(uri=filename)
            local = stack.enter_context(client.get_local_path(filename))
        except OSError as error:
            raise CheckpointError(f"The checkpoint {filename} cannot be downloaded: {error}") from error
        yield Path(local)
