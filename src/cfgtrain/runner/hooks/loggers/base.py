"""The base class of logger hooks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from numbers import Number
from typing import Any

import numpy as np
from torch import Tensor

from cfgtrain.arguments import check_interval
from cfgtrain.data.loader import num_batches
from cfgtrain.parallel.dist import is_main_process
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["LoggerHook"]


class LoggerHook(Hook):
    """Decides when to log; subclasses implement ``log``.

    Only the main process logs: ``open_log``, ``log`` and ``close_log`` are called in no other.

    Args:
        interval: Iterations between two training logs, each an average over them; 0 and -1 log
            only evaluations.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged, unless the whole epoch is
            shorter.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.
    """

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool = True
    ) -> None:
        check_interval("interval", interval, "for no log of the training")
        self.interval = interval
        self.ignore_last = ignore_last
        self.reset_flag = reset_flag
        self.by_epoch = by_epoch
        self._short_epoch = 0  # its length, if all of it is shorter than the interval

    @abstractmethod
    def log(self, runner: RunnerView) -> None:
        """Log ``runner.log_buffer.output``."""

    def open_log(self, runner: RunnerView) -> None:
        """Prepare logging; called before the run."""

    def close_log(self, runner: RunnerView) -> None:
        """Finish logging; called at the end of the run, also after an error."""

    def get_mode(self, runner: RunnerView) -> str:
        """Return the mode that the output belongs to, ``"train"`` or ``"val"``."""
        return runner.log_buffer.mode or runner.mode or "train"

    def get_epoch(self, runner: RunnerView) -> int:
        """Return the 1-based epoch that the output belongs to."""
        return runner.epoch + 1 if runner.mode == "train" else max(runner.epoch, 1)

    def get_iter(self, runner: RunnerView, inner_iter: bool = False) -> int:
        """Return the 1-based iteration, within the epoch with ``inner_iter`` and ``by_epoch``."""
        return (runner.inner_iter if self.by_epoch and inner_iter else runner.iter) + 1

    @staticmethod
    def is_scalar(val: Any, include_np: bool = True, include_torch: bool = True) -> bool:
        """Return whether a value is one number, also as a NumPy array or a tensor with one element."""
        if isinstance(val, Number):
            return True
        if isinstance(val, np.ndarray | np.generic):
            return include_np and val.size == 1 and val.dtype.kind in "biufc"
        return include_torch and isinstance(val, Tensor) and val.numel() == 1

    def get_lr_tags(self, runner: RunnerView) -> dict[str, float]:
        """Return the learning rate of the first group, ``learning_rate/<name>`` for each of several optimizers."""
        return _first_groups("learning_rate", runner.current_lr()) if runner.optimizer is not None else {}

    def get_momentum_tags(self, runner: RunnerView) -> dict[str, float]:
        """Return the momentum of the first group, ``momentum/<name>`` for each of several optimizers."""
        return _first_groups("momentum", runner.current_momentum()) if runner.optimizer is not None else {}

    def get_loggable_tags(
        self,
        runner: RunnerView,
        allow_scalar: bool = True,
        allow_text: bool = False,
        add_mode: bool = True,
        tags_to_skip: Collection[str] = ("time", "data_time"),
    ) -> dict[str, Any]:
        """Return what is logged now, with the learning rate and the momentum, by tag such as ``train/loss``.

        Args:
            runner: The runner.
            allow_scalar: Whether numbers are returned.
            allow_text: Whether strings are returned.
            add_mode: Whether the tags begin with the mode.
            tags_to_skip: Names that are left out. The number of batches of an evaluation always is.
        """
        prefix = f"{self.get_mode(runner)}/" if add_mode else ""
        tags = {
            prefix + name: value
            for name, value in runner.log_buffer.output.items()
            if name not in tags_to_skip
            and name != "eval_iter_num"
            and (allow_scalar or not self.is_scalar(value))
            and (allow_text or not isinstance(value, str))
        }
        return {**tags, **self.get_lr_tags(runner), **self.get_momentum_tags(runner)}

    def before_run(self, runner: RunnerView) -> None:
        """Open the log, and let the last logger clear the output."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        if loggers and loggers[-1] is self:
            self.reset_flag = True
        length = None if self._counts_in_epoch(runner) else runner.max_iters
        if self.ignore_last and (self.interval < 1 or self.interval > (length or self.interval)):
            reason = f": the run has {length} iterations" if self.interval > 0 else ""
            runner.logger.warning(
                "%s: with interval=%d, %s logs nothing of the training%s.",
                self.place_of("interval"), self.interval, type(self).__name__, reason,
            )  # fmt: skip
        if is_main_process():
            self.open_log(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Close the log."""
        if is_main_process():
            self.close_log(runner)

    def before_epoch(self, runner: RunnerView) -> None:
        """Discard what the previous epoch left in the log buffer."""
        runner.log_buffer.clear()
        length = (num_batches(runner.data_loader) or 0) if self._counts_in_epoch(runner) else 0
        self._short_epoch = length if length < self.interval else 0

    def after_train_iter(self, runner: RunnerView) -> None:
        """Log every ``interval`` iterations, and at the end of an epoch that is shorter."""
        done = (runner.inner_iter if self.by_epoch else runner.iter) + 1
        if (
            (self.interval > 0 and done % self.interval == 0)
            or done == self._short_epoch
            or (not self.ignore_last and self.end_of_epoch(runner))
        ):
            runner.log_buffer.average(self.interval)
        if runner.log_buffer.ready:
            self._log(runner)

    def flush_logs(self, runner: RunnerView) -> None:
        """Log what would be logged at the end of this iteration."""
        self.after_train_iter(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Log what other hooks output at the end of the epoch, for example an evaluation."""
        if runner.log_buffer.ready:
            self._log(runner)

    def after_val_iter(self, runner: RunnerView) -> None:
        """Log the averages of a val flow at its end, in an iteration runner, which has no val epochs."""
        if not runner.by_epoch and runner.last_of_flow:
            runner.log_buffer.average()
            self._log(runner)
            if self.reset_flag:
                runner.log_buffer.clear()

    def after_val_epoch(self, runner: RunnerView) -> None:
        """Log the averages of a pass of a val flow."""
        runner.log_buffer.average()
        self._log(runner)

    def _counts_in_epoch(self, runner: RunnerView) -> bool:
        return self.by_epoch and runner.by_epoch

    def _log(self, runner: RunnerView) -> None:
        if is_main_process():
            self.log(runner)
        if self.reset_flag:
            runner.log_buffer.clear_output()


def _first_groups(tag: str, values: Any) -> dict[str, float]:
    """Return the value of the first group of each optimizer."""
    if isinstance(values, dict):
        return {f"{tag}/{name}": each[0] for name, each in values.items()}
    return {tag: values[0]}
