"""Save the run now and then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cfgtrain.arguments import check_interval
from cfgtrain.checkpoint.find import remove_own
from cfgtrain.checkpoint.out_dir import Mirror, OutDir
from cfgtrain.errors import ArgumentError, CheckpointError
from cfgtrain.filesystem.atomic import replace_symlink
from cfgtrain.parallel.dist import average_tensors
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["CheckpointHook"]

logger = logging.getLogger(__name__)


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves every ``interval`` epochs or iterations, and at the end.

    The file is written when all hooks of the stage have run, so that it holds what they did;
    within a window of accumulated gradients it waits for the window to close. An old
    checkpoint is removed when the new one is durable.

    Args:
        interval: How often; -1 only at the end.
        by_epoch: Whether ``interval`` counts epochs, or iterations (``iter_N.pth``).
        save_optimizer: Whether the run can be continued from the file.
        out_dir: A path or URI: where to, in a folder named as the work directory; by default
            that itself. What is no disk gets copies; see ``OutDir``.
        max_keep_ckpts: How many to keep, the oldest goes first; -1 keeps all.
        save_last: Whether the end of the run is saved whatever the interval.
        filename_tmpl: Name of the files, with ``{}`` for the complete epochs or iterations.
        create_symlink: Whether ``latest.pth`` points at the newest.
        sync_buffer: Whether the buffers of the model are averaged over all processes first.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.
        meta: More facts to save, of plain types.

    Attributes:
        failed: Why the newest checkpoint could not be written, or copied, or None if it could.
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
    ) -> None:
        self._place = OutDir(out_dir, file_client_args)
        self._mirror: Mirror | None = None
        check_interval("interval", interval, "to save only at the end")
        if not isinstance(max_keep_ckpts, int) or (max_keep_ckpts < 1 and max_keep_ckpts != -1):  # type: ignore[redundant-expr]
            raise ArgumentError(
                f"max_keep_ckpts is a positive int, or -1 to keep all, not {max_keep_ckpts!r}.",
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
        self.failed: str | None = None
        self._kept: dict[str, str | None] = {}  # path: run that wrote it, oldest first
        self._folder = Path()
        self._due = False

    def before_run(self, runner: RunnerView) -> None:
        """Settle where the checkpoints go.

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
        self._folder = self._place.folder(runner.work_dir)
        runner.logger.info("Checkpoints will be saved to %s", self._folder)
        self._mirror = self._place.mirror(runner.work_dir) if runner.rank == 0 else None
        if self._mirror is not None:
            self._mirror.try_out()
            runner.logger.info("... and copied to %s", self._mirror.folder)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Save by epoch."""
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval) or (self.save_last and self.is_last_epoch(runner))
        ):
            self._save_when_closed(runner, runner.epoch + 1)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Save by iteration, and what had to wait for the window to close."""
        if not self.by_epoch:
            done, interval = runner.iter + 1, self.interval
            if (interval > 0 and done % interval == 0) or (self.save_last and done == runner.max_iters):
                self._due = True
        if self._due:
            self._save_when_closed(runner, runner.epoch if self.by_epoch else runner.iter + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return which checkpoints there are, oldest first, and which run wrote each.

        Names, not paths: in a folder that was copied, it is the copies that may go. One too
        many is still among them, in case the run is killed before that one is removed.
        """
        return {"kept": [[Path(path).name, run] for path, run in self._kept.items()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the list of checkpoints, and do what a kill may have cut off.

        That is, right after the newest was written: pointing ``latest.pth`` at it, and
        removing the one that is too many.
        """
        self._kept = {str(self._folder / name): run for name, run in state["kept"]}
        newest = next(reversed(self._kept), None)
        if newest is None or not Path(newest).is_file():
            return
        self._remove_surplus(logger)
        if self.create_symlink:
            with suppress(OSError):
                replace_symlink(self._folder / "latest.pth", Path(newest).name)

    def save(self, runner: RunnerView, name: str, save_optimizer: bool | None = None) -> None:
        """Save the run under ``name`` now, and remove what is one too many after that.

        Args:
            runner: The run.
            name: Of the file.
            save_optimizer: Whether the run can be continued from it; by default as ever.

        Raises:
            CheckpointError: The file cannot be written; the checkpoints that are there stay.
                That it cannot be copied is logged.
        """
        self.failed = None
        path = str(self._folder / name)
        before, last = self._kept, (runner.meta or {}).get("hook_msgs", {}).get("last_ckpt")
        # What the file says of itself has to be true once it is there.
        self._kept = {kept: run for kept, run in before.items() if kept != path}
        self._kept[path] = (runner.meta or {}).get("run_id")
        self._note_last(runner, path)
        runner.logger.info("Saving checkpoint %s", name)
        try:
            runner.save_checkpoint(
                str(self._folder),
                name,
                save_optimizer=self.save_optimizer if save_optimizer is None else save_optimizer,
                meta=None if self.meta is None else dict(self.meta),
                create_symlink=self.create_symlink,
            )
        except CheckpointError:
            self._kept = before
            self._note_last(runner, last)
            raise
        if self._mirror is not None:
            self.failed = self._mirror.copy(Path(path), self._kept[path], runner.logger)
        self._remove_surplus(runner.logger)

    def _remove_surplus(self, log: logging.Logger) -> None:
        for old in list(self._kept)[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []:
            run = self._kept.pop(old)
            remove_own(Path(old), run, log)
            if self._mirror is not None:
                self._mirror.remove(Path(old).name, run, log)

    def _save_when_closed(self, runner: RunnerView, done: int) -> None:
        """Save what has ``done`` complete epochs or iterations, unless gradients are waiting."""
        self._due = runner.accumulating
        if not self._due and self.sync_buffer:
            average_tensors(runner.model.buffers())
        if not self._due and runner.work_dir is not None:
            runner.defer(lambda: self._try_to_save(runner, self.filename_tmpl.format(done)))

    def _try_to_save(self, runner: RunnerView, name: str) -> None:
        """Save, or say that it failed: the run goes on, and the next interval tries again."""
        try:
            self.save(runner, name)
        except CheckpointError as error:
            kept = next(reversed(self._kept), "none")
            runner.logger.error("%s The run goes on; the last good checkpoint is %s.", error, kept)
            self.failed = str(error)

    @staticmethod
    def _note_last(runner: RunnerView, path: str | None) -> None:
        if runner.meta is not None:
            runner.meta.setdefault("hook_msgs", {})["last_ckpt"] = path


def _check_template(template: str) -> None:
    """Refuse what gives no file name: that would show when the first epoch is done."""
    try:
        name = template.format(1)
    except (IndexError, KeyError, ValueError) as error:
        raise ArgumentError(
            f"filename_tmpl is a name with {{}} for a number, such as 'epoch_{{}}.pth', not {template!r}.",
            argument="filename_tmpl",
        ) from error
    if Path(name).name != name:
        raise ArgumentError(
            f"filename_tmpl is the name of a file, and {template!r} has a folder: that is out_dir.",
            argument="filename_tmpl",
        )
