"""A run that is counted in epochs."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch

from cfgtrain.data.loader import empty_loader_error, iterate_epoch, num_batches
from cfgtrain.errors import ArgumentError
from cfgtrain.random_state import isolated_random_state
from cfgtrain.registries import RUNNERS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.stages import StopRun
from cfgtrain.runner.workflow import check_workflow, flow_method

__all__ = ["EpochBasedRunner", "Runner"]


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
            data_loaders: One for each flow. Without a length, as of a data set that is a
                stream, ``max_iters`` is None, and what needs it (a schedule by iteration, the
                time left) says so or is left out.
            workflow: Pairs of a mode (``"train"``, ``"val"`` or another method's name) and
                how many passes over its loader it takes. Val passes are no epochs.
            max_epochs: Old place for the argument of the constructor.
            kwargs: For ``train_step`` and ``val_step``.
        """
        if max_epochs is not None:
            warnings.warn("Give max_epochs to the runner, not to run().", DeprecationWarning, stacklevel=2)
            self._max_epochs = max_epochs
        if self._max_epochs is None:
            raise ArgumentError("An EpochBasedRunner needs max_epochs.")
        check_workflow(self, data_loaders, workflow)
        self._check_epoch_layout(
            data_loaders,
            [self._next.inner_iter > 0 and flow == self._next.flow for flow in range(len(workflow))],
        )
        train_loader = data_loaders[[mode for mode, _ in workflow].index("train")]
        self._max_iters = self._in_iters(train_loader)
        with self.running(workflow, f"{self._max_epochs} epochs"):
            while (self._epoch < self._max_epochs or self.within_round) and not self.stopping:
                self._run_round(data_loaders, workflow, self._max_epochs, kwargs)

    def _run_round(
        self,
        data_loaders: list[Any],
        workflow: list[tuple[str, int]],
        max_epochs: int,
        kwargs: dict[str, Any],
    ) -> None:
        """Run each flow as often as it asks, from where a resumed run stood."""
        first, done = self._next.flow, self._next.flow_done
        for flow in range(first, len(workflow)):
            mode, times = workflow[flow]
            for time in range(done if flow == first else 0, times):
                if mode == "train" and self._epoch >= max_epochs:
                    break
                self._next.flow, self._next.flow_done = flow, time
                flow_method(self, mode)(data_loaders[flow], **kwargs)
                if mode != "train":
                    self._next.flow_done = time + 1
                if self.stopping:
                    return
        self._next.flow = self._next.flow_done = 0

    def train(self, data_loader: Any, **kwargs: Any) -> None:
        """Train for one epoch, or for what is left of it."""
        self.model.train()
        self.mode = "train"
        self.data_loader = data_loader
        self._max_iters = self._in_iters(data_loader)
        start = self._next.inner_iter
        if start == 0:
            self.restore_generators()
        self.call_hook("before_train_epoch")
        if start > 0:  # that stage was over when the checkpoint was written; what it does now is undone
            if self._resumed is not None:
                self._resumed.restore_hooks(self.hooks)
            self.restore_generators()
            self._inner_iter = start - 1
        for i, data_batch in enumerate(iterate_epoch(data_loader, self._epoch, start), start):
            self._inner_iter, self.data_batch = i, data_batch
            self._batch_position = (self._iter, self._epoch, i)
            self.call_hook("before_train_iter")
            self.run_iter(data_batch, True, **kwargs)
            self._next.iter, self._next.inner_iter = self._iter + 1, i + 1
            self.call_hook("after_train_iter")
            del self.data_batch
            self._iter += 1
            if self.stopping:
                return
        if self._next.inner_iter == 0:
            raise empty_loader_error(data_loader)
        self._end_epoch()

    def _end_epoch(self) -> None:
        # An evaluation that is broken off is done again by the resumed run, with all of this stage.
        before, state = replace(self._next), self._state()
        self._next.epoch, self._next.inner_iter = self._epoch + 1, 0
        self._next.flow_done += 1
        try:
            self.call_hook("after_train_epoch")
        except StopRun:
            self._next, self._state_at_interruption = before, state
            raise
        self._epoch += 1

    @torch.no_grad()
    def val(self, data_loader: Any, **kwargs: Any) -> None:
        """Run ``val_step`` over a loader; neither ``epoch`` nor ``iter`` advances."""
        self.model.eval()
        self.mode = "val"
        self.data_loader = data_loader
        self.restore_generators()
        before = self._state()
        try:
            with isolated_random_state():  # so that it can be broken off and done again
                self._validate(data_loader, kwargs)
        except StopRun:
            self._state_at_interruption = before
            raise

    def _validate(self, data_loader: Any, kwargs: dict[str, Any]) -> None:
        self.call_hook("before_val_epoch")
        for i, data_batch in enumerate(iterate_epoch(data_loader, 0)):
            self.check_interrupt()
            self._inner_iter, self.data_batch = i, data_batch
            self._batch_position = (self._iter, 0, i)
            self.call_hook("before_val_iter")
            self.run_iter(data_batch, False, **kwargs)
            self.call_hook("after_val_iter")
            del self.data_batch
        self.call_hook("after_val_epoch")

    def _in_iters(self, loader: Any) -> int | None:
        """Return the length of the run in iterations, if an epoch has a known one."""
        length = num_batches(loader)
        return None if length is None else (self._max_epochs or 0) * length

    def _num_completed(self) -> int:
        return self._epoch + 1


@RUNNERS.register_module()
class Runner(EpochBasedRunner):
    """The old name of ``EpochBasedRunner``; using it warns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("Runner is the old name of EpochBasedRunner.", DeprecationWarning, stacklevel=2)
        super().__init__(*args, **kwargs)
