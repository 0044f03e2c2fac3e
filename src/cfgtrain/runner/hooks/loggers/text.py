"""Log as text and as JSON."""

from __future__ import annotations

import datetime
import json
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cfgtrain.data.loader import num_batches
from cfgtrain.errors import ArgumentError
from cfgtrain.filesystem.atomic import append_whole
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.loggers.log_upload import LogUpload
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.logging import LINES_ONLY

__all__ = ["TextLoggerHook"]

logger = logging.getLogger(__name__)

_HEAD = ("mode", "epoch", "iter", "lr", "global_iter")  # the keys of a JSON object that are no scalars
MAX_UNWRITTEN = 1000  # lines that are kept while the disk is full

_as_json = json.JSONEncoder(default=str).encode


@HOOKS.register_module()
class TextLoggerHook(LoggerHook):
    r"""Logs lines to the logger of the run, and JSON objects to ``<work_dir>/<timestamp>.log.json``.

    Keys and layout are those of MMCV::

        Epoch [1][10/20]\tlr: 1.000e-01, eta: 0:00:05, time: 0.004, data_time: 0.001, loss: 0.5123
        Epoch(val) [1][5]\taccuracy: 0.9512

    In the JSON objects, ``global_iter`` is the number of complete training iterations of the run. The
    first JSON object is the meta of the run. Times are in seconds, memory in MB. The name of
    the experiment, ``exp_name`` in the meta, is logged at intervals.

    Args:
        by_epoch: Whether iterations are counted within the epoch, or over the run.
        interval: Iterations between two lines.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged, unless the whole epoch is
            shorter.
        reset_flag: Whether this hook clears the output after logging.
        interval_exp_name: Iterations between two logs of the name of the experiment; by epoch it is
            also logged at the end of each epoch.
        out_dir: A path or URI: at the end of the run its files are copied to a folder in it that has
            the name of the work directory.
        out_suffix: Suffixes of the files in the work directory that are copied.
        keep_local: Whether the logs of this run are kept in the work directory after they were copied.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.

    Attributes:
        uploads_itself: Whether the logs are copied at the end of the run; if not, ``upload_logs`` is
            called later, after what follows the run was logged.
    """

    def __init__(
        self,
        by_epoch: bool = True,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        interval_exp_name: int = 1000,
        out_dir: str | None = None,
        out_suffix: str | Sequence[str] = (".log.json", ".log", ".py"),
        keep_local: bool = True,
        file_client_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        if out_dir is None and (file_client_args is not None or not keep_local):
            raise ArgumentError(
                "file_client_args and keep_local=False are for an out_dir, and there is none.",
                argument="file_client_args" if file_client_args is not None else "keep_local",
            )
        self.interval_exp_name = interval_exp_name
        self._upload = (
            None if out_dir is None else LogUpload(out_dir, out_suffix, keep_local, file_client_args)
        )
        self._json: Path | None = None
        self._unwritten: deque[str] = deque(maxlen=MAX_UNWRITTEN)
        self._failed = False
        self.uploads_itself = True
        self._start_iter = 0
        self._seconds = 0.0

    def open_log(self, runner: RunnerView) -> None:
        """Start the JSON log with the meta of the run.

        Raises:
            HookError: The logs would be copied to the work directory itself.
        """
        if self._upload is not None and runner.work_dir is not None:
            self._upload.check(runner.work_dir)
        self._start_iter = runner.iter
        if runner.work_dir is not None:
            self._json = Path(runner.work_dir) / f"{runner.timestamp}.log.json"
            if runner.meta is not None:
                self._append({key: value for key, value in runner.meta.items() if key != "config"})

    def log(self, runner: RunnerView) -> None:
        """Write one line to each log."""
        name = (runner.meta or {}).get("exp_name")
        if name is not None and self._is_named(runner):
            runner.logger.info("Exp name: %s", name, extra=LINES_ONLY)
        line = self.line(runner)
        runner.logger.info("%s", self._text(runner, line), extra=LINES_ONLY)
        self._append(line)

    def close_log(self, runner: RunnerView) -> None:
        """Copy the logs to ``out_dir``, unless that is done after the test of the run."""
        if self.uploads_itself:
            self.upload_logs(runner)

    def upload_logs(self, runner: RunnerView) -> None:
        """Copy the logs to ``out_dir``, if there is one and the log was opened."""
        if self._upload is not None and runner.work_dir is not None and self._json is not None:
            self._upload.copy(runner.work_dir, runner.timestamp, runner.logger)

    def line(self, runner: RunnerView) -> OrderedDict[str, Any]:
        """Return what is logged now, in the order of the log."""
        output = dict(runner.log_buffer.output)
        mode = self.get_mode(runner)
        lr, iters = runner.current_lr(), runner.log_buffer.iters
        line: OrderedDict[str, Any] = OrderedDict(
            mode=mode,
            epoch=self.get_epoch(runner),
            iter=output.pop("eval_iter_num", self._iter(runner)),
            lr={name: each[0] for name, each in lr.items()} if isinstance(lr, dict) else lr[0],
            global_iter=runner.completed_iters if iters is None else iters,
        )
        if "time" in output and torch.cuda.is_available():
            line["memory"] = int(torch.cuda.max_memory_allocated() / 2**20)
        line.update(output)
        return line

    def _is_named(self, runner: RunnerView) -> bool:
        """Return whether the name of the experiment is logged before this line."""
        ends = self.by_epoch and num_batches(runner.data_loader) is not None and self.end_of_epoch(runner)
        return ends or self.every_n_iters(runner, self.interval_exp_name)

    def _iter(self, runner: RunnerView) -> int:
        """Return the iteration of the line; in a val flow it is the number of batches."""
        return runner.inner_iter + 1 if runner.mode == "val" else self.get_iter(runner, inner_iter=True)

    def _text(self, runner: RunnerView, line: OrderedDict[str, Any]) -> str:
        items = {k: v for k, v in line.items() if k not in _HEAD}
        training = line["mode"] == "train"
        length = num_batches(runner.data_loader) if self.by_epoch else runner.max_iters
        at = f"{line['iter']}/{length}" if training and length is not None else line["iter"]
        flow = "" if training else "(val)"
        head = f"Epoch{flow} [{line['epoch']}][{at}]" if self.by_epoch else f"Iter{flow} [{at}]"
        parts = [_lr(line["lr"])] if training else []
        if training and "time" in items:
            if runner.max_iters is not None:
                parts.append(f"eta: {self._eta(runner, runner.max_iters, items['time'])}")
            parts += [f"{name}: {items.pop(name):.3f}" for name in ("time", "data_time") if name in items]
        parts += [f"{name}: {_value(value)}" for name, value in items.items()]
        return head + "\t" + ", ".join(parts)

    def _eta(self, runner: RunnerView, max_iters: int, seconds_per_iter: float) -> datetime.timedelta:
        self._seconds += seconds_per_iter * (self._short_epoch or self.interval)
        average = self._seconds / (runner.iter - self._start_iter + 1)
        return datetime.timedelta(seconds=int(average * (max_iters - runner.iter - 1)))

    def _append(self, line: dict[str, Any]) -> None:
        """Write a line after those that could not be written before: a full disk does not stop the training."""
        if self._json is None:
            return
        self._unwritten.append(_as_json(_rounded(line)) + "\n")
        try:
            while self._unwritten:
                append_whole(self._json, self._unwritten[0].encode())
                self._unwritten.popleft()
        except OSError as error:
            if not self._failed:
                logger.error(
                    "%s cannot be written: %s. Writing is retried with each line.", self._json, error
                )
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
