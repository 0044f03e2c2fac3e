"""A run that is counted in epochs."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from cfgtrain.data.loader import empty_loader_error, iterate_epoch, num_batches
from cfgtrain.data.samplers import is_infinite
from cfgtrain.errors import ArgumentError
from cfgtrain.random_state import isolated_random_state
from cfgtrain.registries import RUNNERS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.position import Increment
from cfgtrain.runner.workflow import check_workflow, flow_method

__all__ = ["EpochBasedRunner", "Runner"]

TRAIN_ITER = Increment(iter=1, batches_done=1)
TRAIN_EPOCH = Increment(epoch=1, flow_done=1)


@RUNNERS.register_module()
class EpochBasedRunner(BaseRunner):
    """Runs epoch by epoch; see ``BaseRunner`` for the arguments."""

    checkpoint_tmpl = "epoch_{}.pth"

    def run(
        self,
        data_loaders: list[Any],
        workflow: list[tuple[str, int]],
        max_epochs: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the flows of ``workflow`` in turn until ``max_epochs`` epochs are trained.

        Args:
            data_loaders: One for each flow. If the training loader has no length, as of a stream,
                ``max_iters`` is None: a schedule by iteration raises an error, and the remaining
                time is not logged.
            workflow: Pairs of a mode (``"train"``, ``"val"`` or the name of another method) and
                how many passes over its loader it takes. Val passes do not count as epochs.
            max_epochs: Deprecated; give it to the constructor.
            kwargs: Passed to ``train_step`` and ``val_step``.
        """
        if max_epochs is not None:
            warnings.warn("Give max_epochs to the runner, not to run().", DeprecationWarning, stacklevel=2)
            self._max_epochs = max_epochs
        if self._max_epochs is None:
            raise ArgumentError("An EpochBasedRunner needs max_epochs.")
        check_workflow(self, data_loaders, workflow)
        position = self.position
        self.check_resume(data_loaders, workflow)
        train_loader = data_loaders[[mode for mode, _ in workflow].index("train")]
        for loader in data_loaders:
            sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
            if is_infinite(sampler):
                raise ArgumentError(
                    f"{type(sampler).__name__} draws without end, so there are no epochs: use it with IterBasedRunner."
                )
        self._max_iters = self._in_iters(train_loader)
        self.data_loader = data_loaders[0]
        with self.running(workflow, f"{self._max_epochs} epochs"):
            while (position.epoch < self._max_epochs or position.within_round) and not self.stopping:
                self._run_round(data_loaders, workflow, kwargs)

    def check_resume(self, data_loaders: list[Any], workflow: list[tuple[str, int]]) -> None:
        """See ``BaseRunner.check_resume``."""
        position = self.position
        within = [position.batches_done > 0 and flow == position.flow for flow in range(len(workflow))]
        self.run_checkpoint.check_epoch_layout(data_loaders, within)

    def _run_round(
        self, data_loaders: list[Any], workflow: list[tuple[str, int]], kwargs: dict[str, Any]
    ) -> None:
        """Run each flow as often as the workflow says; a resumed run starts at its saved position."""
        position = self.position
        for flow in range(position.flow, len(workflow)):
            mode, times = workflow[flow]
            first = position.flow_done if flow == position.flow else 0
            for done in range(first, times):
                if mode == "train" and position.epoch >= (self._max_epochs or 0):
                    break
                position.flow, position.flow_done = flow, done
                flow_method(self, mode)(data_loaders[flow], **kwargs)
                if mode != "train":
                    position.flow_done = done + 1
                if self.stopping:
                    return
        position.flow = position.flow_done = 0

    def train(self, data_loader: Any, **kwargs: Any) -> None:
        """Train for one epoch, or for the rest of one that a resumed run has begun."""
        self.model.train()
        self.mode = "train"
        self.data_loader = data_loader
        self._max_iters = self._in_iters(data_loader)
        position = self.position
        start = position.batches_done
        if start == 0:
            self.run_checkpoint.restore_generators(self)
        self.call_hook("before_train_epoch")
        if start > 0:  # the saved run had been through that stage, so what it did now is undone
            self.run_checkpoint.restore_hooks(self)
            self.run_checkpoint.restore_generators(self)
            position.inner_iter = start - 1
            position.batch = (position.iter - 1, position.epoch, start - 1)
            self.finish_iteration(TRAIN_ITER)
            if self.stopping:
                return
        for i, data_batch in enumerate(iterate_epoch(data_loader, position.epoch, start), start):
            self.data_batch = data_batch
            position.inner_iter = i
            position.batch = (position.iter, position.epoch, i)
            self.call_hook("before_train_iter")
            self.run_iter(data_batch, True, **kwargs)
            position.completed = TRAIN_ITER
            self.call_hook_or_save("after_train_iter")
            position.advance()
            del self.data_batch
            if self.stopping:
                return
        if position.batches_done == 0:
            raise empty_loader_error(data_loader)
        # An evaluation in this stage may be interrupted; the resumed run then repeats the stage.
        with self.run_checkpoint.repeatable(self):
            position.completed = TRAIN_EPOCH
            if not self.finish_stage("after_train_epoch"):
                self.call_hook_or_save("after_train_epoch")
        position.advance()

    @torch.no_grad()
    def val(self, data_loader: Any, **kwargs: Any) -> None:
        """Run ``val_step`` over a loader; neither ``epoch`` nor ``iter`` advances."""
        self.model.eval()
        self.mode = "val"
        self.data_loader = data_loader
        self.run_checkpoint.restore_generators(self)
        # It may be interrupted, and the resumed run then repeats it.
        with self.run_checkpoint.repeatable(self), isolated_random_state():
            self.call_hook("before_val_epoch")
            i = -1
            for i, data_batch in enumerate(iterate_epoch(data_loader, 0)):
                self.check_interrupt()
                self.data_batch = data_batch
                self.position.inner_iter = i
                self.position.batch = (self.position.iter, 0, i)
                self.call_hook("before_val_iter")
                self.run_iter(data_batch, False, **kwargs)
                self.call_hook("after_val_iter")
                del self.data_batch
            if i < 0 and self.world_size == 1:
                raise empty_loader_error(data_loader)
            self.call_hook("after_val_epoch")

    def _in_iters(self, loader: Any) -> int | None:
        """Return the length of the run in iterations, or None if the length of an epoch is not known."""
        length = num_batches(loader)
        if length is None:
            return None
        # Of complete epochs those are counted that were trained: with another number of processes they were longer or
        # shorter.
        position = self.position
        return position.iter - position.batches_done + ((self._max_epochs or 0) - position.epoch) * length


@RUNNERS.register_module()
class Runner(EpochBasedRunner):
    """The old name of ``EpochBasedRunner``; using it warns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("Runner is the old name of EpochBasedRunner.", DeprecationWarning, stacklevel=2)
        super().__init__(*args, **kwargs)
