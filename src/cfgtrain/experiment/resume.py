"""Where a run saves its checkpoints, and the checkpoint that it resumes from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.config.config import Config

__all__ = ["checkpoint_folders", "find_start"]


def checkpoint_folders(cfg: Config, work_dir: Path) -> list[Path]:
    """Return the folders that a run writes checkpoints to: the work directory, then those of its hooks."""
    return [work_dir, *(each.folder_for(work_dir).absolute() for each in _stores(cfg))]


def find_start(
    cfg: Config, work_dir: Path, folders: list[Path], logger: logging.Logger, trusted: bool = False
) -> Resumed | None:
    """Return the checkpoint that ``resume_from`` selects, or None to start a new run.

    Args:
        cfg: Config of the run.
        work_dir: With ``"auto"``, copies of newer checkpoints are first downloaded into it.
        folders: Searched with ``"auto"``; see ``checkpoint_folders``.
        logger: Logs which checkpoints are damaged and skipped.
        trusted: Whether the checkpoint may run code while it is loaded; see ``load_checkpoint``.

    Raises:
        CheckpointError: The checkpoint does not exist or is damaged.
    """
    if cfg.get("resume_from") == "auto":
        mirrors = [mirror for each in _stores(cfg) if (mirror := each.mirror_for(work_dir)) is not None]
        for mirror in {mirror.folder: mirror for mirror in mirrors}.values():
            mirror.fetch(work_dir, logger)
    return find_resume(cfg.get("resume_from"), folders, logger, trusted)


def _stores(cfg: Config) -> list[CheckpointStore]:
    """Return where the hooks of a run save checkpoints."""
    configured = (cfg.get(key) for key in ("checkpoint_config", "evaluation"))
    settings = [each for each in configured if isinstance(each, Mapping)]
    return [CheckpointStore(each.get("out_dir"), each.get("file_client_args")) for each in settings]
