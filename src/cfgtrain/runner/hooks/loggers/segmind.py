"""Log to Segmind."""

from __future__ import annotations

import importlib
from typing import Any

from cfgtrain.errors import MissingLibraryError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values
from cfgtrain.runner.protocol import RunnerView

__all__ = ["SegmindLoggerHook"]


@HOOKS.register_module()
class SegmindLoggerHook(TrackerHook):
    """Logs to an experiment of Segmind; the step is the epoch.

    The package ``segmind`` on PyPI has no experiments any more, so an early version is needed.

    Args:
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.

    Attributes:
        log_metrics: Segmind's function that logs.
        mlflow_log: Segmind's function that calls it.
    """

    packages = ("segmind",)
    install = "A version with segmind.tracking is needed, which today's versions on PyPI do not have."

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool = True
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.log_metrics: Any = None
        self.mlflow_log: Any = None

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Find the functions that log.

        Raises:
            MissingLibraryError: The installed version of Segmind has none.
        """
        segmind = importlib.import_module("segmind")
        try:
            self.log_metrics = segmind.tracking.fluent.log_metrics
            self.mlflow_log = segmind.utils.logging_utils.try_mlflow_log
        except AttributeError as error:
            raise MissingLibraryError(
                "SegmindLoggerHook: the installed version of segmind has no experiments.", hint=self.install
            ) from error
        return run_id or runner.timestamp

    def send(self, values: Values) -> None:
        """Log the numbers at an epoch."""
        self.mlflow_log(self.log_metrics, values.tags, step=values.epoch, epoch=values.epoch)
