"""Log to Weights & Biases."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra, is_complete
from cfgtrain.runner.hooks.loggers.tracker_record import Place, TrackerRecord
from cfgtrain.runner.hooks.loggers.wandb_files import last_step
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.paths import scandir

__all__ = ["WandbLoggerHook"]

# W&B's process ends with this one, also if this one is killed, and what it has not written yet is lost.
FLUSH = "x_transaction_log_flush_interval"
SECONDS_BETWEEN_FLUSHES = 1.0
SECONDS_KEPT = 10.0  # more than the time between two flushes, because its process may be slow

SUMMARIES = ("min", "max", "mean", "best", "last", "none")


@HOOKS.register_module()
class WandbLoggerHook(TrackerHook):
    """Logs to a run of W&B, online or offline.

    Offline, each start of a resumed training has its own folder below ``<work_dir>/wandb``, with the same id
    of the run; ``wandb sync`` merges them.

    Args:
        init_kwargs: Arguments of ``wandb.init``, such as ``dict(project='digits', mode='offline')``. Defaults:
            ``dir`` is the work directory, ``config`` has the settings of the config.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        commit: Whether a log completes a row. With ``with_step`` a row is complete when the step advances, so
            that the values of the training and of an evaluation at one step are in one row.
        by_epoch: Whether intervals are counted within the epoch, or over the run.
        with_step: Whether W&B's step is the iteration. If not, W&B counts the logs, and the iteration is logged
            as ``global_step``.
        log_artifact: Whether the files of the work directory are uploaded as an artifact at the end.
        out_suffix: Suffixes of these files.
        define_metric_cfg: The summary of metrics by their names, such as ``{'val/accuracy': 'max'}``: min, max,
            mean, best, last or none.

    Attributes:
        wandb: The package, during the run.
    """

    packages = ("wandb",)
    install = extra("wandb")
    seconds_kept = SECONDS_KEPT

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        commit: bool = True,
        by_epoch: bool = True,
        with_step: bool = True,
        log_artifact: bool = True,
        out_suffix: str | Sequence[str] = (".log.json", ".log", ".py"),
        define_metric_cfg: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.init_kwargs = init_kwargs
        self.commit = commit
        self.with_step = with_step
        self.log_artifact = log_artifact
        self.out_suffix = (out_suffix,) if isinstance(out_suffix, str) else tuple(out_suffix)
        self.define_metric_cfg = define_metric_cfg
        self.wandb: Any = None
        self.run: Any = None

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Begin or continue a run with the settings of the config."""
        self.wandb = importlib.import_module("wandb")
        settings = dict(self.init_kwargs or {})
        if runner.work_dir is not None:
            settings.setdefault("dir", runner.work_dir)
        options = settings.get("settings") or {}
        if isinstance(options, Mapping) and FLUSH in getattr(self.wandb.Settings, "model_fields", {}):
            settings["settings"] = {FLUSH: SECONDS_BETWEEN_FLUSHES, **options}
        if run_id is not None:
            settings.update(id=run_id)
            settings.setdefault("resume", "allow")
        params = config_params(runner)
        self.run = self.wandb.init(**settings)
        self.run.config.update(params, allow_val_change=True)
        for metric, summary in (self.define_metric_cfg or {}).items():
            if summary in SUMMARIES:
                self.run.define_metric(metric, summary=summary)
            else:
                runner.logger.warning(
                    "define_metric_cfg: the summary of %r must be one of %s, not %r; it is left out.",
                    metric, ", ".join(SUMMARIES), summary,
                )  # fmt: skip
        return str(self.run.id)

    def reached(self, record: TrackerRecord) -> Place:
        """Return the place of the newest values in W&B's files or, online, at its server."""
        if record.was_closed or not self.with_step:
            return record.logged
        offline = bool(self.run.offline)
        step = last_step(Path(self.run.dir).parents[1], self.run.id) if offline else self.run.step - 1
        return min(record.logged, (step, 0))

    def send(self, values: Values) -> None:
        """Log the numbers as a row, or as a part of one."""
        if self.with_step:
            # With commit=True, W&B would drop what is logged at the same step later.
            self.run.log(values.tags, step=values.step, commit=None if self.commit else False)
        else:
            self.run.log({**values.tags, "global_step": values.step}, commit=self.commit)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Add to the summary, upload the files and end the run."""
        for name, score in summary.items():
            self.run.summary[name] = score
        if self.log_artifact and runner.work_dir is not None:
            self._log_files(runner.work_dir)
        self.run.finish(exit_code=0 if is_complete(runner) else 1)

    def _log_files(self, work_dir: str) -> None:
        names = [
            name
            for name in scandir(work_dir, self.out_suffix, recursive=True)
            if Path(name).parts[0] != "wandb"
        ]
        artifact = self.wandb.Artifact(name=f"files-{self.run.id}", type="model")
        for name in names:
            artifact.add_file(str(Path(work_dir, name)), name=name)
        self.run.log_artifact(artifact)
