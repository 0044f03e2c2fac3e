"""Keep the checkpoint with the best score."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgtrain.checkpoint.sharded import folder_name, is_sharded
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.errors import CheckpointError
from cfgtrain.filesystem.names import as_template, safe_file_name
from cfgtrain.parallel.fsdp import is_sharded_model
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.logging import LINES_ONLY

__all__ = ["BestCheckpoint"]

logger = logging.getLogger(__name__)


class BestCheckpoint:
    """Keeps one file, and ``best_score`` and ``best_ckpt`` in the ``hook_msgs`` of the run.

    Args:
        out_dir: As for ``CheckpointHook``.
        file_client_args: As for ``CheckpointHook``.
    """

    def __init__(self, out_dir: str | None, file_client_args: Mapping[str, Any] | None) -> None:
        self._store = CheckpointStore(out_dir, file_client_args)
        self._in_background = False

    def finish(self, runner: RunnerView) -> None:
        """Wait until the best checkpoint is written: if that fails, the score before is the best one again."""
        if self._in_background:
            runner.finish_saving()

    def begin(self, runner: RunnerView) -> None:
        """Determine where the best checkpoint goes, and find that of a resumed run.

        Raises:
            CheckpointError: It cannot be copied to ``out_dir``.
        """
        if runner.meta is None:
            runner.logger.warning("The runner has no meta: it is created to store the best score.")
            runner.meta = {}
        messages = runner.meta.setdefault("hook_msgs", {})
        if runner.work_dir is None:
            return
        folder = self._store.open(runner.work_dir)
        here = folder / Path(messages.get("best_ckpt") or "").name  # the folder may be a copy
        if here.is_file() or is_sharded(here):
            messages["best_ckpt"] = str(here)
        best = messages.get("best_ckpt")
        self._store.written = {} if best is None else {Path(best): None}

    def state_dict(self) -> dict[str, Any]:
        """Return which run wrote the best checkpoint, and the one that it replaces.

        While the new file is written the old one still exists; if the run is killed before it is
        removed, the resumed run removes it.
        """
        written = list(self._store.written.items())
        replaced = None
        if len(written) > 1 and written[-2][0].parent == written[-1][0].parent:
            (old, run_id), (new, _) = written[-2:]
            replaced = [new.name, old.name, run_id]
        return {"best_run": written[-1][1] if written else None, "replaced": replaced}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state, and complete what a kill may have prevented."""
        written = dict.fromkeys(self._store.written, state.get("best_run"))
        if state.get("replaced") and self._store.folder is not None:
            new, old, run_id = state["replaced"]
            if self._store.folder / new in written:
                written = {self._store.folder / old: run_id, **written}
        self._store.restore(written, 1, logger)

    def replace(self, runner: RunnerView, name: str, score: float, unit: str, done: int) -> None:
        """Store a new best score, and save the run at the end of the stage.

        Args:
            runner: The runner.
            name: Name of the score; in the file name it is made safe.
            score: Value of the score.
            unit: ``"epoch"`` or ``"iter"``.
            done: Number of completed epochs or iterations.
        """
        meta = runner.meta or {}
        messages = meta["hook_msgs"]
        before = {key: messages.get(key) for key in ("best_score", "best_ckpt")}
        messages["best_score"] = score
        if self._store.folder is None:
            return
        file = f"best_{safe_file_name(name)}_{unit}_{done}.pth"
        file = folder_name(file) if is_sharded_model(runner.model) else file
        path = self._store.add(file, meta.get("run_id"))
        messages["best_ckpt"] = str(path)

        def finish(error: CheckpointError | None = None) -> None:
            self._in_background = False
            if error is not None:
                messages.update(before)
                self._store.undo_add()
                remains = before["best_ckpt"] and f"The best checkpoint remains {before['best_ckpt']}."
                if runner.rank == 0:  # the shards of a checkpoint cannot be written in all processes
                    runner.logger.error("%s %s", error, remains or "There is no best checkpoint yet.")
                return
            self._store.commit(1, runner.logger, best=True)
            best = (name, score, done, unit, path.name)
            runner.logger.info("Best %s is %.4f at %d %s: %s", *best, extra=LINES_ONLY)

        def save() -> None:
            self._in_background = runner.saves_in_background
            options: dict[str, Any] = {"background": finish} if self._in_background else {}
            try:
                runner.save_checkpoint(
                    str(path.parent), as_template(path.name), create_symlink=False, **options
                )
            except CheckpointError as error:
                finish(error)
            else:
                if not options:
                    finish()

        runner.defer(save)
