"""The base of the loggers that send values to an experiment tracker."""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

from cfgtrain.config.literals import read_literals
from cfgtrain.errors import CfgTrainError, HookError, MissingLibraryError
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.loggers.tracker_record import Place, TrackerRecord
from cfgtrain.runner.protocol import RunnerView

__all__ = ["TrackerHook"]

MAX_UNSENT = 1000  # logs that are kept while the tracker fails
PAUSE = 10  # a failed attempt is repeated after this many times its duration

# Not every token: cls_token is a setting of a model.
_SECRET = re.compile("(api|access|auth|bearer)_?(key|token)|^token$|secret|passw|credential", re.IGNORECASE)


class Values(NamedTuple):
    """What is logged at once.

    Attributes:
        tags: Numbers, and text where the tracker takes some, by tag such as ``train/loss``.
        step: The 1-based iteration over the run, as in MMCV.
        epoch: The 1-based epoch.
        mode: ``"train"`` or ``"val"``.
        place: Orders the values of a run.
    """

    tags: dict[str, Any]
    step: int
    epoch: int
    mode: str
    place: Place


class TrackerHook(LoggerHook):
    """Sends what is logged to an experiment tracker.

    A tracker that cannot be started ends the run before its first iteration. If it fails later, a warning is
    logged and the training goes on: the values are kept and sent when the tracker works again. A resumed
    training continues the same run of the tracker, without values that it has already.

    Args:
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.

    Attributes:
        scores: The last scores that were logged, by tag.
        closes_itself: Whether the run of the tracker ends with the training; if not, ``close`` is called later.

    Raises:
        MissingLibraryError: The package of the tracker is not installed.
    """

    packages: tuple[str, ...]  # one of them is needed
    install: str  # how to install it
    allow_text = False  # whether text is sent too
    add_mode = True  # whether tags begin with the mode
    seconds_kept = (
        0.0  # for which sent values are kept, as the tracker may lose them if the process is killed
    )

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool = True
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        if not any(map(_is_installed, self.packages)):
            raise self._missing("which is not installed")
        self.scores: dict[str, float] = {}
        self.closes_itself = True
        self._record: TrackerRecord | None = None  # while the tracker is open
        self._continues = False  # whether the tracker continues a run
        self._unsent: deque[Values] = deque(maxlen=MAX_UNSENT)
        self._sent: deque[tuple[float, Values]] = deque(maxlen=MAX_UNSENT)  # with the times
        self._num_lost = 0
        self._is_failing = False
        self._next_attempt = 0.0
        self._test_scores: dict[str, float] = {}

    @abstractmethod
    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Begin a run of the tracker, or continue the one with an id; return its id."""

    @abstractmethod
    def send(self, values: Values) -> None:
        """Send values to the tracker."""

    def reached(self, record: TrackerRecord) -> Place:
        """Return the place of the newest values that the tracker has, after its run was continued.

        By default these are all that were sent. Override it, and set ``seconds_kept``, for a tracker that may lose
        some of them if the process is killed.
        """
        return record.logged

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """End the run of the tracker, so that it can be continued.

        Args:
            runner: The runner.
            summary: The best score as ``best_score`` if that is kept, and the scores of the test as ``test/<name>``.
        """

    def open_log(self, runner: RunnerView) -> None:
        """Start the tracker.

        Raises:
            MissingLibraryError: Its package cannot be imported.
            HookError: It cannot be started.
        """
        same = [hook for hook in runner.hooks if type(hook) is type(self)]
        number = same.index(self) + 1 if self in same else 1
        record = TrackerRecord(runner, type(self).__name__ + (f"#{number}" if number > 1 else ""))
        self._continues = record.run_id is not None
        try:
            record.begin(runner, self.start(runner, record.run_id))
            record.logged = self.reached(record)
        except Exception as error:  # each tracker raises its own errors
            with suppress(Exception):  # what has begun already
                self.finish(runner, {})
            if isinstance(error, CfgTrainError):
                raise
            if isinstance(error, ImportError):
                raise self._missing(f"which cannot be imported ({error})") from error
            raise HookError(
                f"{type(self).__name__} cannot be started. {type(error).__name__}: {error}"
            ) from error
        self._record = record
        if record.logged > (runner.iter, 1):
            runner.logger.info(
                "%s has the values up to iteration %d already; they are not logged again.",
                type(self).__name__, record.logged[0],
            )  # fmt: skip

    def log(self, runner: RunnerView) -> None:
        """Send the output, and what could not be sent before."""
        tags = self.get_loggable_tags(runner, allow_text=self.allow_text, add_mode=self.add_mode)
        self.log_tags(runner, tags, self.get_mode(runner))

    def log_tags(self, runner: RunnerView, tags: Mapping[str, Any], mode: str) -> None:
        """Send values, and what could not be sent before.

        Args:
            runner: The runner.
            tags: The values; those that are neither numbers nor text are left out.
            mode: ``"train"`` or ``"val"``.
        """
        buffer = runner.log_buffer
        done = runner.completed_iters if mode == "train" or buffer.iters is None else buffer.iters
        place = (done, int(mode != "train"))
        if self._record is None or place <= self._record.logged:
            return
        numbers = {tag: _number(value) for tag, value in tags.items() if self.is_scalar(value)}
        text = {tag: value for tag, value in tags.items() if isinstance(value, str)}
        if mode != "train":
            rates = {**self.get_lr_tags(runner), **self.get_momentum_tags(runner)}
            self.scores.update({tag: value for tag, value in numbers.items() if tag not in rates})
        self._num_lost += len(self._unsent) == MAX_UNSENT
        values = Values({**numbers, **text}, self.get_iter(runner), self.get_epoch(runner), mode, place)
        self._unsent.append(values)
        if perf_counter() >= self._next_attempt:
            self._send(runner)

    def state_dict(self) -> dict[str, Any]:
        """Return the values before a checkpoint that the tracker may not have after the training was killed."""
        since = perf_counter() - self.seconds_kept
        values = [*(each for time, each in self._sent if time > since), *self._unsent]
        return {"values": [each._asdict() for each in values]} if values else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the values be sent that the tracker does not have, if its run continues."""
        if self._record is None or not self._continues:
            return
        known = [self._record.logged, *(each.place for each in self._unsent)]
        values = (Values(**each) for each in state["values"])
        self._unsent.extend(each for each in values if each.place > max(known))

    def close_log(self, runner: RunnerView) -> None:
        """End the run of the tracker, unless this is done later."""
        if self.closes_itself:
            self.close(runner)

    def add_test_scores(self, scores: Mapping[str, Any]) -> None:
        """Add the scores of a test of the trained model to the summary."""
        numbers = {name: value for name, value in scores.items() if self.is_scalar(value)}
        self._test_scores = {f"test/{name}": float(value) for name, value in numbers.items()}

    def close(self, runner: RunnerView) -> None:
        """Send what could not be sent before, and end the run of the tracker."""
        if self._record is None:
            return
        self._send(runner)
        name, lost = type(self).__name__, len(self._unsent) + self._num_lost
        if lost:
            runner.logger.error("%s: %d logs could not be sent and are lost.", name, lost)
        best = (runner.meta or {}).get("hook_msgs", {}).get("best_score")
        summary = {**({} if best is None else {"best_score": float(best)}), **self._test_scores}
        try:
            self.finish(runner, summary)
            self._record.close()
        except Exception as error:  # each tracker raises its own errors
            runner.logger.error("%s cannot be closed. %s: %s", name, type(error).__name__, error)
        self._record = None

    def _send(self, runner: RunnerView) -> None:
        record = self._record
        began = perf_counter()
        try:
            while record is not None and self._unsent:
                self.send(self._unsent[0])
                values = self._unsent.popleft()
                if self.seconds_kept:
                    self._sent.append((perf_counter(), values))
                record.advance(values.place)
        except Exception as error:  # each tracker raises its own errors
            if not self._is_failing:
                runner.logger.warning(
                    "%s cannot log, so the training goes on without it. The values are kept and sent when it "
                    "works again. %s: %s", type(self).__name__, type(error).__name__, error,
                )  # fmt: skip
            self._is_failing = True
            now = perf_counter()
            self._next_attempt = now + PAUSE * (now - began)
        else:
            if self._is_failing:
                runner.logger.info("%s logs again.", type(self).__name__)
            self._is_failing = False

    def _missing(self, problem: str) -> MissingLibraryError:
        return MissingLibraryError(
            f"{type(self).__name__} needs {' or '.join(self.packages)}, {problem}.", hint=self.install
        )


