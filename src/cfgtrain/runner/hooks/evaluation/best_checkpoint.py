"""The checkpoint with the best score: kept, and replaced by a better one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgtrain.checkpoint.find import remove_own
from cfgtrain.checkpoint.out_dir import Mirror, OutDir
from cfgtrain.errors import CheckpointError
from cfgtrain.runner.protocol import RunnerView

__all__ = ["BestCheckpoint"]

logger = logging.getLogger(__name__)


class BestCheckpoint:
    """Keeps one file, and what is known of it under ``best_score`` and ``best_ckpt`` in the run's ``hook_msgs``.

    Args:
        out_dir: As of ``CheckpointHook``.
        file_client_args: Likewise.
    """

    def __init__(self, out_dir: str | None, file_client_args: Mapping[str, Any] | None) -> None:
        self._place = OutDir(out_dir, file_client_args)
        self._mirror: Mirror | None = None
        self._folder: Path | None = None
        self._run: str | None = None  # that wrote the best
        self._replaced: list[str | None] | None = None  # while it is: new name, old name, run of the old

    def begin(self, runner: RunnerView) -> None:
        """Settle where the best goes, and take that of a resumed run from where the run is now.

        Raises:
            CheckpointError: It cannot be copied to ``out_dir``.
        """
        if runner.meta is None:
            runner.logger.warning("The runner has no meta: it is made, to remember the best score.")
            runner.meta = {}
        messages = runner.meta.setdefault("hook_msgs", {})
        if runner.work_dir is None:
            return
        self._folder = self._place.folder(runner.work_dir)
        self._mirror = self._place.mirror(runner.work_dir) if runner.rank == 0 else None
        if self._mirror is not None:
            self._mirror.try_out()
        here = self._folder / Path(messages.get("best_ckpt") or "").name  # its folder may have been copied
        if here.is_file():
            messages["best_ckpt"] = str(here)

    def state_dict(self) -> dict[str, Any]:
        """Return what became of the best.

        The one before is told of in the new one, in case the run is killed before it is removed.
        """
        return {"best_run": self._run, "replaced": self._replaced}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over, and do what a kill may have cut off."""
        self._run = state.get("best_run")
        if state.get("replaced") and self._folder is not None:
            new, old, run = state["replaced"]
            if (self._folder / new).is_file():
                self._remove(self._folder / old, run, logger)

    def replace(self, runner: RunnerView, name: str, score: float, unit: str, done: int) -> None:
        """Note a score that is the best so far, and save the run when the stage is over.

        Args:
            runner: The run.
            name: Of the score.
            score: Its value.
            unit: ``"epoch"`` or ``"iter"``.
            done: How many of these are complete.
        """
        messages = (runner.meta or {})["hook_msgs"]
        before = {key: messages.get(key) for key in ("best_score", "best_ckpt")}
        written_by = self._run
        messages["best_score"] = score
        if self._folder is None:
            return
        path = self._folder / f"best_{name}_{unit}_{done}.pth"
        messages["best_ckpt"] = str(path)
        self._run = (runner.meta or {}).get("run_id")

        def save() -> None:
            if runner.rank != 0:
                return
            old = before["best_ckpt"]
            if old not in (None, str(path)) and Path(old).parent == path.parent:
                self._replaced = [path.name, Path(old).name, written_by]
            try:
                runner.save_checkpoint(str(path.parent), path.name, create_symlink=False)
            except CheckpointError as error:
                messages.update(before)
                self._run, self._replaced = written_by, None
                runner.logger.error("%s The best checkpoint stays %s.", error, before["best_ckpt"])
                return
            if self._mirror is not None:
                self._mirror.copy(path, self._run, runner.logger, best=True)
            if self._replaced is not None:
                self._remove(Path(str(old)), written_by, runner.logger)
            self._replaced = None
            runner.logger.info("Best %s is %.4f at %d %s: %s", name, score, done, unit, path.name)

        runner.defer(save)

    def _remove(self, path: Path, run_id: str | None, log: logging.Logger) -> None:
        """Remove a best that there is a better one for."""
        remove_own(path, run_id, log)
        if self._mirror is not None:
            self._mirror.remove(path.name, run_id, log)
