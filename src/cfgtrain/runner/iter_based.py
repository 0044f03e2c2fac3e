"""A run that is counted in iterations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from cfgtrain.data.loader import empty_loader_error, iterate_epoch, num_batches
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import RUNNERS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.resume import Position
from cfgtrain.runner.workflow import check_workflow

__all__ = ["IterBasedRunner", "IterLoader"]


class IterLoader:
    """An endless stream of batches over the epochs of a loader.

    Args:
        dataloader: The loader.
        epoch: Where to begin: the epoch and
        batch: how many of its batches are done.
    """

    def __init__(self, dataloader: Any, epoch: int = 0, batch: int = 0) -> None:
        self._dataloader = dataloader
        self._epoch = epoch
        self._batch = batch
        self._batches: Iterator[Any] | None = None

    @property
    def epoch(self) -> int:
        """0-based; advances when the first batch of the next epoch is asked for."""
        return self._epoch

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and how many of its batches were handed out."""
        return self._epoch, self._batch

    def __len__(self) -> int:
        length = num_batches(self._dataloader)
        if length is None:
            raise ArgumentTypeError(
                f"How many batches an epoch has is not known: {type(self._dataloader).__name__} has no length."
            )
        return length

    @property
    def dataset(self) -> Any:
        """That of the loader, or None."""
        return getattr(self._dataloader, "dataset", None)

    def batch_indices(self, epoch: int, batch: int) -> list[int] | None:
        """Return the samples of a batch, where the loader can tell."""
        tell = getattr(self._dataloader, "batch_indices", None)
        return tell(epoch, batch) if tell is not None else None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._batches is None:
            self._batches = iterate_epoch(self._dataloader, self._epoch, self._batch)
        batch = next(self._batches, _END)
        if batch is _END:
            self._epoch, self._batch = self._epoch + 1, 0
            self._batches = iterate_epoch(self._dataloader, self._epoch)
            batch = next(self._batches, _END)
            if batch is _END:
                raise empty_loader_error(self._dataloader)
        self._batch += 1
        return batch


_END = object()


@RUNNERS.register_module()
class IterBasedRunner(BaseRunner):
    """Runs iteration by iteration; see ``BaseRunner`` for the arguments.

    There are no train or val epochs here: of the epoch stages only ``before_epoch`` and
    ``after_epoch`` are called, once each, around the whole run. What a val flow logs is kept
    apart from the training and logged, as an average, at the end of the flow.
    """

    checkpoint_tmpl = "iter_{}.pth"
    by_epoch = False
    stages = (
        "before_run",
        "before_epoch",
        "before_train_iter",
        "after_train_iter",
        "before_val_iter",
        "after_val_iter",
        "after_epoch",
        "after_run",
    )
    _loaders: Sequence[IterLoader] = ()

    def run(
        self,
        data_loaders: list[Any],
        workflow: list[tuple[str, int]],
        max_iters: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the flows of ``workflow`` in turn until ``max_iters`` iterations are trained.

        Args:
            data_loaders: One for each flow. A length is needed of none of them.
            workflow: Pairs of a mode and how many iterations it takes.
            max_iters: Old place for the argument of the constructor.
            kwargs: For ``train_step`` and ``val_step``.
        """
        if max_iters is not None:
            warnings.warn("Give max_iters to the runner, not to run().", DeprecationWarning, stacklevel=2)
            self._max_iters = max_iters
        if self._max_iters is None:
            raise ArgumentError("An IterBasedRunner needs max_iters.")
        check_workflow(self, data_loaders, workflow)
        places = self._next.loaders or [(0, 0)] * len(data_loaders)
        self._check_epoch_layout(data_loaders, [batch > 0 for _, batch in places])
        places = [*places, *[(0, 0)] * len(data_loaders)][: len(data_loaders)]  # of another workflow
        self._loaders = [
            IterLoader(loader, *place) for loader, place in zip(data_loaders, places, strict=True)
        ]
        with self.running(workflow, f"{self._max_iters} iters"):
            self.call_hook("before_epoch")
            if (
                self._resumed is not None
            ):  # that stage was over when the checkpoint was written; what it did is undone
                self._resumed.restore_hooks(self.hooks)
            self.restore_generators()
            while (self._iter < self._max_iters or self.within_round) and not self.stopping:
                self._run_round(workflow, kwargs)
            if self.stop_reason is not None:  # a resumed run goes on from before the stage
                self._state_at_interruption = self._state()
            self.call_hook("after_epoch")

    def _run_round(self, workflow: list[tuple[str, int]], kwargs: dict[str, Any]) -> None:
        """Run each flow for as many iterations as it asks, from where a resumed run stood."""
        for flow in range(self._next.flow, len(workflow)):
            mode, times = workflow[flow]
            if mode == "val":
                with self.evaluation_context():
                    self._run_flow(flow, mode, times, kwargs)
            else:
                self._run_flow(flow, mode, times, kwargs)
            if self.stopping:
                return
        self._next.flow = self._next.flow_done = 0

    def _run_flow(self, flow: int, mode: str, times: int, kwargs: dict[str, Any]) -> None:
        first = self._inner_iter = self._next.flow_done if self._next.flow == flow else 0
        for done in range(first, times):
            if mode == "train" and self._iter >= self._max_iters:  # type: ignore[operator]  # run() has seen to it
                break
            self._next.flow, self._next.flow_done = flow, done
            self.last_of_flow = done + 1 == times
            getattr(self, mode)(self._loaders[flow], **kwargs)
            if self.stopping:
                break

    def train(self, data_loader: IterLoader, **kwargs: Any) -> None:
        """Train for one iteration."""
        if not self.model.training:  # asked each time, as it goes through every layer to set it
            self.model.train()
        self.mode = "train"
        self.data_loader = data_loader
        self._epoch = data_loader.epoch
        self.data_batch = batch = next(data_loader)
        self._batch_position = (self._iter, data_loader._epoch, data_loader._batch - 1)
        self.call_hook("before_train_iter")
        self.run_iter(batch, True, **kwargs)
        self._next.epoch, self._next.iter = self._epoch, self._iter + 1
        self._next.inner_iter = self._inner_iter + 1
        self._next.flow_done += 1
        self.call_hook("after_train_iter")
        del self.data_batch
        self._inner_iter += 1
        self._iter += 1

    @torch.no_grad()
    def val(self, data_loader: IterLoader, **kwargs: Any) -> None:
        """Run ``val_step`` on one batch; ``iter`` does not advance."""
        self.model.eval()
        self.mode = "val"
        self.data_loader = data_loader
        with self._logging_apart():
            self.data_batch = next(data_loader)
            self._batch_position = (self._iter, data_loader._epoch, data_loader._batch - 1)
            self.call_hook("before_val_iter")
            self.run_iter(self.data_batch, False, **kwargs)
            self._next.flow_done += 1
            self.call_hook("after_val_iter")
            del self.data_batch
        self._inner_iter += 1

    @contextmanager
    def _logging_apart(self) -> Iterator[None]:
        """Keep what is logged meanwhile from the averages of the training."""
        self.log_buffer = self._validation_log
        try:
            yield
        finally:
            self.log_buffer = self._training_log

    def position(self) -> Position:
        """Return where a run that is saved now goes on."""
        if not self._loaders:  # before the run
            return self._next
        return replace(super().position(), loaders=[loader.position for loader in self._loaders])

    def _num_completed(self) -> int:
        return self._iter + 1
