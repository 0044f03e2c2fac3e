"""Train the model that a config describes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cfgtrain.check import check
from cfgtrain.check.dry_run import dry_run
from cfgtrain.config.config import Config
from cfgtrain.data.skipped import SKIPPED_FILE
from cfgtrain.errors import CfgTrainError, NonFiniteLossError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.acceleration import apply_compile
from cfgtrain.experiment.activity import note_activity
from cfgtrain.experiment.assembly import Assembly, assemble_run
from cfgtrain.experiment.distributed import (
    check_model_parallel,
    check_same_data,
    check_same_run,
    find_start_together,
    group_processes,
    log_in_main_process,
    wrap_model,
)
from cfgtrain.experiment.older_keys import apply_process_settings
from cfgtrain.experiment.parallel_settings import group_settings
from cfgtrain.experiment.resume import (
    checkpoint_folders,
    places_of_folders,
    resume_run,
    warn_about_unfinished_run,
)
from cfgtrain.experiment.run_log import failure_logged, run_log
from cfgtrain.experiment.saved_config import write_config
from cfgtrain.experiment.settings import fill_data_paths, fill_device_and_work_dir, fill_seed
from cfgtrain.experiment.start_lines import log_start
from cfgtrain.experiment.testing import best_checkpoint, log_end, score_test_dataset
from cfgtrain.experiment.work_dir import (
    before_the_run,
    exclusive_folders,
    make_work_dir,
    new_run_id,
    unless_rejected,
    work_dir_of,
)
from cfgtrain.keys import setting
from cfgtrain.parallel.coordinator import Coordinator, is_lost_connection
from cfgtrain.parallel.dist import data_rank_and_size, is_main_process
from cfgtrain.parallel.launch import process_group
from cfgtrain.parallel.objects import broadcast_object, from_main_process, on_every_process
from cfgtrain.random_state import seed_process, set_random_seed
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.hooks.loggers.text import TextLoggerHook
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook
from cfgtrain.signals import SAME_SIGNAL_OF_LAUNCHER_SECONDS, SAME_SIGNAL_SECONDS, stop_on_signals

__all__ = ["CHECKPOINT_NOTE", "TrainResult", "train"]

CHECKPOINT_NOTE = "The newest checkpoint is"  # how a note begins that names the checkpoint to resume from


class TrainResult(NamedTuple):
    """The result of a training run.

    Attributes:
        runner: The runner, after the run.
        work_dir: The folder with the checkpoints, the logs and the merged config.
        best_checkpoint: The checkpoint with the best validation score, or None.
        scores: Scores on the test dataset, of the best weights or else the last ones; empty
            without a test dataset, and if the run was interrupted.
        test_samples: Number of samples that were scored.
        seconds: Duration.
    """

    runner: BaseRunner
    work_dir: Path
    best_checkpoint: str | None
    scores: dict[str, Any]
    test_samples: int
    seconds: float


def train(
    cfg: Config, progress: bool = False, trust_checkpoint: bool = False, launcher: str | None = None
) -> TrainResult:
    """Check a config, train the model that it describes, and test the trained model.

    Several processes, started by torchrun, srun or mpirun, train one model together. One of them writes the files.

    Ctrl-C, SIGTERM and SIGHUP stop the run after the current iteration and save a checkpoint to
    resume from; then ``result.runner.interrupted`` is true. A second signal ends the run
    immediately, unless it is saved already. A signal that the process ignores stays ignored.

    Args:
        cfg: See ``docs/config.md`` for its keys. The seed, device and work_dir of the run are
            written into it, and absolute paths of data in the folder of the config.
        progress: Whether live progress is shown on a terminal.
        trust_checkpoint: Whether the checkpoints of ``load_from`` and ``resume_from`` may contain more than
            weights and plain data, which may run code while they are loaded. It is not saved in the config.
        launcher: What has started this process, one of ``parallel.launch.LAUNCHERS``; None finds it in the environment.

    Raises:
        CfgTrainError: The config is wrong, the work directory cannot be written to or is in
            use, the checkpoint to resume from is damaged, or the loss is not finite; a ``ProcessError`` if another
            process of the run has failed.
        KeyboardInterrupt: A signal came before there was anything to resume from.
    """
    began = time.perf_counter()
    settings = group_settings(cfg)
    with process_group(launcher, cfg.get("device"), settings) as coordinator:
        on_every_process(lambda: check(cfg, trusted=trust_checkpoint))
        check_same_run(cfg)
        on_every_process(lambda: group_processes(cfg))
        fill_device_and_work_dir(cfg)
        fill_data_paths(cfg)
        with unless_rejected(work_dir_of(cfg)) if is_main_process() else nullcontext():
            return _train(cfg, began, progress, trust_checkpoint, coordinator)


def _train(
    cfg: Config, began: float, progress: bool, trust_checkpoint: bool, coordinator: Coordinator | None
) -> TrainResult:
    is_main = is_main_process()
    work_dir = from_main_process(lambda: make_work_dir(cfg))
    folders = checkpoint_folders(cfg, work_dir)
    log = (
        run_log(work_dir, setting(cfg, "log_level"))
        if is_main
        else log_in_main_process(logging.getLogger("cfgtrain"))
    )
    with (
        ExitStack() as signal_handlers,  # removed last: everything is closed when signals raise again
        exclusive_folders(folders if is_main else [], places_of_folders(cfg, work_dir)),
        log as (logger, stamp),
        ExitStack() as at_end,  # when the logs are complete, also after an error
        failure_logged(logger) if is_main else nullcontext(),
        nullcontext() if coordinator is None else coordinator.reporting(),
    ):
        resumed = find_start_together(cfg, work_dir, folders, logger, trust_checkpoint)
        if is_main and not cfg.get("resume_from"):
            warn_about_unfinished_run(cfg, folders, logger)
        fill_seed(cfg, resumed)
        cfg.seed = broadcast_object(cfg.seed)
        set_random_seed(cfg.seed, setting(cfg, "deterministic"))
        apply_process_settings(cfg, logger)

        run_id = from_main_process(lambda: new_run_id(before=resumed.run_id if resumed is not None else ""))
        with before_the_run():
            runner, loaders, evaluation = on_every_process(
                lambda: _assemble(cfg, work_dir, logger, stamp, run_id, at_end)
            )
            model = runner.model
            runner.coordinator = coordinator
            check_same_data(loaders, runner.by_epoch)
            if setting(cfg, "dry_run"):
                on_every_process(lambda: dry_run(cfg, runner, loaders))
            # The dry run has not compiled anything.
            on_every_process(lambda: apply_compile(cfg, model, loaders["train"]))
        if resumed is None and is_main:
            write_config(cfg, work_dir)
            (work_dir / SKIPPED_FILE).unlink(missing_ok=True)  # of an earlier run
        if is_main and getattr(loaders["train"], "skipped", None) is not None:
            loaders["train"].skipped.read_list()
        if progress and is_main:
            has_val_flow = any(mode == "val" for mode, _ in setting(cfg, "workflow"))
            runner.register_hook(ProgressHook(has_val_flow))
        for hook in runner.hooks if is_main else ():
            if isinstance(hook, TextLoggerHook):
                hook.uploads_itself = False
                at_end.callback(hook.upload_logs, runner)
            elif isinstance(hook, TrackerHook):
                hook.closes_itself = False
                at_end.callback(hook.close, runner)
        workflow = [(mode, times) for mode, times in setting(cfg, "workflow")]
        flow_loaders = [loaders[mode] for mode, _ in workflow]
        begins = "with new weights"
        if resumed is None and cfg.get("load_from"):
            runner.load_checkpoint(cfg.load_from, trusted=trust_checkpoint)
            begins = f"with the weights of {cfg.load_from}"
        if resumed is not None:
            started = resumed
            on_every_process(
                lambda: resume_run(runner, started, cfg, model, flow_loaders, workflow, trust_checkpoint)
            )
            begins = f"resumed from {resumed.path}: epoch {runner.epoch}, iteration {runner.iter}"
            resumed = None  # frees the memory of the checkpoint
            del started
            if is_main:
                write_config(cfg, work_dir)  # only now: nothing has refused it
        elif (share := data_rank_and_size()[0]) > 0:
            seed_process(cfg.seed, share)  # the models are equal; what they draw in training is not
        runner.model = wrap_model(cfg, model, runner.optimizer)

        log_start(runner, cfg, loaders, workflow, begins)
        signals = signal_handlers.enter_context(
            stop_on_signals(
                lambda name: runner.stop(name, interrupted=True),
                SAME_SIGNAL_SECONDS if coordinator is None else SAME_SIGNAL_OF_LAUNCHER_SECONDS,
            )
        )
        with nullcontext() if coordinator is None else coordinator.watching(work_dir):
            best, scores, samples = _run_and_test(
                runner, runner.model, cfg, flow_loaders, workflow, loaders.get("test"), evaluation
            )
        if runner.interrupted and runner.last_saved is not None:
            signals.ignore()
        if is_main:
            log_end(runner, scores, samples, best)
            for hook in runner.hooks:
                if isinstance(hook, TrackerHook):
                    hook.add_test_scores(scores)
        return TrainResult(runner, work_dir, best, scores, samples, time.perf_counter() - began)


def _assemble(
    cfg: Config, work_dir: Path, logger: logging.Logger, stamp: str, run_id: str, at_end: ExitStack
) -> Assembly:
    """Build everything for the run, and close the loaders at the end."""
    assembly = assemble_run(cfg, work_dir, logger, stamp, run_id)
    for loader in assembly.loaders.values():
        at_end.callback(loader.close)
    check_model_parallel(cfg, assembly.runner.model)
    return assembly


def _run_and_test(
    runner: BaseRunner,
    model: nn.Module,
    cfg: Config,
    flow_loaders: list[Any],
    workflow: list[tuple[str, int]],
    test_loader: Any,
    evaluation: EvalHook | None,
) -> tuple[str | None, dict[str, Any], int]:
    """Run the workflow and test the best weights.

    Returns:
        The best checkpoint, the scores on the test dataset and its number of samples, as far as
        they are known when the run is interrupted.
    """
    best: str | None = None
    is_over = False
    try:
        with _failed_exit_code(runner), _activity_noted(runner, cfg):
            runner.run(flow_loaders, workflow)
            is_over = True
            best = from_main_process(lambda: best_checkpoint(runner))
            return best, *score_test_dataset(runner, model, test_loader, evaluation, best)
    except KeyboardInterrupt:  # a second signal; it changes nothing if all was saved before
        all_saved = runner.last_saved is not None and (is_over or runner.run_checkpoint.is_saved)
        if not (runner.interrupted and all_saved):
            raise
    return best, {}, 0


@contextmanager
def _activity_noted(runner: BaseRunner, cfg: Config) -> Iterator[None]:
    """Add notes to an exception: what was being done, and which checkpoint the run can be resumed from."""
    try:
        yield
    except (Exception, SystemExit) as error:  # the latter of custom code
        if not is_lost_connection(error):  # which is not the fault of what this process was doing
            note_activity(error, runner, cfg)
        if runner.last_saved is not None and not isinstance(error, NonFiniteLossError):  # which names it
            error.add_note(f"{CHECKPOINT_NOTE} {runner.last_saved[0]}.")
        raise


@contextmanager
def _failed_exit_code(runner: BaseRunner) -> Iterator[None]:
    """Set the exit code of an error that is raised after the training began to that of a failed run.

    The exit code for wrong usage means that nothing was started.
    """
    try:
        yield
    except CfgTrainError as error:
        if runner.mode is not None:
            error.exit_code = ExitCode.FAILED
        raise
    except SystemExit as error:  # of custom code
        if runner.mode is not None and error.code == ExitCode.USAGE:
            error.code = ExitCode.FAILED
        raise
