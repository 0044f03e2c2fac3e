"""Copy the logs of a run to another place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.errors import HookError
from cfgtrain.fileio.backends.disk import HardDiskBackend
from cfgtrain.fileio.client import FileClient
from cfgtrain.utils.paths import scandir

__all__ = ["LogUpload"]


class LogUpload:
    """Copies files of a work directory to a path or URI, into a folder of its name.

    Args:
        out_dir: Path or URI to copy to.
        out_suffix: Suffixes of the files to copy.
        keep_local: Whether the logs of this run are kept after they were copied. Others are never removed.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.
    """

    def __init__(
        self,
        out_dir: str,
        out_suffix: str | Sequence[str],
        keep_local: bool,
        file_client_args: Mapping[str, Any] | None,
    ) -> None:
        check_type("out_dir", out_dir, str, "a path or URI as a str, or None")
        self.out_dir = out_dir
        self.out_suffix = (out_suffix,) if isinstance(out_suffix, str) else tuple(out_suffix)
        self.keep_local = keep_local
        self._client = FileClient.infer_client(file_client_args, out_dir)

    def check(self, work_dir: str) -> None:
        """Raise if files would be copied onto themselves.

        Raises:
            HookError: ``out_dir`` is the folder of the work directory.
        """
        if isinstance(self._client.client, HardDiskBackend):
            with self._client.get_local_path(self._folder(work_dir)) as there:
                if Path(there).resolve() == Path(work_dir).resolve():
                    raise HookError(
                        f"out_dir={self.out_dir!r} is where the logs are written already: set another one."
                    )

    def copy(self, work_dir: str, timestamp: str, logger: logging.Logger) -> None:
        """Copy the files; if that fails, an error is logged and the file is kept.

        Args:
            work_dir: Folder of the files.
            timestamp: Timestamp of the run; the names of its logs start with it.
            logger: Logger of the run.
        """
        for name in scandir(work_dir, self.out_suffix, recursive=True):
            file = Path(work_dir, name)
            try:
                self._client.put(file.read_bytes(), self._client.join_path(self._folder(work_dir), name))
                if not self.keep_local and file.name.startswith(timestamp):
                    file.unlink()
            except Exception as error:  # each backend raises its own errors
                logger.error("%s cannot be copied to %s: %s", file, self.out_dir, error)

    def _folder(self, work_dir: str) -> str:
        return self._client.join_path(self.out_dir, Path(work_dir).name)
