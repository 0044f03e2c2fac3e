"""Save checkpoints of the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cfgtrain.arguments import check_interval, check_type
from cfgtrain.checkpoint.sharded import folder_name
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.errors import ArgumentError, CheckpointError
from cfgtrain.filesystem.names import as_template
from cfgtrain.parallel.dist import average_tensors, is_main_process
from cfgtrain.parallel.fsdp import is_sharded_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.checkpoint_space import Plan, checkpoint_bytes, space_problem
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.logging import FILE_ONLY, LINES_ONLY

__all__ = ["CheckpointHook"]

logger = logging.getLogger(__name__)


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves a checkpoint every ``interval`` epochs or iterations, and at the end of the run.

    The file is written after all hooks of the stage have run, so that it contains their results.
    While gradients are accumulated, saving is postponed until the optimizer has stepped. An old
    checkpoint is removed only after the new one has been written durably.

    Args:
        interval: Epochs or iterations between checkpoints; -1 saves only at the end.
        by_epoch: Whether ``interval`` counts epochs, or iterations (``iter_N.pth``).
        save_optimizer: Whether the run can be resumed from the file.
        out_dir: A path or URI: the files go to a folder in it that has the name of the work
            directory. By default they go to the work directory. See ``CheckpointStore``.
        max_keep_ckpts: How many checkpoints to keep; older ones are removed. -1 keeps all.
        save_last: Whether the end of the run is saved regardless of the interval.
        filename_tmpl: Name of the files, with ``{}`` for the number of completed epochs or iterations.
        create_symlink: Whether ``latest.pth`` points to the newest checkpoint.
        sync_buffer: Whether the buffers of the model are averaged over all processes before.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.
        meta: Additional information to save, of plain types.
        async_save: Whether the checkpoints are copied in memory and written in the background while the
            training continues, also those of the best score. They are the same files. The memory for one copy
            is kept during the run. The next save waits until the one before is complete.

    Attributes:
        failed: Why the newest checkpoint could not be written or copied, or None.
    """

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        out_dir: str | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        filename_tmpl: str | None = None,
        create_symlink: bool = True,
        sync_buffer: bool = False,
        file_client_args: Mapping[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
        async_save: bool = False,
    ) -> None:
        check_type("async_save", async_save, bool, "True or False")
        self._store = CheckpointStore(out_dir, file_client_args)
        check_interval("interval", interval, "to save only at the end")
        if not isinstance(max_keep_ckpts, int) or (max_keep_ckpts < 1 and max_keep_ckpts != -1):  # type: ignore[redundant-expr]
            raise ArgumentError(
                f"max_keep_ckpts must be a positive int, or -1 to keep all, not {max_keep_ckpts!r}.",
                argument="max_keep_ckpts",
            )
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_optimizer = save_optimizer
        self.out_dir = out_dir
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        _check_template(self.filename_tmpl)
        self.create_symlink = create_symlink
        self.sync_buffer = sync_buffer
        self.meta = meta
        self.async_save = async_save
        self.failed: str | None = None
        self._due = False

    def before_run(self, runner: RunnerView) -> None:
        """Determine where the checkpoints go.

        Raises:
            CheckpointError: They cannot be copied to ``out_dir``.
        """
        if runner.work_dir is None:
            return
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if not self.save_last and (self.interval < 1 or self.interval > (total or self.interval)):
            runner.logger.warning(
                "%s: with interval=%d and save_last=False, no checkpoint is saved in this run.",
                self.place_of("interval"), self.interval,
            )  # fmt: skip
        elif self.interval == 0:
            runner.logger.warning(
                "%s: with interval=0, a checkpoint is saved only at the end; interval=-1 does the same without this "
                "warning.", self.place_of("interval"),
            )  # fmt: skip
        runner.logger.info(
            "Checkpoints will be saved to %s", self._store.open(runner.work_dir), extra=FILE_ONLY
        )
        if not self.filename_tmpl.endswith(".pth"):
            runner.logger.warning(
                "filename_tmpl=%r does not end in .pth: --resume auto will not find these checkpoints.",
                self.filename_tmpl,
            )
        if self._store.mirror is not None:
            runner.logger.info("... and copied to %s", self._store.mirror.folder)
        if is_main_process():
            runner.defer(lambda: self._warn_about_space(runner))  # when all hooks have added their weights

    def _warn_about_space(self, runner: RunnerView) -> None:
        length, trained = (
            (runner.max_epochs, runner.epoch) if self.by_epoch else (runner.max_iters, runner.iter)
        )
        best = any(getattr(hook, "save_best", None) is not None for hook in runner.hooks)
        plan = Plan.of(length, trained, self.interval, self.save_last, self.max_keep_ckpts, best)
        size = checkpoint_bytes(runner, self.save_optimizer)
        problem = space_problem(self._store.folder or Path(), size, plan)
        if problem is not None:
            runner.logger.warning("%s", problem)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Save by epoch."""
        if self.by_epoch and self._epoch_is_due(runner):
            self._save_unless_accumulating(runner, runner.epoch + 1)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Save by iteration, or what was postponed."""
        if not self.by_epoch and self._iter_is_due(runner):
            self._due = True
        if self._due:
            self._save_unless_accumulating(runner, runner.epoch if self.by_epoch else runner.iter + 1)

    def name_due(self, runner: RunnerView, stage: str, end_of_epoch: bool) -> str | None:
        """Return the name of the checkpoint that is due after a stage, or None.

        Args:
            runner: The runner.
            stage: ``"after_train_iter"`` or ``"after_train_epoch"``.
            end_of_epoch: Whether no iteration of the epoch follows.
        """
        after_iter = stage == "after_train_iter"
        if self.by_epoch and end_of_epoch and self._epoch_is_due(runner):
            return self.filename_tmpl.format(runner.epoch + 1)
        if self.by_epoch and after_iter and self._due:
            return self.filename_tmpl.format(runner.epoch)
        if not self.by_epoch and after_iter and (self._due or self._iter_is_due(runner)):
            return self.filename_tmpl.format(runner.iter + 1)
        return None

    def _epoch_is_due(self, runner: RunnerView) -> bool:
        return self.every_n_epochs(runner, self.interval) or (self.save_last and self.is_last_epoch(runner))

    def _iter_is_due(self, runner: RunnerView) -> bool:
        done, interval = runner.iter + 1, self.interval  # plain arithmetic: it is called in each iteration
        return (interval > 0 and done % interval == 0) or (self.save_last and done == runner.max_iters)

    def state_dict(self) -> dict[str, Any]:
        """Return the names of the checkpoints, oldest first, and the run that wrote each.

        Paths are not saved: in a copied folder the copies are removed. If the run is killed before
        the oldest checkpoint is removed, that one is still in the list of the newest.
        """
        return {"kept": [[path.name, run_id] for path, run_id in self._store.written.items()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the list of checkpoints, and complete what a kill may have prevented."""
        folder = self._store.folder or Path()
        written = {folder / name: run_id for name, run_id in state["kept"]}
        self._store.restore(written, self.max_keep_ckpts, logger, self.create_symlink)

    def save(self, runner: RunnerView, name: str, save_optimizer: bool | None = None) -> None:
        """Save the run under ``name`` now, and then remove old checkpoints.

        Args:
            runner: The runner.
            name: Name of the file.
            save_optimizer: Whether the run can be resumed from it; by default as configured.

        Raises:
            CheckpointError: The file cannot be written; existing checkpoints are kept. An error while
                copying the file is logged instead.
        """
        name = folder_name(name) if is_sharded_model(runner.model) else name
        undo = self._add(runner, name)
        try:
            self._write(runner, name, self.save_optimizer if save_optimizer is None else save_optimizer)
        except CheckpointError:
            undo()
            raise
        self.failed = self._store.commit(self.max_keep_ckpts, runner.logger)

    def _add(self, runner: RunnerView, name: str) -> Callable[[], None]:
        """Add a checkpoint to the list before it is written, as the file contains the list; return how to undo that."""
        runner.finish_saving()  # which changes the list
        self.failed = None
        last = (runner.meta or {}).get("hook_msgs", {}).get("last_ckpt")
        path = self._store.add(name, (runner.meta or {}).get("run_id"))
        self._set_last(runner, str(path))
        runner.logger.info("Saving checkpoint %s", name, extra=LINES_ONLY)

        def undo() -> None:
            self._store.undo_add()
            self._set_last(runner, last)

        return undo

    def _write(self, runner: RunnerView, name: str, save_optimizer: bool, **options: Any) -> None:
        runner.save_checkpoint(
            str(self._store.folder or Path()),
            as_template(name),
            save_optimizer=save_optimizer,
            meta=None if self.meta is None else dict(self.meta),
            create_symlink=self.create_symlink,
            **options,
        )

    def _save_unless_accumulating(self, runner: RunnerView, done: int) -> None:
        """Save after the current stage, unless gradients are being accumulated; ``done`` is for the name."""
        self._due = runner.accumulating
        if not self._due and self.sync_buffer:
            average_tensors(runner.model.buffers())
        if not self._due and runner.work_dir is not None:
            runner.defer(lambda: self._try_to_save(runner, self.filename_tmpl.format(done)))

    def _try_to_save(self, runner: RunnerView, name: str) -> None:
        """Save, or log an error: the run continues, and the next interval saves again."""
        name = folder_name(name) if is_sharded_model(runner.model) else name
        undo = self._add(runner, name)

        def finish(error: CheckpointError | None = None) -> None:
            if error is None:
                self.failed = self._store.commit(self.max_keep_ckpts, runner.logger)
                return
            undo()
            if runner.rank == 0:  # the shards of a checkpoint cannot be written in all processes
                runner.logger.error(
                    "%s The run continues; the last good checkpoint is %s.", error, self._last_good(runner)
                )
            self.failed = str(error)

        try:
            self._write(
                runner, name, self.save_optimizer, **({"background": finish} if self.async_save else {})
            )
        except CheckpointError as error:
            finish(error)
        else:
            if not self.async_save:
                finish()

    def _last_good(self, runner: RunnerView) -> Path | str:
        """Return the newest checkpoint to resume from, or else one to take weights from; other hooks save some too."""
        if runner.last_saved is not None:
            return runner.last_saved[0]
        best = (runner.meta or {}).get("hook_msgs", {}).get("best_ckpt")
        return next(reversed(self._store.written), best or "none")

    @staticmethod
    def _set_last(runner: RunnerView, path: str | None) -> None:
        if runner.meta is not None:
            runner.meta.setdefault("hook_msgs", {})["last_ckpt"] = path


def _check_template(template: str) -> None:
    """Raise for a template that yields no file name, before the first epoch is complete."""
    try:
        name = template.format(1)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"filename_tmpl must be a name with {{}} for a number, such as 'epoch_{{}}.pth', not {template!r}.",
            argument="filename_tmpl",
        ) from error
    if Path(name).name != name:
        raise ArgumentError(
            f"filename_tmpl must be the name of a file, but {template!r} contains a folder: use out_dir for that.",
            argument="filename_tmpl",
        )
    if name in ("..", "latest.pth") or "\0" in name:
        raise ArgumentError(
            f"filename_tmpl={template!r} makes the name {name!r}, which a checkpoint cannot have.",
            argument="filename_tmpl",
        )
