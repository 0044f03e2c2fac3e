"""Lines for people, and lines of JSON for programs."""

from __future__ import annotations

import datetime
import json
import logging
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import torch

from cfgtrain.data.loader import length_of
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.logger import LoggerHook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.paths import append_whole

__all__ = ["TextLoggerHook"]

logger = logging.getLogger(__name__)

MAX_UNWRITTEN = 1000  # lines that wait for room on the disk


@HOOKS.register_module()
class TextLoggerHook(LoggerHook):
    r"""Logs to the run's logger, and to ``<work_dir>/<timestamp>.log.json`` one object a line.

    The keys and the layout are MMCV's::

        Epoch [1][10/20]\tlr: 1.000e-01, eta: 0:00:05, time: 0.004, data_time: 0.001, loss: 0.5123
        Epoch(val) [1][5]\taccuracy: 0.9512

    The first line of JSON is the run's meta. Times are in seconds, memory in MB.

    Args:
        by_epoch: Whether lines count within the epoch, or over the run.
        interval: Iterations between two lines.
        ignore_last: Whether a shorter interval at the end of an epoch is left out.
        reset_flag: Whether this hook clears the output after logging.
    """

    def __init__(
        self, by_epoch: bool = True, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self._json: Path | None = None
        self._unwritten: deque[str] = deque(maxlen=MAX_UNWRITTEN)
        self._failed = False
        self._start_iter = 0
        self._seconds = 0.0

    def before_run(self, runner: RunnerView) -> None:
        """Open the JSON log with the run's meta."""
        super().before_run(runner)
        self._start_iter = runner.iter
        if runner.work_dir is not None and runner.rank == 0:
            self._json = Path(runner.work_dir) / f"{runner.timestamp}.log.json"
            if runner.meta is not None:
                self._append({key: value for key, value in runner.meta.items() if key != "config"})

    def log(self, runner: RunnerView) -> None:
        """Write one line to each log."""
        line = self.line(runner)
        runner.logger.info("%s", self._text(runner, line))
        self._append(line)

    def line(self, runner: RunnerView) -> OrderedDict[str, Any]:
        """Return what is logged now, in order."""
        output = dict(runner.log_buffer.output)
        mode = self.get_mode(runner)
        lr = runner.current_lr()
        line: OrderedDict[str, Any] = OrderedDict(
            mode=mode,
            epoch=self.get_epoch(runner),
            iter=output.pop("eval_iter_num", self._iter(runner)),
            lr={name: each[0] for name, each in lr.items()} if isinstance(lr, dict) else lr[0],
        )
        if "time" in output and torch.cuda.is_available():
            line["memory"] = int(torch.cuda.max_memory_allocated() / 2**20)
        line.update(output)
        return line

    def _iter(self, runner: RunnerView) -> int:
        """Return the iteration of the line; that of a val flow is how many batches it is about."""
        return runner.inner_iter + 1 if runner.mode == "val" else self.get_iter(runner, inner_iter=True)

    def _text(self, runner: RunnerView, line: OrderedDict[str, Any]) -> str:
        items = {k: v for k, v in line.items() if k not in ("mode", "epoch", "iter", "lr")}
        if line["mode"] != "train":
            head = (
                f"Epoch(val) [{line['epoch']}][{line['iter']}]"
                if self.by_epoch
                else f"Iter(val) [{line['iter']}]"
            )
            return head + "\t" + ", ".join(f"{name}: {_value(value)}" for name, value in items.items())
        if self.by_epoch:
            length = length_of(runner.data_loader)
            head = f"Epoch [{line['epoch']}][{line['iter']}{'' if length is None else f'/{length}'}]"
        else:
            head = f"Iter [{line['iter']}/{runner.max_iters}]"
        parts = [_lr(line["lr"])]
        if "time" in items:
            if runner.max_iters is not None:
                parts.append(f"eta: {self._eta(runner, runner.max_iters, items['time'])}")
            parts += [f"{name}: {items.pop(name):.3f}" for name in ("time", "data_time") if name in items]
        return (
            head + "\t" + ", ".join([*parts, *(f"{name}: {_value(value)}" for name, value in items.items())])
        )

    def _eta(self, runner: RunnerView, max_iters: int, seconds_per_iter: float) -> datetime.timedelta:
        self._seconds += seconds_per_iter * self.interval
        average = self._seconds / (runner.iter - self._start_iter + 1)
        return datetime.timedelta(seconds=int(average * (max_iters - runner.iter - 1)))

    def _append(self, line: dict[str, Any]) -> None:
        """Write a line, after those that could not be written before: a full disk ends no training."""
        if self._json is None:
            return
        self._unwritten.append(json.dumps(_rounded(line), default=str) + "\n")
        try:
            while self._unwritten:
                append_whole(self._json, self._unwritten[0].encode())
                self._unwritten.popleft()
        except OSError as error:
            if not self._failed:
                logger.error("%s cannot be written: %s. It is tried again with each line.", self._json, error)
            self._failed = True
        else:
            self._failed = False


def _lr(lr: Any) -> str:
    if isinstance(lr, dict):
        return " ".join(f"lr_{name}: {value:.3e}" for name, value in lr.items())
    return f"lr: {lr:.3e}"


def _value(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
