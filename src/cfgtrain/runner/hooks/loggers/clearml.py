"""Log to ClearML."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra
from cfgtrain.runner.protocol import RunnerView

__all__ = ["ClearMLLoggerHook"]


@HOOKS.register_module()
class ClearMLLoggerHook(TrackerHook):
    """Logs to a task of ClearML.

    Args:
        init_kwargs: Arguments of ``clearml.Task.init``, such as ``dict(project_name='digits')``.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.

    Attributes:
        task: The task, during the run.
        task_logger: Its logger.
    """

    packages = ("clearml",)
    install = extra("clearml")

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool = True,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.init_kwargs = init_kwargs
        self.task: Any = None
        self.task_logger: Any = None

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Begin or continue a task with the settings of the config."""
        settings = dict(self.init_kwargs or {})
        if run_id is not None:
            settings["continue_last_task"] = run_id
        self.task = importlib.import_module("clearml").Task.init(**settings)
        if run_id is not None:
            self.task.set_initial_iteration(0)  # else it is added to the iterations that are logged
        self.task_logger = self.task.get_logger()
        params = config_params(runner)
        if params:
            self.task.connect(params, name="config")
        return str(self.task.id)

    def send(self, values: Values) -> None:
        """Report the numbers at an iteration."""
        for tag, value in values.tags.items():
            self.task_logger.report_scalar(tag, tag, value, values.step)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Report the last scores, and close the task."""
        for name, score in {**self.scores, **summary}.items():
            self.task_logger.report_single_value(name, score)
        self.task.close()
