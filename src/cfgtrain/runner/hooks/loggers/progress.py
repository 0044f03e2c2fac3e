"""Show a run on a terminal: a table with a row per epoch, and a live bar beneath it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from cfgtrain.evaluation.inference import multi_gpu_test, single_gpu_test
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.wrappers import has_forward_with_loss
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.loggers.run_table import Row, RunTable
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.score_order import is_number
from cfgtrain.terminal import LiveProgress, print_styled, terminal_width

__all__ = ["ProgressHook"]

SECONDS_BETWEEN_UPDATES = 0.1
TIMES = ("time", "data_time")


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a table of the run, and epoch, iteration, loss, learning rate and remaining time below it.

    The table has a row per epoch; if the evaluation counts iterations, a row per evaluation; in an iteration run
    without one, a row per val flow or, without that, per interval of the log. A row is printed when what belongs to
    it is known, which is when the next epoch begins. The numbers of the bar are those that were logged last, so that
    no step has to wait for the device. If stderr is not a terminal, nothing is shown.

    Args:
        has_val_flow: Whether the workflow of the run has a val flow.
    """

    default_priority = "LOWEST"

    def __init__(self, has_val_flow: bool = False) -> None:
        self.has_val_flow = has_val_flow
        self._progress: LiveProgress | None = None
        self._shown = 0.0
        self._rows: _Rows | None = None
        self._interval = 0  # between rows, if they are those of the log

    def before_run(self, runner: RunnerView) -> None:
        """Show the bar."""
        self._progress = LiveProgress(runner.max_iters, runner.iter)
        self._rows = _Rows(runner) if terminal_width() is not None else None
        self._interval = self._rows.interval if self._rows is not None and not self.has_val_flow else 0

    def before_epoch(self, runner: RunnerView) -> None:
        """Print the row of the previous epoch."""
        if self._rows is not None:
            self._rows.begin_epoch(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Update the bar, at most ten times per second."""
        if self._interval and (runner.iter + 1) % self._interval == 0 and self._rows is not None:
            self._rows.end_interval(runner)
        now = perf_counter()
        if self._progress is None or now - self._shown < SECONDS_BETWEEN_UPDATES:
            return
        self._shown = now
        epochs = f"/{runner.max_epochs}" if runner.max_epochs else ""
        latest = runner.log_buffer.latest
        numbers = {"loss": latest["loss"]} if "loss" in latest else {}
        lr = next(iter(_first_rates(runner).values()), None)
        if lr is not None:
            numbers["lr"] = lr
        self._progress.update(runner.iter + 1, f"epoch {runner.epoch + 1}{epochs}", numbers)
        if self._rows is not None:
            self._rows.continue_training(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Complete the training values of a row."""
        if self._rows is not None:
            self._rows.end_train_epoch(runner)

    def after_val_epoch(self, runner: RunnerView) -> None:
        """Add the averages of a val flow to the row."""
        if self._rows is not None:
            self._rows.add_val(runner, _means(runner.log_buffer.totals()))

    def after_val_iter(self, runner: RunnerView) -> None:
        """Add the averages of a val flow to the row at its end, in an iteration runner."""
        if self._rows is not None and not runner.by_epoch and runner.last_of_flow:
            self._rows.add_val(runner, _numbers(runner.log_buffer.latest))

    def flush_logs(self, runner: RunnerView) -> None:
        """Take the averages of the training before an evaluation between iterations starts new ones."""
        if self._rows is not None:
            self._rows.begin_evaluation(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Print the last row, and remove the bar."""
        if self._rows is not None:
            self._rows.print_pending(runner)
            self._rows = None
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Rows:
    """Collects the values of one row after the other, and prints each when it is complete.

    Args:
        runner: The runner, before its run.

    Attributes:
        interval: Iterations between rows, if each interval of the log is one; else 0.
    """

    def __init__(self, runner: RunnerView) -> None:
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._evaluation = next((hook for hook in runner.hooks if isinstance(hook, EvalHook)), None)
        self._per_evaluation = self._evaluation is not None and not self._evaluation.by_epoch
        by_epoch = runner.by_epoch and not self._per_evaluation
        self._has_logger = bool(loggers)
        self.interval = loggers[0].interval if loggers and not by_epoch and not self._per_evaluation else 0
        self._training_log = runner.log_buffer
        self._sums: dict[str, tuple[float, int]] = {}
        self._taken: dict[str, tuple[float, int]] = {}  # what the sums have of the log buffer already
        self._pending: Row | None = None
        self._seen = None if self._evaluation is None else self._evaluation.newest
        self._saved = _saved(runner)
        self._began = perf_counter()
        unit, total = ("epoch", runner.max_epochs) if by_epoch else ("iter", runner.max_iters)
        main = None if self._evaluation is None else self._evaluation.save_best
        self._table = RunTable(unit, total, _known_names(runner, self._evaluation), main)

    def begin_epoch(self, runner: RunnerView) -> None:
        """Print the pending row before an epoch of either mode changes what the log buffer has."""
        if runner.mode == "train":
            self.print_pending(runner)
            self._add_initial_evaluation(runner.epoch if self._in_epochs else runner.iter)
            self.print_pending(runner)
        if not self._has_logger:
            runner.log_buffer.clear()  # as a logger does, so that an average is over one epoch

    def end_interval(self, runner: RunnerView) -> None:
        """Take the averages that were logged at this iteration."""
        self.print_pending(runner)
        self._pending = self._row(runner, runner.completed_iters, _numbers(runner.log_buffer.latest))

    def end_train_epoch(self, runner: RunnerView) -> None:
        """Take the averages of the epoch, and the scores of an evaluation at its end."""
        self._collect()
        if not self._per_evaluation:
            self.print_pending(runner)
            self._pending = self._row(runner, runner.epoch + 1, self._take())

    def begin_evaluation(self, runner: RunnerView) -> None:
        """Take the averages since the last evaluation between iterations."""
        self.print_pending(runner)
        self._collect()
        if self._per_evaluation:
            self._pending = self._row(runner, runner.completed_iters, _means(self._sums))

    def continue_training(self, runner: RunnerView) -> None:
        """Print the row of an evaluation at an earlier iteration, as its checkpoints are saved by now."""
        if self._in_epochs:
            return
        if self._pending is None and self._evaluation is not None:
            self._add_initial_evaluation(self._evaluation.evaluated_iters)
        if self._pending is not None and self._pending.done < runner.completed_iters:
            self.print_pending(runner)

    def add_val(self, runner: RunnerView, values: dict[str, float]) -> None:
        """Add the averages of a val flow."""
        if self._pending is None and self._in_epochs:
            self._pending = Row(runner.epoch)
        elif self._pending is None:
            self._collect(cleared=False)
            self._pending = self._row(runner, runner.iter, self._take())
        self._pending.val = {**values, **self._pending.val}

    def print_pending(self, runner: RunnerView) -> None:
        """Print the pending row, if there is one."""
        row, self._pending = self._pending, None
        if row is None:
            return
        if self._per_evaluation and not row.val:
            row.val = self._new_scores()
            if not row.val:
                return  # the log was flushed for something else: the averages go on
            self._sums = {}
        now, saved = perf_counter(), _saved(runner)
        row.seconds = now - self._began
        row.marks = [name for name, value in saved.items() if value != self._saved[name]]
        self._began, self._saved = now, saved
        for line in self._table.lines(row, (terminal_width() or 80) - 1):
            print_styled(line)

    @property
    def _in_epochs(self) -> bool:
        return self._table.unit == "epoch"

    def _row(self, runner: RunnerView, done: int, train: dict[str, float]) -> Row:
        val = {} if self._per_evaluation else self._new_scores()
        return Row(done, _first_rates(runner), train, val)

    def _add_initial_evaluation(self, done: int) -> None:
        """Add the scores of an evaluation before the training, if there was one."""
        scores = self._new_scores()
        if scores:
            self._pending = Row(done, val=scores)

    def _new_scores(self) -> dict[str, float]:
        """Return the losses and scores of the newest evaluation if they have not been shown yet."""
        if self._evaluation is None or self._evaluation.newest is self._seen:
            return {}
        self._seen = self._evaluation.newest
        return {**self._evaluation.losses, **_numbers(self._seen)}

    def _collect(self, cleared: bool = True) -> None:
        """Add the values of the training since the last call to the sums.

        Args:
            cleared: Whether the log buffer will be cleared before it gets more.
        """
        totals = self._training_log.totals()
        for name, (total, weight) in totals.items():
            before, weight_before = self._sums.get(name, (0.0, 0))
            taken, weight_taken = self._taken.get(name, (0.0, 0))
            self._sums[name] = before + total - taken, weight_before + weight - weight_taken
        self._taken = {} if cleared else totals

    def _take(self) -> dict[str, float]:
        """Return the averages of the training since the last row, and begin new ones."""
        sums, self._sums = self._sums, {}
        return _means(sums)


def _known_names(runner: RunnerView, evaluation: EvalHook | None) -> list[str]:
    """Return the names of the values of an evaluation that are known before the first one."""
    if evaluation is None:
        return []
    with_loss = evaluation.test_fn in (single_gpu_test, multi_gpu_test) and has_forward_with_loss(
        runner.model
    )
    return [*(["loss"] if with_loss else []), *(evaluation.score_names() or [])]


def _first_rates(runner: RunnerView) -> dict[str, float]:
    """Return the learning rate of the first group of each optimizer; the name of a single one is ``""``."""
    optimizers = optimizers_of(runner.optimizer)
    return {name: each.param_groups[0]["lr"] for name, each in optimizers.items()}


def _saved(runner: RunnerView) -> dict[str, Any]:
    """Return what changes with a new best score, and with a new checkpoint, by the mark of the row."""
    messages = (runner.meta or {}).get("hook_msgs", {})
    best = messages.get("best_score"), messages.get("best_ckpt")
    return {"best": best, "saved": messages.get("last_ckpt")}


def _means(totals: dict[str, tuple[float, int]]) -> dict[str, float]:
    return _numbers({name: total / weight for name, (total, weight) in totals.items() if weight})


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Return the numbers that a table shows; times have their own column."""
    return {name: value for name, value in values.items() if is_number(value) and name not in TIMES}
