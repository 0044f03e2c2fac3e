"""The config as a run saves it: in the work directory and in checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path

from cfgtrain.config.config import Config
from cfgtrain.data.builder import parts_of
from cfgtrain.data.paths import resolve_paths
from cfgtrain.experiment.work_dir import HEADER, config_stem, folder_errors
from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["saved_text", "write_config"]


def saved_text(cfg: Config) -> str:
    """Return the text of a config with absolute paths of data, which are found from any folder.

    The config itself keeps its relative paths, so that messages have the paths that the user has written.
    """
    saved = copy.deepcopy(cfg)
    data = saved.get("data") or {}
    for part in parts_of(saved):
        resolve_paths(data.get(part), absolute=True)
    return saved.pretty_text


def write_config(cfg: Config, work_dir: Path) -> None:
    """Write the merged config into the work directory; only an earlier merged config is overwritten."""
    with folder_errors(work_dir):
        file = work_dir / f"{config_stem(cfg)}.py"
        if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(HEADER):
            file = file.with_suffix(".merged.py")  # the config of the run itself, or another file of the user
        with atomic_write(file) as out:
            out.write(f"{HEADER}\n{saved_text(cfg)}".encode())
