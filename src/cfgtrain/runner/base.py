"""The base of both runners: the step, and the events of the loop."""

from __future__ import annotations

import logging
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.amp import inference_autocast
from cfgtrain.arguments import check_type
from cfgtrain.checkpoint.load import REVISE_KEYS, load_checkpoint
from cfgtrain.config.dict import without
from cfgtrain.data.loader import EpochDataLoader
from cfgtrain.errors import ArgumentError, ArgumentTypeError, CheckpointError, NonFiniteLossError
from cfgtrain.evaluation.inference import first_samples
from cfgtrain.keys import KEYS
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.coordinator import Coordinator
from cfgtrain.parallel.dist import data_rank_and_size, get_dist_info
from cfgtrain.parallel.fsdp import free_gathered
from cfgtrain.parallel.wrappers import step_method, unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner import hook_configs
from cfgtrain.runner.hook_list import HookList
from cfgtrain.runner.hooks.hook import STAGES, Hook
from cfgtrain.runner.hooks.priority import Priority
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.position import Increment, Position
from cfgtrain.runner.run_checkpoint import RunCheckpoint
from cfgtrain.runner.stages import StopRun, inactive_hook_reason, known_stages
from cfgtrain.runner.step import count_samples, missing_train_step, step_outputs
from cfgtrain.runner.utils import get_time_str
from cfgtrain.suggestions import printable
from cfgtrain.utils.logging import FILE_ONLY, LINES_ONLY

__all__ = ["BaseRunner"]

# What is complete at a stage of a loop that does not say so itself.
COMPLETED_BY_STAGE = {
    "after_train_iter": Increment(iter=1),
    "after_train_epoch": Increment(epoch=1, flow_done=1),
}


def _alias(path: str, doc: str) -> Any:
    """Return a property that reads an attribute without a Python call: hooks read some in every iteration."""
    return property(attrgetter(path), doc=doc)


def _writable_alias(path: str) -> Any:
    """Return a property for an attribute that MMCV has on the runner and that is on one of its objects here."""
    owner, name = path.split(".")
    return property(attrgetter(path), lambda runner, value: setattr(getattr(runner, owner), name, value))


