"""The base class of logger hooks."""

from __future__ import annotations

from abc import abstractmethod

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
