"""The base of everything that logs."""

from __future__ import annotations

from abc import abstractmethod

from cfgtrain.arguments import check_interval
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["LoggerHook"]


class LoggerHook(Hook):
    """Decides when there is something to log; subclasses say how, in ``log``.

    Args:
        interval: Iterations between two lines of the training, each an average over them; 0 and -1
            log only evaluations.
        ignore_last: Whether a shorter interval at the end of an epoch is left out.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals count within the epoch, or over the run.
    """

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool = True
    ) -> None:
        check_interval("interval", interval, "for no log of the training")
        self.interval = interval
        self.ignore_last = ignore_last
        self.reset_flag = reset_flag
        self.by_epoch = by_epoch

    @abstractmethod
    def log(self, runner: RunnerView) -> None:
        """Log ``runner.log_buffer.output``."""

    def get_mode(self, runner: RunnerView) -> str:
        """Return ``"train"`` or ``"val"``: what the output is about."""
        return runner.log_buffer.mode or runner.mode or "train"

    def get_epoch(self, runner: RunnerView) -> int:
        """Return the 1-based epoch that the output belongs to."""
        return runner.epoch + 1 if runner.mode == "train" else max(runner.epoch, 1)

    def get_iter(self, runner: RunnerView, inner_iter: bool = False) -> int:
        """Return the 1-based iteration, within the epoch if asked for and counting by epoch."""
        return (runner.inner_iter if self.by_epoch and inner_iter else runner.iter) + 1

    def before_run(self, runner: RunnerView) -> None:
        """Make the last logger the one that clears the output."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        if loggers and loggers[-1] is self:
            self.reset_flag = True
        length = runner.max_iters
        if self.by_epoch and length is not None and runner.max_epochs:
            length //= runner.max_epochs
        if self.ignore_last and (self.interval < 1 or self.interval > (length or self.interval)):
            reason = (
                ""
                if self.interval < 1
                else f": {'an epoch' if self.by_epoch else 'the run'} has {length} iterations"
            )
            runner.logger.warning(
                "%s: with interval=%d, %s logs nothing of the training%s.",
                self.place_of("interval"), self.interval, type(self).__name__, reason,
            )  # fmt: skip

    def before_epoch(self, runner: RunnerView) -> None:
        """Forget what the last epoch left."""
        runner.log_buffer.clear()

    def after_train_iter(self, runner: RunnerView) -> None:
        """Log every ``interval`` iterations."""
        done = (runner.inner_iter if self.by_epoch else runner.iter) + 1
        if (self.interval > 0 and done % self.interval == 0) or (
            not self.ignore_last and self.end_of_epoch(runner)
        ):
            runner.log_buffer.average(self.interval)
        if runner.log_buffer.ready:
            self._log(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Log what the end of the epoch brought, an evaluation for example."""
        if runner.log_buffer.ready:
            self._log(runner)

    def after_val_iter(self, runner: RunnerView) -> None:
        """Log the averages of a val flow of an iteration runner, which has no val epochs, at its end."""
        if not runner.by_epoch and runner.last_of_flow:
            runner.log_buffer.average()
            self._log(runner)
            if self.reset_flag:
                runner.log_buffer.clear()

    def after_val_epoch(self, runner: RunnerView) -> None:
        """Log the averages of a pass of a val flow."""
        runner.log_buffer.average()
        self._log(runner)

    def _log(self, runner: RunnerView) -> None:
        self.log(runner)
        if self.reset_flag:
            runner.log_buffer.clear_output()