class BaseRunner(ABC):
    """Runs a model through flows of training and validation, with hooks in between.

    Args:
        model: Has ``train_step(batch, optimizer)`` that returns a dict with ``loss``, a tensor of one number; or only
            this tensor. The dict can have ``log_vars``, a dict of the numbers to log (by default the loss), and
            ``num_samples``, their weight in averages (by default the length of the first tensor or sequence of the
            batch). ``val_step`` for ``val`` flows does the same.
        batch_processor: Deprecated: a function ``(model, batch, train_mode) -> dict`` that runs a step.
        optimizer: An optimizer, a dict of them, or None.
        work_dir: Folder of checkpoints and logs; it is created. None writes nothing.
        logger: Logger of the run.
        meta: A dict of plain data that is saved in checkpoints.
        max_iters: Length of the run in iterations. At most one of the two lengths can be given.
        max_epochs: Length of the run in epochs.

    Attributes:
        by_epoch: Whether the runner counts in epochs; hooks do the same unless configured otherwise.
        stages: The stages at which the runner calls its hooks, in order.
        checkpoint_tmpl: Name of a checkpoint, with ``{}`` for the complete epochs or iterations.
        position: Where the run is; its counters are read and written through the runner too.
        ended_by: Why a hook has ended the run before its full length; saved with the run. None if
            none has.
        hook_list: The hooks.
        run_checkpoint: Saves and resumes the run.
        coordinator: With several processes, lets them agree on where an interrupted run stops; None lets each decide.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentError: Both lengths are given.
    """

    by_epoch = True
    stages: tuple[str, ...] = STAGES
    checkpoint_tmpl: str
    data_batch: Any

    def __init__(
        self,
        model: nn.Module,
        batch_processor: Callable[..., dict[str, Any]] | None = None,
        optimizer: Any = None,
        work_dir: str | Path | None = None,
        logger: logging.Logger | None = None,
        meta: dict[str, Any] | None = None,
        max_iters: int | None = None,
        max_epochs: int | None = None,
    ) -> None:
        _check_step(model, batch_processor)
        _check_optimizer(optimizer)
        self.logger: logging.Logger = check_type("logger", logger, logging.Logger, "a logging.Logger")
        check_type("meta", meta, dict | None, "a dict or None")
        check_type("work_dir", work_dir, str | Path | None, "a path or None")
        if max_epochs is not None and max_iters is not None:
            raise ArgumentError("Only one of max_epochs and max_iters can be given.")
        self.model = model
        self.batch_processor = batch_processor
        self.optimizer = optimizer
        self.meta = meta
        self.work_dir: str | None = None
        if work_dir is not None:
            folder = Path(work_dir).expanduser().absolute()
            folder.mkdir(parents=True, exist_ok=True)
            self.work_dir = str(folder)
        self.timestamp = get_time_str()
        self.mode: str | None = None
        self.log_buffer = self._training_log = LogBuffer()
        self._validation_log = LogBuffer()
        self.data_loader: Any = None
        self.outputs: dict[str, Any] = {}
        self.accumulating = False
        self.last_of_flow = False
        self.stop_reason: str | None = None
        self.ended_by: str | None = None
        self.interrupted = False
        self.coordinator: Coordinator | None = None
        self._interruption_logged = False
        self._model_name = type(unwrap_model(model)).__name__
        self._rank, self._world_size = get_dist_info()
        self._failed_hook: Hook | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._max_epochs, self._max_iters = max_epochs, max_iters
        self.position = Position()
        self.hook_list = HookList()
        self.run_checkpoint = RunCheckpoint(self.position, self._training_log, self._validation_log)

    model_name = _alias("_model_name", "Class name of the model inside its wrappers.")
    rank = _alias("_rank", "Which of the processes this is.")
    world_size = _alias("_world_size", "How many processes train together.")
    epoch = _alias("position.epoch", "0-based; equal to the number of epochs that are complete.")
    iter = _alias(
        "position.iter",
        "0-based over the whole run; equal to the number of iterations that are complete.",
    )
    inner_iter = _alias(
        "position.inner_iter", "0-based within the epoch (epoch runner) or flow (iteration runner)."
    )
    batch_position = _alias(
        "position.batch",
        "The iteration, the epoch and the index in it, all 0-based, of ``data_batch``.",
    )
    completed_iters = _alias(
        "position.completed_iters",
        "Complete training iterations, with the current one when its step is done and its hooks are running.",
    )
    max_epochs = _alias("_max_epochs", "Length of the run in epochs.")
    max_iters = _alias("_max_iters", "Length of the run in iterations.")
    hooks = _alias("hook_list.hooks", "The hooks, in the order in which they run.")
    last_saved = _alias(
        "run_checkpoint.last_saved", "The newest checkpoint that can be resumed from; see ``RunCheckpoint``."
    )

    # Code written for MMCV reads and writes these, and plain _max_epochs and _max_iters.
    _epoch = _writable_alias("position.epoch")
    _iter = _writable_alias("position.iter")
    _inner_iter = _writable_alias("position.inner_iter")
    _hooks = _writable_alias("hook_list.hooks")

    @abstractmethod
    def run(self, data_loaders: list[Any], workflow: list[tuple[str, int]], **kwargs: Any) -> None:
        """Run the flows of ``workflow``, each over its loader, until the run is over."""

    @abstractmethod
    def train(self, data_loader: Any, **kwargs: Any) -> None:
        """Run one training flow."""

    @abstractmethod
    def val(self, data_loader: Any, **kwargs: Any) -> None:
        """Run one validation flow."""

    def run_iter(self, data_batch: Any, train_mode: bool, **kwargs: Any) -> None:
        """Run one step and keep what it returned."""
        if train_mode and self.hook_list.step_contexts:
            with ExitStack() as entered:
                for context in self.hook_list.step_contexts:
                    entered.enter_context(context(self))
                outputs = self.call_step(data_batch, train_mode, self.optimizer, **kwargs)
        elif train_mode:
            outputs = self.call_step(data_batch, train_mode, self.optimizer, **kwargs)
        else:
            own = self._own_samples()
            size = count_samples(data_batch)
            if 0 < own < size:
                data_batch = first_samples(data_batch, int(own), size)
            with inference_autocast(unwrap_model(self.model)):
                outputs = self.call_step(data_batch, train_mode, self.optimizer, **kwargs)
            free_gathered(self.model)
        if not isinstance(outputs, dict):
            outputs = step_outputs(outputs, "train_step" if train_mode else "val_step", self.model_name)
        if "log_vars" in outputs or "loss" in outputs:
            log_vars = outputs["log_vars"] if "log_vars" in outputs else {"loss": outputs["loss"]}
            count = outputs["num_samples"] if "num_samples" in outputs else count_samples(data_batch)
            if not train_mode and own <= 0:
                count = 0
            self.log_buffer.update(log_vars, count, self.position.batch)
        self.outputs = outputs

    def _own_samples(self) -> float:
        """Return how many samples of the current batch are not repeated to make the shares of processes equal.

        It may be more than the batch has.
        """
        loader = getattr(self.data_loader, "_dataloader", self.data_loader)
        rank, count = data_rank_and_size()
        if count == 1 or not isinstance(loader, EpochDataLoader):
            return math.inf
        batches = loader.epoch_batches
        if getattr(batches.sampler, "world_size", 1) != count:
            return math.inf
        share = len(range(rank, len(loader.seeded), count))
        return share - self.position.batch[2] * batches.batch_size

    def call_step(self, data_batch: Any, train_mode: bool, optimizer: Any, **kwargs: Any) -> Any:
        """Return what the training or validation step of the model, or the batch processor, returns for a batch."""
        if self.batch_processor is not None:
            return self.batch_processor(self.model, data_batch, train_mode=train_mode, **kwargs)
        step = step_method(self.model, "train_step" if train_mode else "val_step")
        return step(data_batch, optimizer, **kwargs)

    @contextmanager
    def running(self, workflow: list[tuple[str, int]], length: str) -> Iterator[None]:
        """Return the context of a run: it calls ``before_run`` first and ``after_run`` last, also after an error."""
        info = partial(self.logger.log, logging.INFO, extra=FILE_ONLY)
        info("Start running, work_dir: %s", self.work_dir or "NONE")
        info("Hooks will be executed in the following order:\n%s", self.get_hook_info())
        info("workflow: %s, max: %s", workflow, length)
        self.hook_list.refresh()
        self.position.completed = None
        self.warn_about_inactive_hooks({mode for mode, _ in workflow})
        failed = True
        try:
            with self.run_checkpoint.finishing(self.logger):
                self.call_hook("before_run")
                self.run_checkpoint.restore_hooks(self)
                with suppress(StopRun):
                    yield
                self.finish_saving()
                if self.interrupted:
                    self._log_interruption()
                    self._callbacks.clear()
                    self.run_checkpoint.restore_generators(
                        self
                    )  # a resumed run may end before its first batch
                    self.run_checkpoint.save_interrupted(self)
                elif self.stop_reason is not None:
                    self.run_checkpoint.save_stopped(self)
            if self.accumulating:
                self.logger.warning(
                    "The run ends while gradients are accumulated: the last ones were not used for a step."
                )
            failed = False
        except NonFiniteLossError as error:
            raise self._located(error) from None
        finally:
            self._callbacks.clear()  # those that were deferred in a stage that failed
            self._after_run(failed)

    def _after_run(self, failed: bool) -> None:
        """Call ``after_run`` of every hook, even if that of another hook fails.

        The first error is raised, unless the run has ``failed`` already: then all are logged.
        """
        first: Exception | None = None
        for method in self.hook_list.methods("after_run"):
            try:
                method(self)
            except Exception as error:
                if failed or first is not None:
                    self.logger.error("after_run of a hook failed: %s: %s", type(error).__name__, error)
                first = first or error
        if first is not None and not failed:
            raise first

    def warn_about_inactive_hooks(self, modes: set[str]) -> None:
        """Log a warning for each hook that would never do anything in flows of these modes."""
        for hook in self.hooks:
            reason = inactive_hook_reason(hook, self.stages, modes, self.by_epoch)
            if reason is not None:
                self.logger.warning("%s never does anything in this run: %s.", type(hook).__name__, reason)

    def call_hook(self, fn_name: str) -> None:
        """Call the hooks that have a method for a stage, then the callbacks that they deferred.

        Raises:
            HookError: There is no such stage.
        """
        position = self.position
        if position.completed is None and fn_name in COMPLETED_BY_STAGE:
            # The loop of a subclass that was written for MMCV: it counts after the hooks.
            position.completed = COMPLETED_BY_STAGE[fn_name]
            try:
                BaseRunner.call_hook(self, fn_name)
            finally:
                position.completed = None
            return
        methods = self.hook_list.methods(fn_name)
        try:
            for method in methods:
                method(self)
        except (Exception, SystemExit):  # the latter of custom code
            self._failed_hook = self.hook_list.owner(fn_name, method)
            raise
        while self._callbacks:
            self._callbacks.pop()()

    def call_hook_or_save(self, stage: str) -> None:
        """Call the hooks at the end of a training step or epoch; if one fails, save the checkpoint that is due."""
        try:
            self.call_hook(stage)
        except (Exception, SystemExit) as error:
            failed, self._failed_hook = self._failed_hook, None
            self.run_checkpoint.save_due(self, error, stage, failed, self._callbacks)
            raise

    def finish_stage(self, stage: str) -> bool:
        """Call the hooks that an error has prevented, in the run that is resumed, from being called at a stage.

        Returns:
            Whether there was such an error; if not, nothing is done.
        """
        hooks = self.run_checkpoint.unfinished_hooks(self, stage)
        if hooks is None:
            return False
        for method in self.hook_list.methods_of(hooks, stage):
            method(self)
        self.run_checkpoint.finish()
        while self._callbacks:
            self._callbacks.pop()()
        return True

    def finish_iteration(self, done: Increment) -> None:
        """Finish the newest iteration of the run that is resumed, if one of its hooks has failed.

        Args:
            done: What the iteration adds to the position.
        """
        if self.run_checkpoint.unfinished_hooks(self, "after_train_iter") is None:
            return
        self.model.train()
        self.mode = "train"
        self.position.rewind(done)
        self.finish_stage("after_train_iter")
        self.position.advance()

    def defer(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all hooks of the current stage have run; the last one deferred comes first.

        A checkpoint is written this way, so that it contains the changes of all hooks of the stage.
        """
        self._callbacks.append(callback)

    def flush_logs(self) -> None:
        """Log the pending training values now, and start new averages.

        For a hook that logs something else in the middle of the training, such as an evaluation.
        """
        if not self.log_buffer.val_history and not self.log_buffer.ready:
            return  # it has been logged, before an evaluation that failed and is repeated
        for method in self.hook_list.methods("flush_logs"):
            method(self)
        self.log_buffer.clear()

    def exclude_time(self, seconds: float) -> None:
        """Leave the last ``seconds`` out of the times that are logged per iteration."""
        for method in self.hook_list.methods("exclude_time"):
            method(seconds)

    @contextmanager
    def evaluation_context(self) -> Iterator[None]:
        """Return a context in which the model has the weights to evaluate and save: averages, if a hook has some."""
        with ExitStack() as entered:
            for hook in self.hooks:
                entered.enter_context(hook.evaluation_context(self))
            yield

    def load_checkpoint(
        self,
        filename: str | Path,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Any = REVISE_KEYS,
        trusted: bool = False,
    ) -> Any:
        """Load weights and nothing else; see ``cfgtrain.checkpoint.load_checkpoint``."""
        self.logger.info("Loading weights from %s", printable(str(filename)), extra=LINES_ONLY)
        return load_checkpoint(
            self.model, filename, map_location, strict, self.logger, revise_keys, trusted=trusted
        )

    def save_checkpoint(
        self,
        out_dir: str | Path,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: dict[str, Any] | None = None,
        create_symlink: bool = True,
        background: Callable[[CheckpointError | None], None] | None = None,
    ) -> str:
        """Save the run as it is after the current iteration or epoch.

        Every process may call it; only that of rank 0 writes. A checkpoint that is still being written in the
        background is waited for.

        Args:
            out_dir: Folder of the checkpoint.
            filename_tmpl: Its name, with ``{}`` for the complete epochs or iterations.
            save_optimizer: Whether the run can be resumed from it.
            meta: More facts to save.
            create_symlink: Whether ``latest.pth`` becomes a link to it.
            background: If given, the state is copied in memory and written by a thread while the run continues.
                The thread then calls this with None, or with the error if the file cannot be written.

        Returns:
            The path of the checkpoint, the same in every process.

        Raises:
            CheckpointError: It cannot be written; existing checkpoints are kept.
            NonFiniteLossError: The loss, a weight, or an average of weights, is not finite.
        """
        check_type("meta", meta, dict | None, "a dict or None")
        completed = (self.epoch if self.by_epoch else self.iter) + 1
        path = Path(out_dir) / (filename_tmpl or self.checkpoint_tmpl).format(completed)
        return self.run_checkpoint.save(self, path, save_optimizer, meta, create_symlink, background)

    def finish_saving(self) -> None:
        """Wait for the checkpoint that is being written in the background, if there is one."""
        self.run_checkpoint.finish_saving()

    @property
    def saves_in_background(self) -> bool:
        """Whether the checkpoints of the run are written in the background."""
        return any(getattr(hook, "async_save", False) is True for hook in self.hooks)

    def resume(
        self,
        checkpoint: str | Path,
        resume_optimizer: bool = True,
        map_location: Any = "cpu",
        loaded: dict[str, Any] | None = None,
        trusted: bool = False,
    ) -> None:
        """Continue where a checkpoint was saved; to be called before ``run``.

        A checkpoint of this toolkit restores everything exactly. A checkpoint of MMCV restores
        what it contains: weights, optimizer, epoch, iteration and meta.

        Args:
            checkpoint: Its path.
            resume_optimizer: Whether the state of the optimizer is restored.
            map_location: Device that the tensors are loaded to first.
            loaded: The content of the file, if it has been read already.
            trusted: Whether the file may run code while it is loaded; see
                ``cfgtrain.checkpoint.load_checkpoint``. What is not plain data in its meta is dropped with a
                warning, because this run could not save it.

        Raises:
            CheckpointError: It cannot be read, or does not fit the model or the runner.
        """
        self.run_checkpoint.resume(self, checkpoint, resume_optimizer, map_location, loaded, trusted)

    def check_resume(self, data_loaders: list[Any], workflow: list[tuple[str, int]]) -> None:  # noqa: B027  # optional
        """Raise if a resumed run cannot continue at its position with these loaders; ``run`` calls it.

        Raises:
            CheckpointError: The loaders have other epochs than when the checkpoint was saved within one.
        """

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """End the run after the current iteration, or after the step if gradients are accumulated.

        Args:
            reason: Logged as the reason.
            interrupted: Whether the run will be resumed later: a checkpoint is saved for that. If
                not, the run is finished, and its checkpoint says so (see ``ended_by``). A signal
                handler may call ``stop`` while a line is being logged, so the reason is not
                logged before the end of the run. Several processes stop when all have agreed.
        """
        if interrupted and self.coordinator is not None:
            self.coordinator.request_stop(reason)
        elif interrupted:
            if not self.interrupted:
                self.stop_reason, self.interrupted = reason, True
        elif self.stop_reason is None:
            self.stop_reason = self.ended_by = reason
            self.logger.info("Stopping: %s", reason)

    def _log_interruption(self) -> None:
        """Log, once, why the run is interrupted."""
        if not self._interruption_logged:
            self._interruption_logged = True
            self.logger.info("Stopping: %s", self.stop_reason)

    def check_interrupt(self) -> None:
        """Raise ``StopRun`` if the run has been interrupted; for work that a resumed run repeats.

        Raises:
            StopRun: Caught by ``running``.
        """
        if (self.interrupted or self.coordinator is not None) and self.stopping and self.interrupted:
            self._log_interruption()
            raise StopRun

    @property
    def stopping(self) -> bool:
        """Whether the run is to end now.

        With a coordinator, all processes read this at the same points of the run, and equally often.
        """
        if self.coordinator is not None and not self.interrupted:
            reason = self.coordinator.agreed_stop()
            if reason is not None:
                self.stop_reason, self.interrupted = reason, True
        return self.stop_reason is not None and not self.accumulating

    def current_lr(self) -> Any:
        """Return the learning rate of each group, by optimizer name for a dict of optimizers."""
        return self._per_optimizer(lambda group: group["lr"])

    def current_momentum(self) -> Any:
        """Return the momentum (or first beta, or 0) of each group, by optimizer name for a dict of optimizers."""
        return self._per_optimizer(lambda group: group.get("momentum", group.get("betas", (0,))[0]))

    def _per_optimizer(self, read: Callable[[dict[str, Any]], float]) -> Any:
        if self.optimizer is None:
            raise ArgumentTypeError("The runner has no optimizer to read from.")
        if isinstance(self.optimizer, dict):
            return {name: [read(g) for g in each.param_groups] for name, each in self.optimizer.items()}
        return [read(group) for group in self.optimizer.param_groups]

    def register_hook(self, hook: Hook, priority: int | str | Priority | None = None) -> None:
        """Add a hook after those of the same priority; the default is that of its class, mostly NORMAL.

        Raises:
            HookError: It is not a Hook, is registered already, or has a misspelt stage.
        """
        self.hook_list.register(hook, priority, known_stages(type(self)))

    def register_hook_from_cfg(self, hook_cfg: Mapping[str, Any]) -> None:
        """Build a hook from its config, which may contain a ``priority``, and add it."""
        self.register_hook(HOOKS.build(without(hook_cfg, "priority")), hook_cfg.get("priority"))

    def register_config_hooks(self, key: str, cfg: Any) -> None:
        """Add the hooks that the config key ``key`` configures; see ``cfgtrain.keys``."""
        for hook, priority in hook_configs.hooks_for(key, cfg, self.by_epoch):
            self.register_hook(hook, priority)

    def register_lr_hook(self, lr_config: Any) -> None:
        """Add the hook for ``lr_config``: a dict with ``policy``, a Hook or None."""
        self.register_config_hooks("lr_config", lr_config)

    def register_momentum_hook(self, momentum_config: Any) -> None:
        """Add the hook for ``momentum_config``: a dict with ``policy``, a Hook or None."""
        self.register_config_hooks("momentum_config", momentum_config)

    def register_optimizer_hook(self, optimizer_config: Any) -> None:
        """Add the hook for ``optimizer_config``: a dict, a Hook or None."""
        self.register_config_hooks("optimizer_config", optimizer_config)

    def register_checkpoint_hook(self, checkpoint_config: Any) -> None:
        """Add the hook for ``checkpoint_config``: a dict, a Hook or None."""
        self.register_config_hooks("checkpoint_config", checkpoint_config)

    def register_timer_hook(self, timer_config: Any) -> None:
        """Add the hook for ``timer_config``: a dict, a Hook or None."""
        self.register_config_hooks("timer_config", timer_config)

    def register_logger_hooks(self, log_config: Any) -> None:
        """Add the hooks of ``log_config``: ``dict(interval=..., hooks=[...])`` or None; by default a TextLoggerHook."""
        self.register_config_hooks("log_config", log_config)

    def register_profiler_hook(self, profiler_config: Any) -> None:
        """Add the hook for ``profiler_config``: a dict, a Hook or None."""
        self.register_config_hooks("profiler_config", profiler_config)

    def register_custom_hooks(self, custom_hooks: Any) -> None:
        """Add custom hooks: a dict or Hook, a list of them, or None."""
        self.register_config_hooks("custom_hooks", custom_hooks)

    def register_training_hooks(
        self,
        lr_config: Any,
        optimizer_config: Any = None,
        checkpoint_config: Any = None,
        log_config: Any = None,
        momentum_config: Any = None,
        timer_config: Any = KEYS["timer_config"].default,
        custom_hooks_config: Any = None,
    ) -> None:
        """Add all hooks of a training except the profiler, in MMCV's order; no config is changed."""
        self.register_lr_hook(lr_config)
        self.register_momentum_hook(momentum_config)
        self.register_optimizer_hook(optimizer_config)
        self.register_checkpoint_hook(checkpoint_config)
        self.register_timer_hook(timer_config)
        self.register_logger_hooks(log_config)
        self.register_custom_hooks(custom_hooks_config)

    def get_hook_info(self) -> str:
        """Return a table of the stages and of the hooks that do something there."""
        return self.hook_list.get_hook_info(self.stages)

    def _largest_lr(self) -> float:
        groups = [group for each in optimizers_of(self.optimizer).values() for group in each.param_groups]
        return max((float(group["lr"]) for group in groups), default=0.0)

    def _located(self, error: NonFiniteLossError) -> NonFiniteLossError:
        """Return the error with the iteration and the samples that the value is from."""
        if error.place is None:
            return error
        iteration, epoch, batch = error.place
        indices = getattr(self.data_loader, "batch_indices", lambda *_: None)(epoch, batch)
        more = f" and {len(indices) - 16} more" if indices and len(indices) > 16 else ""
        samples = f", samples {', '.join(map(str, indices[:16]))}{more}" if indices else ""
        loader = getattr(self.data_loader, "_dataloader", self.data_loader)  # of an IterLoader
        cause = loader.seeded.non_finite(indices or ()) if isinstance(loader, EpochDataLoader) else ""
        last = f" The last good checkpoint is {self.last_saved[0]}." if self.last_saved else ""
        located = NonFiniteLossError(
            f"The {error.name} is {error.value} at iteration {iteration + 1} (epoch {epoch + 1}, batch {batch + 1}"
            f"{samples}). The run is stopped.{last}",
            hint=cause
            or f"If it diverged, lower the learning rate, which is {self._largest_lr():g}, or clip gradients with "
            "optimizer_config=dict(grad_clip=dict(max_norm=1)).",
            name=error.name,
            value=error.value,
            place=error.place,
        )
        for note in getattr(error, "__notes__", ()):
            located.add_note(note)
        return located


def _check_step(model: Any, batch_processor: Any) -> None:
    inner = unwrap_model(model) if isinstance(model, nn.Module) else model
    if batch_processor is not None:
        check_type("batch_processor", batch_processor, Callable, "a function")
        warnings.warn(
            "batch_processor is deprecated: give the model a train_step.", DeprecationWarning, stacklevel=4
        )
        if hasattr(inner, "train_step") or hasattr(inner, "val_step"):
            raise RuntimeError("A model with a train_step or val_step cannot be used with a batch_processor.")
    elif not hasattr(inner, "train_step"):
        kind = type(inner)
        message, hint = missing_train_step(kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
        raise ArgumentError(message, hint=hint)


def _check_optimizer(optimizer: Any) -> None:
    for each in optimizers_of(optimizer).values():
        check_type("optimizer", each, torch.optim.Optimizer, "a torch Optimizer or a dict of them")
