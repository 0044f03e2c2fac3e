"""Where a run saves its checkpoints, and the checkpoint that it resumes from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.checkpoint.read import read_lazily
from cfgtrain.checkpoint.sharded import checkpoints_in
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.config.config import Config
from cfgtrain.errors import CheckpointError
from cfgtrain.experiment.changed_state import apply_changes
from cfgtrain.experiment.changes import Changes
from cfgtrain.experiment.data_identity import check_same_data
from cfgtrain.experiment.saved_config import saved_text
from cfgtrain.experiment.work_dir import work_dir_of
from cfgtrain.origin import Location, location
from cfgtrain.runner.base import BaseRunner
from cfgtrain.suggestions import printable

__all__ = [
    "check_length",
    "checkpoint_folders",
    "end_again",
    "find_start",
    "has_checkpoint_since",
    "may_resume",
    "places_of_folders",
    "resume_run",
    "warn_about_unfinished_run",
]

MAX_READ = 5  # of the newest checkpoints, to find an unfinished run

# The keys of hooks that may end a run.
_ENDING_KEYS = ("custom_hooks", "evaluation", "lr_config", "momentum_config", "optimizer_config")


def checkpoint_folders(cfg: Config, work_dir: Path) -> list[Path]:
    """Return the folders that a run writes checkpoints to: the work directory, then those of its hooks."""
    return [work_dir, *(each.folder_for(work_dir).absolute() for each in _stores(cfg))]


def places_of_folders(cfg: Config, work_dir: Path) -> dict[Path, Location]:
    """Return which of ``checkpoint_folders`` are not the work directory, and where the config sets them."""
    folders = zip(_saving(cfg), checkpoint_folders(cfg, work_dir)[1:], strict=True)
    return {folder: location(each, "out_dir") for each, folder in folders if folder != work_dir}


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


def resume_run(
    runner: BaseRunner,
    resumed: Resumed,
    cfg: Config,
    model: nn.Module,
    flow_loaders: list[Any],
    workflow: list[tuple[str, int]],
    trusted: bool = False,
) -> None:
    """Resume a run from a checkpoint, with the settings that the config has changed since.

    Args:
        runner: Runner of the config, before its run.
        resumed: The checkpoint; see ``find_start``.
        cfg: Config of the run.
        model: The model that the optimizer of the runner trains.
        flow_loaders: One loader for each flow.
        workflow: Pairs of a mode and a count.
        trusted: Whether the checkpoint was loaded as trusted.

    Raises:
        CheckpointError: The checkpoint does not fit the config.
    """
    if cfg.get("load_from"):
        message = "load_from=%r is not read, because the run resumes from %s."
        runner.logger.info(message, cfg.load_from, resumed.path)
    check_same_data(resumed.checkpoint.get("meta", {}), runner.meta or {}, resumed.path, runner.logger)
    changes = Changes(resumed.checkpoint.get("meta", {}).get("config"), saved_text(cfg))
    adapted = apply_changes(resumed.checkpoint, changes, cfg._cfg_dict, model, runner.optimizer)
    ended_by = adapted.get("resume", {}).get("ended_by")
    runner.resume(resumed.path, loaded=adapted, trusted=trusted)
    check_length(runner, resumed.path)
    runner.check_resume(flow_loaders, workflow)
    changes.log(runner.logger)
    end_again(runner, ended_by, changes)


def check_length(runner: BaseRunner, path: str) -> None:
    """Compare the length of the run with the checkpoint that it has resumed from.

    Raises:
        CheckpointError: The checkpoint is beyond the end of the run.
    """
    unit, done, length = (
        ("epoch", runner.epoch, runner.max_epochs)
        if runner.by_epoch
        else ("iter", runner.iter, runner.max_iters)
    )
    if length is None or done < length:
        return
    name = f"{unit}s" if unit == "epoch" else "iterations"
    within = runner.by_epoch and runner.position.batches_done > 0
    if done > length or within:
        place = f"within {unit} {done + 1}" if within else f"after {done} {name}"
        raise CheckpointError(
            f"{path} is beyond the end of the run: it was saved {place}, and runner.max_{unit}s is {length}.",
            hint=f"Set runner.max_{unit}s to {done + within} or more, or resume from an earlier checkpoint with "
            "--resume PATH.",
        )
    runner.logger.warning(
        "The run is complete: all of its %d %s are trained. To train longer, raise runner.max_%ss.",
        length, name, unit,
    )  # fmt: skip


def end_again(runner: BaseRunner, ended_by: str | None, changes: Changes) -> None:
    """Keep a run that a hook has ended from training any further, unless its hooks have changed.

    Args:
        runner: After it has resumed.
        ended_by: Why a hook has ended the run, or None.
        changes: What the config sets differently.
    """
    if ended_by is None:
        return
    if changes.touch(*_ENDING_KEYS):
        runner.logger.info("The run had ended (%s), and continues with the changed hooks.", ended_by)
        return
    runner.stop(ended_by)
    runner.logger.warning(
        "The run is finished, as a hook has ended it: %s. To continue it, change or remove this hook: for example, "
        "raise patience of EarlyStoppingHook in custom_hooks.",
        ended_by,
    )


def warn_about_unfinished_run(cfg: Config, folders: list[Path], logger: logging.Logger) -> None:
    """Log a warning that says how to resume, if the newest checkpoint is of a run that is not finished."""
    files = [path for folder in folders for path in checkpoints_in(folder)]
    for path in sorted(files, key=lambda path: path.lstat().st_mtime_ns, reverse=True)[:MAX_READ]:
        try:
            saved = read_lazily(path)
            state, meta = saved["resume"], saved["meta"]
            done, unit = int(state["position"]["iter"]), "iterations"
            settings = (Changes(meta.get("config"), saved_text(cfg)).old or {}).get("runner", {})
            length = settings.get("max_iters")
            if length is None:
                done, unit = int(state["position"]["epoch"]), "epochs"
                length = settings.get("max_epochs")
        except (CheckpointError, LookupError, TypeError, ValueError, AttributeError):
            continue  # damaged, or nothing to resume from
        if length is not None and done < length and state.get("ended_by") is None:
            logger.warning(
                "%s has an unfinished run: %d of its %d %s are complete, saved in %s. To resume it, stop this new "
                "run and start it with --resume auto (resume_from='auto').",
                folders[0], done, length, unit, printable(path.name),
            )  # fmt: skip
        return


def has_checkpoint_since(cfg: Config, run_id: str) -> bool:
    """Return whether a run that began after another one was given this id has saved a checkpoint to resume from."""
    for folder in checkpoint_folders(cfg, work_dir_of(cfg)):
        for path in checkpoints_in(folder):
            try:
                saved = read_lazily(path)
            except CheckpointError:
                continue
            if "resume" in saved and str((saved.get("meta") or {}).get("run_id", "")) > run_id:
                return True
    return False


def may_resume(cfg: Config) -> bool:
    """Return whether there may be a checkpoint that ``resume_from='auto'`` finds: one here or a copy elsewhere."""
    work_dir = work_dir_of(cfg)
    has_file = any(checkpoints_in(folder) for folder in checkpoint_folders(cfg, work_dir))
    return has_file or any(each.mirror_for(work_dir) is not None for each in _stores(cfg))


def _stores(cfg: Config) -> list[CheckpointStore]:
    """Return where the hooks of a run save checkpoints."""
    return [CheckpointStore(each.get("out_dir"), each.get("file_client_args")) for each in _saving(cfg)]


def _saving(cfg: Config) -> list[Mapping[str, Any]]:
    """Return the configs of the hooks of a run that save checkpoints."""
    configured = (cfg.get(key) for key in ("checkpoint_config", "evaluation"))
    return [each for each in configured if isinstance(each, Mapping)]
