"""What both runners share: the step and the calls of the hooks."""

from __future__ import annotations

import logging
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.errors import ArgumentError, ArgumentTypeError, NonFiniteLossError
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.saving import RunSaving
from cfgtrain.runner.stages import StageTable, StopRun, inactive_hook_reason
from cfgtrain.suggestions import with_article

__all__ = ["BaseRunner"]


def read_only(name: str, doc: str) -> Any:
    """Return a property for an attribute that hooks ask for in every iteration: reading it calls no Python."""
    return property(attrgetter(name), doc=doc)


class BaseRunner(RunSaving, ABC):
    """Runs a model through flows of training and validation, with hooks in between.

    Args:
        model: Has ``train_step(batch, optimizer)`` that returns a dict with ``loss``,
            ``log_vars`` and ``num_samples``; ``val_step`` for ``val`` flows.
        batch_processor: Old way to give the step, ``(model, batch, train_mode) -> dict``.
        optimizer: An optimizer, a dict of them, or None.
        work_dir: Where checkpoints and logs go; made. None writes nothing.
        logger: Of the run.
        meta: Facts that are saved with checkpoints, of plain types.
        max_iters: Length of the run in iterations, or
        max_epochs: in epochs. At most one of the two.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentError: Both lengths are given.
    """

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
        super().__init__()
        _check_step(model, batch_processor)
        _check_optimizer(optimizer)
        if not isinstance(logger, logging.Logger):
            raise ArgumentTypeError(f"logger is a logging.Logger, not {logger!r}.")
        if not isinstance(meta, dict | None):
            raise ArgumentTypeError(f"meta is a dict or None, not {meta!r}.")
        if not isinstance(work_dir, str | Path | None):
            raise ArgumentTypeError(f"work_dir is a path or None, not {work_dir!r}.")
        if max_epochs is not None and max_iters is not None:
            raise ArgumentError("Only one of max_epochs and max_iters can be given.")
        self.model = model
        self.batch_processor = batch_processor
        self.optimizer = optimizer
        self.logger = logger
        self.meta = meta
        self.work_dir: str | None = None
        if work_dir is not None:
            folder = Path(work_dir).expanduser().absolute()
            folder.mkdir(parents=True, exist_ok=True)
            self.work_dir = str(folder)
        self.timestamp = time.strftime("%Y%m%d_%H%M%S")
        self.mode: str | None = None
        self.log_buffer = self._training_log = LogBuffer()
        self._validation_log = LogBuffer()
        self.data_loader: Any = None
        self.outputs: dict[str, Any] = {}
        self.accumulating = False
        self.last_of_flow = False
        self.stop_reason: str | None = None
        self.interrupted = False
        self._interruption_logged = False
        self._model_name = type(unwrap_model(model)).__name__
        self._rank, self._world_size = get_dist_info()
        self._stages = StageTable()
        self._callbacks: list[Callable[[], None]] = []
        self._batch_position = (0, 0, 0)
        self._max_epochs, self._max_iters = max_epochs, max_iters

    model_name = read_only("_model_name", "Class name of the model inside its wrappers.")
    rank = read_only("_rank", "Which of the processes this is.")
    world_size = read_only("_world_size", "How many processes train together.")
    epoch = read_only("_epoch", "0-based; equal to the number of epochs that are complete.")
    iter = read_only(
        "_iter", "0-based over the whole run; equal to the number of iterations that are complete."
    )
    inner_iter = read_only(
        "_inner_iter", "0-based within the epoch (epoch runner) or flow (iteration runner)."
    )
    batch_position = read_only(
        "_batch_position",
        "The iteration, the epoch and the batch of it, all 0-based, that ``data_batch`` is.",
    )
    max_epochs = read_only("_max_epochs", "Length of the run in epochs.")
    max_iters = read_only("_max_iters", "Length of the run in iterations.")

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
        outputs: Any
        if self.batch_processor is not None:
            outputs = self.batch_processor(self.model, data_batch, train_mode=train_mode, **kwargs)
        else:
            step: Any = self.model.train_step if train_mode else self.model.val_step
            outputs = step(data_batch, self.optimizer, **kwargs)
        if not isinstance(outputs, dict):
            name = "train_step" if train_mode else "val_step"
            raise ArgumentTypeError(
                f"{name} of {self.model_name} returns a dict, not {with_article(type(outputs).__name__)}."
            )
        if "log_vars" in outputs:
            self.log_buffer.update(outputs["log_vars"], outputs["num_samples"], self._batch_position)
        self.outputs = outputs

    @contextmanager
    def running(self, workflow: list[tuple[str, int]], length: str) -> Iterator[None]:
        """Open and close a run: ``before_run`` first, ``after_run`` whatever happens."""
        self.logger.info("Start running, work_dir: %s", self.work_dir or "NONE")
        self.logger.info("Hooks will be executed in the following order:\n%s", self.get_hook_info())
        self.logger.info("workflow: %s, max: %s", workflow, length)
        self._stages.follow(self._hooks)
        self.warn_about_inactive_hooks({mode for mode, _ in workflow})
        failed = True
        try:
            self.call_hook("before_run")
            if self._resumed is not None:
                self._resumed.restore_hooks(self.hooks)
            with suppress(StopRun):
                yield
            if self.interrupted:
                self._log_interruption()
                self._callbacks.clear()
                self.restore_generators()  # a resumed run may not have come as far as that
                self.save_interrupted()
            elif self.stop_reason is not None:
                self.save_stopped()
            if self.accumulating:
                self.logger.warning("The run ends within a window: its last gradients made no step.")
            failed = False
        except NonFiniteLossError as error:
            raise self._located(error) from None
        finally:
            self._callbacks.clear()  # what a failed stage put off was to show all its hooks had done
            self._after_run(failed)

    def _after_run(self, failed: bool) -> None:
        """Call ``after_run`` of every hook, whatever the others do.

        The first error of them is raised, unless the run has ``failed`` with one of its own.
        """
        first: Exception | None = None
        for method in self._stages["after_run"]:
            try:
                method(self)
            except Exception as error:
                if failed or first is not None:
                    self.logger.error("after_run of a hook failed: %s: %s", type(error).__name__, error)
                first = first or error
        if first is not None and not failed:
            raise first

    def warn_about_inactive_hooks(self, modes: set[str]) -> None:
        """Tell of hooks that would never do anything, which is hardly what was meant."""
        for hook in self.hooks:
            why = inactive_hook_reason(hook, self.stages, modes)
            if (
                not self.by_epoch
                and not isinstance(hook, LoggerHook)
                and getattr(hook, "by_epoch", False) is True
            ):
                why = "it counts epochs (by_epoch=True), and this run counts iterations"
            if why is not None:
                self.logger.warning("%s never does anything in this run: %s.", type(hook).__name__, why)

    def restore_generators(self) -> None:
        """Bring back, once, the random states and the log buffer of a resumed run."""
        if self._resumed is not None:
            self._resumed.restore_generators(self._training_log, self._validation_log, self.rank)
            self._resumed = None

    def call_hook(self, fn_name: str) -> None:
        """Call the hooks that have something to do at a stage, then what they put off.

        Raises:
            HookError: There is no such stage.
        """
        if self._stages.hooks != self._hooks:
            self._stages.follow(self._hooks)
        for method in self._stages[fn_name]:
            method(self)
        while self._callbacks:
            self._callbacks.pop()()

    def defer(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once all hooks of the current stage have run, last asked first.

        A checkpoint is written this way: it then holds what every hook of the stage did.
        """
        self._callbacks.append(callback)

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """End the run at the next safe point: after an iteration that closes its window.

        Args:
            reason: For the log.
            interrupted: Whether it is to go on later: a checkpoint is saved for that. The reason is
                then logged at the safe point, as a signal handler cannot log: it may have come
                while a line is being written.
        """
        if self.stop_reason is None:
            self.stop_reason, self.interrupted = reason, interrupted
            if not interrupted:
                self.logger.info("Stopping: %s", reason)

    def _log_interruption(self) -> None:
        """Log, once, why the run is interrupted."""
        if not self._interruption_logged:
            self._interruption_logged = True
            self.logger.info("Stopping: %s", self.stop_reason)

    def check_interrupt(self) -> None:
        """Leave the run here, for what may be broken off and done again.

        Raises:
            StopRun: It is caught where the run began.
        """
        if self.interrupted and self.stopping:
            self._log_interruption()
            raise StopRun

    @property
    def stopping(self) -> bool:
        """Whether the run ends here."""
        return self.stop_reason is not None and not self.accumulating

    def current_lr(self) -> Any:
        """Return the learning rate of each group, by optimizer name if there are several."""
        return self._per_optimizer(lambda group: group["lr"])

    def current_momentum(self) -> Any:
        """Return the momentum (or first beta, or 0) of each group, by name if there are several."""
        return self._per_optimizer(lambda group: group.get("momentum", group.get("betas", (0,))[0]))

    def _per_optimizer(self, read: Callable[[dict[str, Any]], float]) -> Any:
        if self.optimizer is None:
            raise ArgumentTypeError("The runner has no optimizer to read from.")
        if isinstance(self.optimizer, dict):
            return {name: [read(g) for g in each.param_groups] for name, each in self.optimizer.items()}
        return [read(group) for group in self.optimizer.param_groups]

    def _located(self, error: NonFiniteLossError) -> NonFiniteLossError:
        """Say of a loss in which iteration it was, and of which samples."""
        if error.place is None:
            return error
        iteration, epoch, batch = error.place
        indices = getattr(self.data_loader, "batch_indices", lambda *_: None)(epoch, batch)
        more = f" and {len(indices) - 16} more" if indices and len(indices) > 16 else ""
        samples = f", samples {', '.join(map(str, indices[:16]))}{more}" if indices else ""
        last = f" The last good checkpoint is {self.last_saved[0]}." if self.last_saved else ""
        located = NonFiniteLossError(
            f"The {error.name} is {error.value} at iteration {iteration + 1} (epoch {epoch + 1}, batch {batch + 1}"
            f"{samples}). The run is stopped.{last}",
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
        if not callable(batch_processor):
            raise ArgumentTypeError(f"batch_processor is a function, not {batch_processor!r}.")
        warnings.warn(
            "batch_processor is deprecated: give the model a train_step.", DeprecationWarning, stacklevel=4
        )
        if hasattr(inner, "train_step") or hasattr(inner, "val_step"):
            raise RuntimeError("A model with a train_step or val_step takes no batch_processor.")
    elif not hasattr(inner, "train_step"):
        raise ArgumentError(
            f"{type(inner).__name__} has no train_step(batch, optimizer) for a runner to call."
        )


def _check_optimizer(optimizer: Any) -> None:
    each = list(optimizer.values()) if isinstance(optimizer, dict) else [optimizer]
    for one in each:
        if not isinstance(one, torch.optim.Optimizer) and not (one is None and optimizer is None):
            raise ArgumentTypeError(f"optimizer is a torch Optimizer or a dict of them, not {one!r}.")
