"""train(cfg): from a config to a trained model."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cfgtrain.check import check
from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.out_dir import OutDir
from cfgtrain.config.config import Config
from cfgtrain.data.builder import parts_of
from cfgtrain.errors import CheckpointError
from cfgtrain.evaluation.scoring import evaluate
from cfgtrain.experiment.assembly import (
    assemble_runner,
    build_loader,
    build_model,
    register_evaluation,
)
from cfgtrain.experiment.work_dir import (
    config_stem,
    make_work_dir,
    new_run_id,
    run_log,
    sole_use,
    write_config,
)
from cfgtrain.parallel.device import pick_device
from cfgtrain.random_state import set_random_seed
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.signals import stop_on_signals
from cfgtrain.runner.stages import StopRun

__all__ = ["TrainResult", "train"]


class TrainResult(NamedTuple):
    """What a training came to.

    Attributes:
        runner: As it ended.
        work_dir: Where checkpoints, logs and the merged config lie.
        best_checkpoint: Chosen on the validation part, or None.
        scores: Of the best (else the last) weights on the test part; empty without one, and
            when the run was interrupted.
        test_samples: How many samples those are of.
        seconds: From start to end.
    """

    runner: BaseRunner
    work_dir: Path
    best_checkpoint: str | None
    scores: dict[str, Any]
    test_samples: int
    seconds: float


def train(cfg: Config, progress: bool = False) -> TrainResult:
    """Check a config, build what it describes, train it and test what came out.

    Ctrl-C and SIGTERM end the run after the current iteration with a checkpoint to go on
    from; the result says so. A second one ends it at once.

    Args:
        cfg: See ``docs/config.md`` for its keys. The settled seed, device and work_dir are
            written into it.
        progress: Whether live progress is shown on a terminal.

    Raises:
        CfgTrainError: The config is wrong, the work directory cannot be written to or is in
            use, the checkpoint to resume from is damaged, or the loss is not finite.
        KeyboardInterrupt: A signal came before there was anything to go on from.
    """
    began = time.perf_counter()
    check(cfg)
    settle_folder(cfg)
    work_dir = make_work_dir(cfg)
    folders = [work_dir, *(each.folder(work_dir).absolute() for each in out_dirs(cfg))]
    with sole_use(folders), run_log(work_dir, cfg.get("log_level", "INFO")) as (logger, stamp):
        resumed = find_start(cfg, work_dir, folders, logger)
        settle_seed(cfg, resumed)
        write_config(cfg, work_dir)
        set_random_seed(cfg.seed, cfg.get("deterministic", False))

        model = build_model(cfg)
        loaders = {part: build_loader(cfg, part) for part in parts_of(cfg) if cfg.data.get(part)}
        run_id = new_run_id(before=resumed.run_id if resumed is not None else "")
        runner = assemble_runner(cfg, model, work_dir, logger, stamp, run_id)
        evaluation = register_evaluation(runner, cfg, loaders)
        if progress:
            runner.register_hook(ProgressHook())
        if cfg.get("load_from"):
            runner.load_checkpoint(cfg.load_from)
        if resumed is not None:
            runner.resume(resumed.path, loaded=resumed.checkpoint)
            resumed = None  # what it holds is in place now and need not stay in memory

        workflow = [(mode, times) for mode, times in cfg.get("workflow", [("train", 1)])]
        with stop_on_signals(lambda name: runner.stop(name, interrupted=True)):
            runner.run([loaders[mode] for mode, _ in workflow], workflow)
            best = best_checkpoint(runner)
            scores, samples = test(model, runner, loaders, evaluation, best)
            for loader in loaders.values():
                loader.close()
    return TrainResult(runner, work_dir, best, scores, samples, time.perf_counter() - began)


def settle_folder(cfg: Config) -> None:
    """Write the device and the work directory, if the config leaves them open, into it."""
    cfg.device = str(pick_device(cfg.get("device")))
    cfg.work_dir = str(cfg.get("work_dir") or Path("work_dirs") / config_stem(cfg))


def settle_seed(cfg: Config, resumed: Resumed | None) -> None:
    """Write the seed into the config, so that the dumped config repeats the run.

    A resumed run keeps the seed that it began with, unless the config states one.
    """
    if cfg.get("seed") is None:
        begun_with = resumed.checkpoint["meta"].get("seed") if resumed is not None else None
        cfg.seed = random.SystemRandom().randrange(2**31) if begun_with is None else begun_with


def out_dirs(cfg: Config) -> list[OutDir]:
    """Return where a run may put checkpoints: ``out_dir`` of its hooks."""
    configured = (cfg.get(key) for key in ("checkpoint_config", "evaluation"))
    settings = [each for each in configured if isinstance(each, Mapping)]
    return [OutDir(each.get("out_dir"), each.get("file_client_args")) for each in settings]


def find_start(cfg: Config, work_dir: Path, folders: list[Path], logger: logging.Logger) -> Resumed | None:
    """Return the checkpoint to go on from, if there is to be one; the newest may have to be fetched."""
    if cfg.get("resume_from") == "auto":
        mirrors = [mirror for each in out_dirs(cfg) if (mirror := each.mirror(work_dir)) is not None]
        for mirror in {mirror.folder: mirror for mirror in mirrors}.values():
            mirror.fetch(work_dir, logger)
    return find_resume(cfg.get("resume_from"), folders, logger)


def best_checkpoint(runner: BaseRunner) -> str | None:
    """Return the checkpoint with the best score on the validation part, if one was kept and is whole."""
    best: str | None = (runner.meta or {}).get("hook_msgs", {}).get("best_ckpt")
    if best is None or runner.interrupted:
        return best
    try:
        read_checkpoint(best)
    except CheckpointError as error:
        runner.logger.warning("The best checkpoint cannot be used, the last weights are. %s", error)
        return None
    return best


def test(
    model: nn.Module,
    runner: BaseRunner,
    loaders: dict[str, Any],
    evaluation: EvalHook | None,
    best: str | None,
) -> tuple[dict[str, Any], int]:
    """Score the best (else the last) weights, once, on the part that had no say in anything before.

    Returns:
        The scores and of how many samples they are; none of an interrupted run.
    """
    if "test" not in loaders or runner.interrupted:
        return {}, 0
    if best is not None:
        load_checkpoint(model, best, strict=True)
    samples = 0

    def progress(done: int) -> None:
        nonlocal samples
        samples += done
        runner.check_interrupt()

    settings = evaluation.eval_kwargs if evaluation else {}
    with suppress(StopRun):
        return evaluate(model, loaders["test"], runner.logger, progress, **settings), samples
    return {}, 0
