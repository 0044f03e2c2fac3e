"""A run that is counted in iterations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cfgtrain.data.loader import empty_loader_error, iterate_epoch, num_batches
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import RUNNERS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.position import Increment, LoaderPosition
from cfgtrain.runner.workflow import check_workflow

__all__ = ["IterBasedRunner", "IterLoader"]

TRAIN_ITER = Increment(iter=1, inner_iter=1, batches_done=1, flow_done=1)
VAL_ITER = Increment(inner_iter=1, batches_done=1, flow_done=1)


class IterLoader:
    """An endless stream of batches over the epochs of a loader.

    Args:
        dataloader: The loader.
        position: Where to begin; advances with each batch. The default is the beginning.

    Attributes:
        position: The epoch, and how many of its batches have been fetched.
    """

    def __init__(self, dataloader: Any, position: LoaderPosition | None = None) -> None:
        self._dataloader = dataloader
        self.position = position or LoaderPosition()
        self._batches: Iterator[Any] | None = None

    @property
    def epoch(self) -> int:
        """0-based; advances when the first batch of the next epoch is requested."""
        return self.position.epoch

    def __len__(self) -> int:
        length = num_batches(self._dataloader)
        if length is None:
            raise ArgumentTypeError(
                f"The number of batches in an epoch is not known: {type(self._dataloader).__name__} has no length."
            )
        return length

    @property
    def dataset(self) -> Any:
        """The dataset of the loader, or None."""
        return getattr(self._dataloader, "dataset", None)

    def batch_indices(self, epoch: int, batch: int) -> list[int] | None:
        """Return the indices of the samples of a batch, or None if the loader does not know them."""
        indices = getattr(self._dataloader, "batch_indices", None)
        return indices(epoch, batch) if indices is not None else None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        position = self.position
        if self._batches is None:
            self._batches = iterate_epoch(self._dataloader, position.epoch, position.batch)
        batch = next(self._batches, _END)
        if batch is _END:
            position.epoch, position.batch = position.epoch + 1, 0
            self._batches = iterate_epoch(self._dataloader, position.epoch)
            batch = next(self._batches, _END)
            if batch is _END:
                raise empty_loader_error(self._dataloader)
        position.batch += 1
        return batch


_END = object()


@RUNNERS.register_module()
class IterBasedRunner(BaseRunner):
    """Runs iteration by iteration; see ``BaseRunner`` for the arguments.

    There are no train or val epochs: of the epoch stages only ``before_epoch`` and ``after_epoch``
    are called, once each, around the whole run. The values of a val flow are separate from those
    of the training, and their averages are logged at the end of the flow.
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

    def run(
        self,
        data_loaders: list[Any],
        workflow: list[tuple[str, int]],
        max_iters: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the flows of ``workflow`` in turn until ``max_iters`` iterations are trained.

        Args:
            data_loaders: One for each flow. They need no length.
            workflow: Pairs of a mode and how many iterations it takes.
            max_iters: Deprecated; give it to the constructor.
            kwargs: Passed to ``train_step`` and ``val_step``.
        """
        if max_iters is not None:
            warnings.warn("Give max_iters to the runner, not to run().", DeprecationWarning, stacklevel=2)
            self._max_iters = max_iters
        if self._max_iters is None:
            raise ArgumentError("An IterBasedRunner needs max_iters.")
        check_workflow(self, data_loaders, workflow)
        position = self.position
        saved = position.loaders if self.run_checkpoint.is_resuming else []
        self.check_resume(data_loaders, workflow)
        saved = saved[: len(data_loaders)]  # the workflow may have changed
        position.loaders = [*saved, *(LoaderPosition() for _ in data_loaders[len(saved) :])]
        streams = [IterLoader(*pair) for pair in zip(data_loaders, position.loaders, strict=True)]
        self.data_loader = streams[0]
        with self.running(workflow, f"{self._max_iters} iters"):
            self.call_hook("before_epoch")
            # The saved run had been through that stage, so what it did now is undone.
            self.run_checkpoint.restore_hooks(self)
            self.run_checkpoint.restore_generators(self)
            self._finish_iteration_of(streams[position.flow % len(streams)])
            stopped = self.stopping
            while (position.iter < self._max_iters or position.within_round) and not stopped:
                stopped = self._run_round(streams, workflow, kwargs)
            if self.stop_reason is not None:  # the resumed run continues from before the next stage
                self.run_checkpoint.keep_state(self)
            self.call_hook("after_epoch")

    def check_resume(self, data_loaders: list[Any], workflow: list[tuple[str, int]]) -> None:
        """See ``BaseRunner.check_resume``."""
        saved = self.position.loaders if self.run_checkpoint.is_resuming else []
        self.run_checkpoint.check_epoch_layout(data_loaders, [loader.batch > 0 for loader in saved])

    def _finish_iteration_of(self, stream: IterLoader) -> None:
        """Finish the newest iteration of the run that is resumed, if one of its hooks has failed."""
        self.data_loader = stream
        self.position.batch = (self.position.iter - 1, stream.position.epoch, stream.position.batch - 1)
        self.finish_iteration(TRAIN_ITER)

    def _run_round(
        self, streams: list[IterLoader], workflow: list[tuple[str, int]], kwargs: dict[str, Any]
    ) -> bool:
        """Run each flow for its number of iterations; a resumed run starts at its saved position.

        Returns:
            Whether the run is to end now.
        """
        for flow in range(self.position.flow, len(workflow)):
            mode, times = workflow[flow]
            if mode == "val":
                with self.evaluation_context():
                    stopped = self._run_flow(flow, mode, times, streams[flow], kwargs)
            else:
                stopped = self._run_flow(flow, mode, times, streams[flow], kwargs)
            if stopped:
                return True
        self.position.flow = self.position.flow_done = 0
        return False

    def _run_flow(self, flow: int, mode: str, times: int, stream: IterLoader, kwargs: dict[str, Any]) -> bool:
        """Run one flow, and return whether the run is to end now."""
        position = self.position
        first = position.flow_done if position.flow == flow else 0
        position.inner_iter = position.batches_done = first
        for done in range(first, times):
            if mode == "train" and position.iter >= (self._max_iters or 0):
                break
            position.flow, position.flow_done = flow, done
            self.last_of_flow = done + 1 == times
            getattr(self, mode)(stream, **kwargs)
            if self.stopping:
                return True
        return False

    def train(self, data_loader: IterLoader, **kwargs: Any) -> None:
        """Train for one iteration."""
        if not self.model.training:  # checked first, as train() goes through all layers
            self.model.train()
        self.mode = "train"
        self.data_loader = data_loader
        position, at = self.position, data_loader.position
        position.epoch = at.epoch
        self.data_batch = batch = next(data_loader)
        position.batch = (position.iter, at.epoch, at.batch - 1)
        self.call_hook("before_train_iter")
        self.run_iter(batch, True, **kwargs)
        position.completed = TRAIN_ITER
        self.call_hook_or_save("after_train_iter")
        position.advance()
        del self.data_batch

    @torch.no_grad()
    def val(self, data_loader: IterLoader, **kwargs: Any) -> None:
        """Run ``val_step`` on one batch; ``iter`` does not advance."""
        self.model.eval()
        self.mode = "val"
        self.data_loader = data_loader
        position, at = self.position, data_loader.position
        with self._validation_logging():
            self.data_batch = next(data_loader)
            position.batch = (position.iter, at.epoch, at.batch - 1)
            self.call_hook("before_val_iter")
            self.run_iter(self.data_batch, False, **kwargs)
            position.completed = VAL_ITER
            self.call_hook("after_val_iter")
            position.advance()
            del self.data_batch

    @contextmanager
    def _validation_logging(self) -> Iterator[None]:
        """Return a context in which values go to the log buffer of the val flows."""
        self.log_buffer = self._validation_log
        try:
            yield
        finally:
            self.log_buffer = self._training_log
