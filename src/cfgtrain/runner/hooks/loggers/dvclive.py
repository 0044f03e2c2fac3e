"""Log to DVCLive."""

from __future__ import annotations

import importlib
from operator import mul
from pathlib import Path
from typing import Any

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra
from cfgtrain.runner.protocol import RunnerView

__all__ = ["DvcliveLoggerHook"]


@HOOKS.register_module()
class DvcliveLoggerHook(TrackerHook):
    """Logs to the files of DVCLive, which DVC shows and compares.

    By epoch, the averages over each epoch are logged at its end, and the step is the epoch.

    Args:
        model_file: Path of a checkpoint that is written at the end of each epoch. None writes none.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether epochs are logged, or intervals of iterations.
        dvclive: A ``dvclive.Live`` to use. None creates one.
        kwargs: Arguments of ``dvclive.Live``. Defaults: ``dir`` is ``<work_dir>/dvclive``, ``dvcyaml`` a
            file in it.

    Attributes:
        dvclive: The ``dvclive.Live``, during the run.
    """

    packages = ("dvclive",)
    install = extra("dvclive")

    def __init__(
        self,
        model_file: str | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool = True,
        dvclive: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.model_file = model_file
        self.dvclive = dvclive
        self._kwargs = kwargs
        self._owns_live = dvclive is None

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Open the files with the settings of the config as parameters."""
        if self._owns_live:
            settings = {**self._kwargs}
            if runner.work_dir is not None:
                settings.setdefault("dir", str(Path(runner.work_dir, "dvclive")))
                settings.setdefault("dvcyaml", str(Path(settings["dir"], "dvc.yaml")))
            if run_id is not None:
                settings["resume"] = True
            self.dvclive = importlib.import_module("dvclive").Live(**settings)
        params = config_params(runner)
        if params:
            self.dvclive.log_params(params)
        return run_id or runner.timestamp

    def send(self, values: Values) -> None:
        """Log the numbers at a step."""
        self.dvclive.step = values.epoch if self.by_epoch else values.step
        for tag, value in values.tags.items():
            self.dvclive.log_metric(tag, value)
        self.dvclive.make_summary()

    def log(self, runner: RunnerView) -> None:
        """Log the output; by epoch, the training is logged at the end of the epoch instead."""
        if not self.by_epoch or self.get_mode(runner) != "train":
            super().log(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Log the epoch, and save the checkpoint."""
        if self.by_epoch:
            self.log_tags(runner, self._epoch_tags(runner), "train")
        super().after_train_epoch(runner)
        if self.model_file is not None:
            file = Path(self.model_file).absolute()

            def save() -> None:
                runner.save_checkpoint(str(file.parent), file.name, create_symlink=False)

            runner.defer(save)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Add to the summary, and close the files."""
        if summary:
            for name, score in summary.items():
                self.dvclive.log_metric(name, score, plot=False)
            self.dvclive.make_summary()
        if self._owns_live:
            self.dvclive.end()
            self.dvclive = None

    def _epoch_tags(self, runner: RunnerView) -> dict[str, Any]:
        """Return the averages over the epoch."""
        averages = {}
        for name, values in runner.log_buffer.val_history.items():
            counts = runner.log_buffer.n_history[name]
            if name not in ("time", "data_time") and any(counts):
                averages[f"train/{name}"] = sum(map(mul, values, counts)) / sum(counts)
        return {**averages, **self.get_lr_tags(runner), **self.get_momentum_tags(runner)}
