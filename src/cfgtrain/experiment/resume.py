"""Where a run saves its checkpoints, and the checkpoint that it resumes from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.config.config import Config
from cfgtrain.experiment.work_dir import work_dir_of

__all__ = ["checkpoint_folders", "find_start", "may_resume"]


def checkpoint_folders(cfg: Config, work_dir: Path) -> list[Path]:
    """Return the folders that a run writes checkpoints to: the work directory, then those of its hooks."""
    return [work_dir, *(each.folder_for(work_dir).absolute() for each in _stores(cfg))]


def find_start(cfg: Config, work_dir: Path, folders: list[Path], logger: logging.Logger) -> Resumed | None:
    """Return the checkpoint that ``resume_from`` selects, or None to start a new run.

    Args:
        cfg: Config of the run.
        work_dir: With ``"auto"``, copies of newer checkpoints are first downloaded into it.
        folders: Searched with ``"auto"``; see ``checkpoint_folders``.
        logger: Logs which checkpoints are damaged and skipped.

    Raises:
        CheckpointError: The checkpoint does not exist or is damaged.
    """
    if cfg.get("resume_from") == "auto":
        mirrors = [mirror for each in _stores(cfg) if (mirror := each.mirror_for(work_dir)) is not None]
        for mirror in {mirror.folder: mirror for mirror in mirrors}.values():
            mirror.fetch(work_dir, logger)
    return find_resume(cfg.get("resume_from"), folders, logger)


def may_resume(cfg: Config) -> bool:
    """Return whether there may be a checkpoint that ``resume_from='auto'`` finds: a file or a copy elsewhere."""
    work_dir = work_dir_of(cfg)
    has_file = any(any(folder.glob("*.pth")) for folder in checkpoint_folders(cfg, work_dir))
    return has_file or any(each.mirror_for(work_dir) is not None for each in _stores(cfg))


def _stores(cfg: Config) -> list[CheckpointStore]:
    """Return where the hooks of a run save checkpoints."""
    configured = (cfg.get(key) for key in ("checkpoint_config", "evaluation"))
    settings = [each for each in configured if isinstance(each, Mapping)]
    return [CheckpointStore(each.get("out_dir"), each.get("file_client_args")) for each in settings]
