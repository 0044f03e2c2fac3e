"""What both runners share: the step, the hooks, saving and resuming."""

from __future__ import annotations

import logging
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.checkpoint.load import REVISE_KEYS, load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.errors import ArgumentError, ArgumentTypeError, CheckpointError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.registration import HookRegistration
from cfgtrain.runner.resume import Position, RunState
from cfgtrain.runner.stages import StageTable
from cfgtrain.utils.paths import replace_symlink

__all__ = ["BaseRunner"]


class BaseRunner(HookRegistration, ABC):
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

    Attributes:
        checkpoint_tmpl: Name of a checkpoint, with ``{}`` for the complete epochs or iterations.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentError: Both lengths are given.
    """

    checkpoint_tmpl: str

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
        self.log_buffer = LogBuffer()
        self.data_loader: Any = None
        self.outputs: dict[str, Any] = {}
        self.window_open = False
        self.stop_reason: str | None = None
        self._model_name = type(unwrap_model(model)).__name__
        self._rank, self._world_size = 0, 1
        self._stages = StageTable()
        self._callbacks: list[Callable[[], None]] = []
        self._epoch = self._iter = self._inner_iter = 0
        self._next = Position()
        self._resumed: RunState | None = None
        self._max_epochs, self._max_iters = max_epochs, max_iters

    @property
    def model_name(self) -> str:
        """Class name of the model inside its wrappers."""
        return self._model_name

    @property
    def rank(self) -> int:
        """Which of the processes this is."""
        return self._rank

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self._world_size

    @property
    def epoch(self) -> int:
        """0-based; equal to the number of epochs that are complete."""
        return self._epoch

    @property
    def iter(self) -> int:
        """0-based over the whole run; equal to the number of iterations that are complete."""
        return self._iter

    @property
    def inner_iter(self) -> int:
        """0-based within the epoch (epoch runner) or the flow (iteration runner)."""
        return self._inner_iter

    @property
    def max_epochs(self) -> int | None:
        """Length of the run in epochs."""
        return self._max_epochs

    @property
    def max_iters(self) -> int | None:
        """Length of the run in iterations."""
        return self._max_iters

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
        elif train_mode:
            outputs = self.model.train_step(data_batch, self.optimizer, **kwargs)  # type: ignore[operator]
        else:
            outputs = self.model.val_step(data_batch, self.optimizer, **kwargs)  # type: ignore[operator]
        if not isinstance(outputs, dict):
            step = "train_step" if train_mode else "val_step"
            raise ArgumentTypeError(
                f"{step} of {self.model_name} returns a dict, not a {type(outputs).__name__}."
            )
        if "log_vars" in outputs:
            self.log_buffer.update(outputs["log_vars"], outputs["num_samples"])
        self.outputs = outputs

    @contextmanager
    def running(self, workflow: list[tuple[str, int]], length: str) -> Iterator[None]:
        """Open and close a run: ``before_run`` first, ``after_run`` whatever happens."""
        self.logger.info("Start running, work_dir: %s", self.work_dir or "NONE")
        self.logger.info("Hooks will be executed in the following order:\n%s", self.get_hook_info())
        self.logger.info("workflow: %s, max: %s", workflow, length)
        self._stages.forget()
        try:
            self.call_hook("before_run")
            if self._resumed is not None:
                self._resumed.restore_hooks(self.hooks)
            yield
        finally:
            self._callbacks.clear()  # what a failed stage put off was to show all its hooks had done
            self.call_hook("after_run")

    def restore_generators(self) -> None:
        """Bring back, once, the random states and the log buffer of a resumed run."""
        if self._resumed is not None:
            self._resumed.restore_generators(self.log_buffer, self.rank)
            self._resumed = None

    def call_hook(self, fn_name: str) -> None:
        """Call the hooks that have something to do at a stage, then what they put off.

        Raises:
            HookError: There is no such stage.
        """
        for method in self._stages.methods(self._hooks, fn_name):
            method(self)
        while self._callbacks:
            self._callbacks.pop()()

    def after_stage(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once all hooks of the current stage have run, last asked first.

        A checkpoint is written this way: it then holds what every hook of the stage did.
        """
        self._callbacks.append(callback)

    def stop(self, reason: str) -> None:
        """End the run at the next safe point: after an iteration that closes its window."""
        if self.stop_reason is None:
            self.stop_reason = reason

    @property
    def stopping(self) -> bool:
        """Whether the run ends here."""
        return self.stop_reason is not None and not self.window_open

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

    def load_checkpoint(
        self,
        filename: str | Path,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Any = REVISE_KEYS,
    ) -> Any:
        """Load weights and nothing else; see ``cfgtrain.checkpoint.load_checkpoint``."""
        self.logger.info("Loading weights from %s", filename)
        return load_checkpoint(self.model, filename, map_location, strict, revise_keys)

    def save_checkpoint(
        self,
        out_dir: str | Path,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: dict[str, Any] | None = None,
        create_symlink: bool = True,
    ) -> str:
        """Save the run as it is after the current iteration or epoch.

        Args:
            out_dir: Folder of the checkpoint.
            filename_tmpl: Its name, with ``{}`` for the complete epochs or iterations.
            save_optimizer: Whether the run can be continued from it.
            meta: More facts to save.
            create_symlink: Whether ``latest.pth`` is pointed at it.

        Returns:
            The path of the checkpoint.
        """
        if not isinstance(meta, dict | None):
            raise ArgumentTypeError(f"meta is a dict or None, not {meta!r}.")
        path = Path(out_dir) / (filename_tmpl or self.checkpoint_tmpl).format(self._done_after_this())
        facts = {**(meta or {}), **(self.meta or {}), "epoch": self.epoch + 1, "iter": self.iter}
        # With gradients waiting in an open window there is no exact state to go on from.
        exact = save_optimizer and not self.window_open
        resume = RunState.capture(self.position(), self.hooks, self.log_buffer) if exact else None
        save_checkpoint(self.model, path, self.optimizer if save_optimizer else None, facts, resume)
        if create_symlink:
            replace_symlink(Path(out_dir) / "latest.pth", path.name)
        return str(path)

    def resume(
        self, checkpoint: str | Path, resume_optimizer: bool = True, map_location: Any = "cpu"
    ) -> None:
        """Go on where a checkpoint was saved; to be called before ``run``.

        A checkpoint of this toolkit brings back everything, to the last bit. One of MMCV
        brings back what it holds: weights, optimizer, epoch, iteration and meta.

        Args:
            checkpoint: Its path.
            resume_optimizer: Whether the state of the optimizer is taken over.
            map_location: Where the tensors go first.

        Raises:
            CheckpointError: It cannot be read, or does not fit the model.
        """
        loaded = read_checkpoint(checkpoint, map_location)
        missing = [key for key in ("state_dict", "meta") if key not in loaded]
        if missing:
            raise CheckpointError(
                f"{checkpoint} cannot be resumed from: it has no {' and no '.join(missing)}."
            )
        load_state_dict(self.model, loaded["state_dict"], strict="resume" in loaded)
        if "optimizer" in loaded and resume_optimizer:
            self._load_optimizer(loaded["optimizer"])
        self.meta = {**loaded["meta"], **(self.meta or {}), "hook_msgs": loaded["meta"].get("hook_msgs", {})}
        self._epoch, self._iter = loaded["meta"]["epoch"], loaded["meta"]["iter"]
        if "resume" in loaded:
            self._resumed = RunState.read(loaded["resume"])
            self._next = place = self._resumed.position
            self._epoch, self._iter, self._inner_iter = place.epoch, place.iter, place.inner_iter
        self.logger.info("Resumed from %s: epoch %d, iteration %d", checkpoint, self.epoch, self.iter)

    def position(self) -> Position:
        """Return where a run that is saved now goes on."""
        return self._next

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        if self.optimizer is None:
            raise ArgumentTypeError(
                "The checkpoint holds the state of an optimizer, and the runner has none."
            )
        if isinstance(self.optimizer, dict):
            for name, each in self.optimizer.items():
                each.load_state_dict(state[name])
        else:
            self.optimizer.load_state_dict(state)

    @abstractmethod
    def _done_after_this(self) -> int:
        """Return the complete epochs or iterations once the current one is."""


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
