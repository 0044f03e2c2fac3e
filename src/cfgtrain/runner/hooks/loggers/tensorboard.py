"""Log to TensorBoard."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from cfgtrain.errors import HookError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra
from cfgtrain.runner.protocol import RunnerView

__all__ = ["TensorboardLoggerHook"]

EVENTS = "events.out.tfevents.*"


@HOOKS.register_module()
class TensorboardLoggerHook(TrackerHook):
    """Logs numbers and text to event files of TensorBoard.

    A new run whose folder has the events of another one writes to a subfolder named by its time.

    Args:
        log_dir: Folder of the event files, by default ``<work_dir>/tf_logs``.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.

    Attributes:
        writer: The ``SummaryWriter``, during the run.
    """

    packages = ("tensorboard", "tensorboardX")
    install = extra("tensorboard")
    allow_text = True

    def __init__(
        self,
        log_dir: str | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool = True,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.log_dir = log_dir
        self.writer: Any = None
        self._params: dict[str, Any] = {}

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Open an event file; the id of a run is the name of its subfolder, or ``.``.

        Raises:
            HookError: There is neither a ``log_dir`` nor a work directory.
        """
        if self.log_dir is None and runner.work_dir is None:
            raise HookError("TensorboardLoggerHook needs a log_dir if the runner has no work_dir.")
        folder = Path(self.log_dir or Path(runner.work_dir or "", "tf_logs"))
        if run_id is None:
            run_id = runner.timestamp if any(folder.glob(EVENTS)) else "."
        try:
            module = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            module = importlib.import_module("tensorboardX")
        self.writer = module.SummaryWriter(str(folder / run_id))
        self._params = config_params(runner)
        if self._params:
            text = "".join(f"    {key} = {value!r}\n" for key, value in self._params.items())
            self.writer.add_text("config", text, runner.iter)
        return run_id

    def send(self, values: Values) -> None:
        """Write numbers and text at a step."""
        for tag, value in values.tags.items():
            add = self.writer.add_text if isinstance(value, str) else self.writer.add_scalar
            add(tag, value, values.step)
        self.writer.flush()  # what is only in memory would be lost with a killed run

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Write the settings with the last scores for the tab of hyperparameters, and close the file."""
        scores = {f"summary/{name}": score for name, score in {**self.scores, **summary}.items()}
        if scores and self._params:
            params = {
                key: value if isinstance(value, bool | int | float | str) else str(value)
                for key, value in self._params.items()
            }
            self.writer.add_hparams(params, scores, run_name=".", global_step=runner.iter)
        self.writer.close()
