"""Download checkpoints, once for all runs."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cfgtrain.errors import CheckpointError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name, file_name
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.filesystem.lock import waiting_lock

__all__ = ["cached_download"]

logger = logging.getLogger(__name__)

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[^.]+$")  # as in resnet50-0676ba61.pth


def cached_download(url: str, folder: str | Path | None = None) -> Path:
    """Return the local copy of a file on a web server, which is downloaded if there is none yet.

    The copy has the name of the file if that ends in the beginning of its SHA-256, as torchvision's and
    OpenMMLab's do: such a file is shared with ``torch.hub``. Any other name begins with a hash of the
    URL, because files of one name on two servers may differ.

    Args:
        url: Its address.
        folder: The cache, by default that of ``torch.hub``.

    Raises:
        CheckpointError: The file cannot be downloaded or stored.
    """
    cache = Path(folder or Path(torch.hub.get_dir()) / "checkpoints").expanduser()
    name = file_name(url) or "checkpoint.pth"
    named, hashed = cache / name, cache / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with waiting_lock(cache / f".{hashed.name[:100]}.lock"):
            if named.is_file() and _matches_its_name(named, named):
                return named
            if hashed.is_file():
                return hashed
            logger.info("Downloading %s to %s", display_name(url), cache)
            with _fetched(url) as downloaded:
                path = named if _matches_its_name(downloaded, named) else hashed
                with downloaded.open("rb") as source, atomic_write(path) as target:
                    shutil.copyfileobj(source, target)
            return path
    except OSError as error:
        raise CheckpointError(f"The checkpoint {display_name(url)} cannot be downloaded: {error}") from error


@contextmanager
def _fetched(url: str) -> Iterator[Path]:
    client = FileClient("http", max_size=None)
    with client.get_local_path(url) as local:
        yield Path(local)


def _matches_its_name(file: Path, name: Path) -> bool:
    """Return whether the SHA-256 of a file begins as its name says; False if the name says nothing."""
    mark = _HASH_IN_NAME.search(name.name)
    if mark is None:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest().startswith(mark[1])
