"""Log to PAVI."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError
from cfgtrain.introspection.signatures import check_dict
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values
from cfgtrain.runner.protocol import RunnerView

__all__ = ["PaviLoggerHook"]


class _Uploads(NamedTuple):
    """Which checkpoints are uploaded."""

    active: bool = False
    start: int = 0
    interval: int = 1


@HOOKS.register_module()
class PaviLoggerHook(TrackerHook):
    """Logs to PAVI, the service of OpenMMLab, and uploads checkpoints to it.

    Args:
        init_kwargs: Arguments of ``pavi.SummaryWriter``. Defaults: ``name`` is the name of the work directory,
            ``model`` that of the model's class.
        add_graph: Deprecated; only False is accepted: the graph of the model is not uploaded.
        img_key: Deprecated; has no effect.
        add_last_ckpt: Whether the newest checkpoint is uploaded at the end of the run.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.
        add_graph_kwargs: Accepted if its ``active`` is False, for the same reason.
        add_ckpt_kwargs: Which checkpoints are uploaded: ``active`` (by default False), ``start`` (0) and
            ``interval`` (1), in epochs, or in iterations if not ``by_epoch``.

    Attributes:
        writer: The ``SummaryWriter``, during the run.
    """

    packages = ("pavi",)
    install = "It comes with the service; the package of that name on PyPI is empty."
    add_mode = False

    def __init__(
        self,
        init_kwargs: Mapping[str, Any] | None = None,
        add_graph: bool | None = None,
        img_key: str | None = None,
        add_last_ckpt: bool = False,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool = True,
        add_graph_kwargs: Mapping[str, Any] | None = None,
        add_ckpt_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        if add_graph or (add_graph_kwargs or {}).get("active"):
            raise ArgumentError(
                "The graph of the model cannot be uploaded to PAVI.",
                argument="add_graph" if add_graph else ("add_graph_kwargs", "active"),
            )
        self.init_kwargs = init_kwargs
        self.add_last_ckpt = add_last_ckpt
        self.writer: Any = None
        check_dict("add_ckpt_kwargs", _Uploads, add_ckpt_kwargs or {})
        self._uploads = _Uploads(**(add_ckpt_kwargs or {}))
        check_integer("add_ckpt_kwargs.interval", self._uploads.interval, 1)
        self._due: list[tuple[Path, int]] = []
        self._name = ""

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Open the writer."""
        self._name = Path(runner.work_dir or "run").name
        model = type(unwrap_model(runner.model)).__name__
        settings = {"name": self._name, "model": model, **(self.init_kwargs or {})}
        self.writer = importlib.import_module("pavi").SummaryWriter(**settings)
        return run_id or runner.timestamp

    def send(self, values: Values) -> None:
        """Log numbers at an iteration or, those of an evaluation by epoch, at an epoch."""
        step = values.epoch if values.mode == "val" and self.by_epoch else values.step
        self.writer.add_scalars(values.mode, values.tags, step)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Upload the checkpoints that are due and the newest one, and close the writer."""
        if self.add_last_ckpt and runner.work_dir is not None:
            newest = Path(runner.work_dir, "latest.pth").resolve()
            step = runner.epoch if self.by_epoch else runner.iter
            if newest not in [file.resolve() for file, _ in self._due]:
                self._due.append((newest, step))
        self._upload(runner)
        self.writer.close()

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Upload the checkpoint of the previous epoch, which was written after all hooks had run."""
        super().before_train_epoch(runner)
        self._upload(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Log what other hooks output at the end of the epoch."""
        super().after_train_epoch(runner)
        if self.by_epoch:
            self._note(runner, "epoch", runner.epoch + 1)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Log every ``interval`` iterations."""
        super().after_train_iter(runner)
        if self._due:
            self._upload(runner)
        if not self.by_epoch:
            self._note(runner, "iter", runner.iter + 1)

    def _note(self, runner: RunnerView, unit: str, done: int) -> None:
        """Note a checkpoint that is written when all hooks have run."""
        active, start, interval = self._uploads
        is_due = active and done >= start and (done - start) % interval == 0
        if is_due and self._record is not None and runner.work_dir is not None:
            self._due.append((Path(runner.work_dir, f"{unit}_{done}.pth"), done))

    def _upload(self, runner: RunnerView) -> None:
        while self._due:
            file, step = self._due.pop(0)
            try:
                if not file.is_file():
                    raise FileNotFoundError("there is no such file")
                self.writer.add_snapshot_file(tag=self._name, snapshot_file_path=str(file), iteration=step)
            except Exception as error:  # the service raises its own errors
                runner.logger.warning("The checkpoint %s is not uploaded to PAVI: %s", file, error)