def extra(name: str) -> str:
    """Return the advice to install an extra of cfgtrain."""
    return f"To install it, run: pip install 'cfgtrain[{name}]'"


def config_params(runner: RunnerView) -> dict[str, Any]:
    """Return the settings of the config by their key paths, such as ``data.train.pipeline.0.type``.

    Settings that may be secret, such as an ``api_token``, are left out.
    """
    text = (runner.meta or {}).get("config")
    try:
        return _flat(read_literals(text)) if isinstance(text, str) else {}
    except ValueError:  # a config that another program has written
        return {}


def is_complete(runner: RunnerView) -> bool:
    """Return whether the run has reached its end, so that there is nothing to resume."""
    lengths = ((runner.epoch, runner.max_epochs), (runner.iter, runner.max_iters))
    return runner.ended_by is not None or any(end is not None and done >= end for done, end in lengths)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if _SECRET.search(str(key)):
            continue
        if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            value = dict(enumerate(value))  # as a dict
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}."))
        else:
            flat[name] = list(value) if isinstance(value, tuple | set) else value
    return flat


def _is_installed(package: str) -> bool:
    """Return whether a package can be imported; a folder of that name, as wandb creates, is none."""
    if package in sys.modules:
        return sys.modules[package] is not None  # None blocks the import
    try:
        found = importlib.util.find_spec(package)
    except ValueError:
        return False
    return found is not None and found.origin is not None


def _number(value: Any) -> float | int:
    """Return a scalar as a number of Python."""
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, int) or not math.isfinite(number) else float(number)
