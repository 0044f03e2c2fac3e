"""Log to Neptune."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra
from cfgtrain.runner.protocol import RunnerView

__all__ = ["NeptuneLoggerHook"]


@HOOKS.register_module()
class NeptuneLoggerHook(TrackerHook):
    """Logs to a run of Neptune, with its client 1.x.

    Args:
        init_kwargs: Arguments of ``neptune.init_run``, such as ``dict(project='team/digits')``.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        with_step: Whether the iteration is logged as the step. If not, Neptune counts the logs.
        by_epoch: Whether intervals are counted within the epoch, or over the run.

    Attributes:
        run: The run of Neptune, during the run.
    """

    packages = ("neptune",)
    install = extra("neptune")

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        with_step: bool = True,
        by_epoch: bool = True,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.init_kwargs = init_kwargs
        self.with_step = with_step
        self.run: Any = None

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Begin or continue a run with the settings of the config."""
        settings = dict(self.init_kwargs or {})
        if run_id is not None:
            settings["with_id"] = run_id
        self.run = importlib.import_module("neptune").init_run(**settings)
        params = {key.replace(".", "/"): _plain(value) for key, value in config_params(runner).items()}
        if params:
            self.run["config"] = params
        return str(self.run["sys/id"].fetch())

    def send(self, values: Values) -> None:
        """Append the numbers to their series."""
        step = {"step": values.step} if self.with_step else {}
        for tag, value in values.tags.items():
            self.run[tag].append(value, **step)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Log the last scores, and end the run."""
        for name, score in {**self.scores, **summary}.items():
            self.run[f"summary/{name}"] = score
        self.run.stop()


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
