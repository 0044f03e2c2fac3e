"""Score the weights of a finished run on the test dataset."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from cfgtrain.checkpoint.find import find_checkpoint, relocated
from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.config.config import Config
from cfgtrain.data.builder import metainfo_of
from cfgtrain.errors import CheckpointError, CheckpointNotFoundError
from cfgtrain.evaluation.scoring import evaluate
from cfgtrain.experiment.resume import checkpoint_folders
from cfgtrain.experiment.run_log import log_event
from cfgtrain.experiment.work_dir import work_dir_of
from cfgtrain.parallel.fsdp import is_sharded_model
from cfgtrain.parallel.objects import broadcast_state, from_main_process
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.stages import StopRun
from cfgtrain.suggestions import printable
from cfgtrain.utils.logging import FILE_ONLY

__all__ = ["best_checkpoint", "find_trained", "log_end", "score_test_dataset"]

logger = logging.getLogger(__name__)


def best_checkpoint(runner: BaseRunner) -> str | None:
    """Return the checkpoint with the best validation score, or None if there is none or it is damaged."""
    best: str | None = (runner.meta or {}).get("hook_msgs", {}).get("best_ckpt")
    if best is None or runner.interrupted:
        return best
    try:
        read_checkpoint(best)
    except CheckpointError as error:
        runner.logger.warning("The best checkpoint cannot be used, so the last weights are tested. %s", error)
        return None
    return best


def find_trained(cfg: Config) -> tuple[str, str]:
    """Return the checkpoint in the work directory of a config whose weights to use.

    Returns:
        Its path, and ``"best"``, or ``"last"`` if no best one is known. The run is the newest one in the work
        directory.

    Raises:
        CheckpointNotFoundError: There is no work directory, or no intact checkpoint of a run in it.
    """
    work_dir = work_dir_of(cfg)
    hint = "Train first, or name a checkpoint, or the work directory with --work-dir."
    if not work_dir.is_dir():
        raise CheckpointNotFoundError(f"There is no work directory {work_dir} with a checkpoint.", hint=hint)
    found = find_checkpoint(*checkpoint_folders(cfg, work_dir))
    for path, reason in found.skipped:
        logger.warning("Skipping %s: %s", printable(path.name), reason)
    if found.path is None or found.checkpoint is None:
        raise CheckpointNotFoundError(
            f"The work directory {work_dir} contains no intact checkpoint of a run.", hint=hint
        )
    messages = relocated(found.checkpoint["meta"].get("hook_msgs", {}), found.path)
    best = messages.get("best_ckpt")
    if best is not None:
        try:
            read_checkpoint(best, mmap=True)
            return str(best), "best"
        except CheckpointError as error:
            logger.warning("The best checkpoint cannot be used, so the last one is. %s", error)
    return str(found.path), "last"


def score_test_dataset(
    runner: BaseRunner,
    model: nn.Module,
    loader: Any,
    evaluation: EvalHook | None,
    best: str | None,
) -> tuple[dict[str, Any], int]:
    """Score the best weights of a run, or else its last ones, on the test dataset.

    Args:
        runner: After the run. It can still be interrupted.
        model: Model of the run; the best weights are loaded into it.
        loader: Loader of the test dataset, or None.
        evaluation: Its metrics, and its arguments for the dataset's ``evaluate``, are used here too.
        best: The best checkpoint, or None.

    Returns:
        The scores and the number of samples; ``({}, 0)`` without a test dataset, and if the run is
        or was interrupted.
    """
    if loader is None or runner.interrupted:
        return {}, 0
    if best is not None and is_sharded_model(model):
        _load(model, best)
    elif best is not None:
        from_main_process(lambda: _load(model, best))
        broadcast_state(model)
    samples = 0

    def progress(done: int) -> None:
        nonlocal samples
        samples += done
        runner.check_interrupt()

    metrics, settings = (evaluation.metrics, evaluation.eval_kwargs) if evaluation else (None, {})
    with suppress(StopRun):
        shared = runner.world_size > 1
        scores = evaluate(model, loader, runner.logger, progress, metrics, shared, **settings)
        table = "" if metrics is None else metrics.tables(metainfo_of(loader.dataset).get("classes", ()))
        if table:
            runner.logger.info("Scores of the classes:\n%s", table, extra=FILE_ONLY)
        return scores, len(loader.dataset) if shared else samples
    return {}, 0


def _load(model: nn.Module, best: str) -> None:
    load_checkpoint(model, best, strict=True, logger="silent")  # it fits: this run has saved it


def log_end(runner: BaseRunner, scores: dict[str, Any], samples: int, best: str | None) -> None:
    """Log the scores on the test dataset, and why the run ended, to its files.

    Args:
        runner: After the run and the test.
        scores: Scores on the test dataset; empty without one.
        samples: Number of its samples.
        best: The checkpoint whose weights were tested; None: the last ones.
    """
    done = {"global_iter": runner.iter}
    if scores:
        name = "the last weights" if best is None else Path(best).name
        values = ", ".join(
            f"{key}: {value:.4f}" if isinstance(value, float) else f"{key}: {value}"
            for key, value in scores.items()
            if not isinstance(value, list)  # such as a confusion matrix
        )
        event = {"mode": "test", **done, "samples": samples, "checkpoint": best}
        event |= {key: value for key, value in scores.items() if key not in event}
        log_event(runner.logger, f"Test on {samples} samples, with {name}: {values}", event)
    if runner.interrupted:
        saved = "nothing" if runner.last_saved is None else runner.last_saved[0]
        result, reason = "interrupted", f"{runner.stop_reason}; saved {saved}"
    elif runner.ended_by is not None:
        result, reason = "stopped", runner.ended_by
    else:
        length = f"max_epochs={runner.max_epochs}" if runner.by_epoch else f"max_iters={runner.max_iters}"
        result, reason = "finished", f"it has reached {length}"
    message = f"The run is {result} after {runner.iter} iterations: {reason}."
    log_event(runner.logger, message, {"mode": "end", "result": result, "reason": reason, **done})
