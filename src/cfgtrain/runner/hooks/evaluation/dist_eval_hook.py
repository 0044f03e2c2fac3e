"""Evaluate with several processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

from cfgtrain.data.loader import empty_loader_error
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.evaluation.inference import multi_gpu_test
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["DistEvalHook"]

DISTRIBUTED_ARGUMENTS = ("broadcast_bn_buffer", "tmpdir", "gpu_collect")  # which EvalHook has not


@HOOKS.register_module()
class DistEvalHook(EvalHook):
    """``EvalHook`` for several processes: each predicts its share, and the main process scores all.

    Every sample counts once. All processes receive the scores; only the main process logs and saves.

    Args:
        dataloader: Loads the share of this process; samples are distributed in turn.
        broadcast_bn_buffer: Whether all processes take the statistics of batch normalization
            from the main process before.
        tmpdir: Passed to ``test_fn`` if it has such an argument; by default ``<work_dir>/.eval_hook``.
        gpu_collect: Passed to ``test_fn`` if it has such an argument.
        kwargs: Arguments of ``EvalHook``; ``test_fn`` is ``multi_gpu_test`` by default.
    """

    def __init__(
        self,
        dataloader: Any,
        *args: Any,
        broadcast_bn_buffer: bool = True,
        tmpdir: str | None = None,
        gpu_collect: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataloader, *args, **kwargs)
        if kwargs.get("test_fn") is None:
            self.test_fn = multi_gpu_test
        self.broadcast_bn_buffer = broadcast_bn_buffer
        self.tmpdir = tmpdir
        self.gpu_collect = gpu_collect
        self._key_score: Any = None  # that a subclass would save a checkpoint for
        self._is_collecting = False

    def before_run(self, runner: RunnerView) -> None:
        """Do the same, and check that the dataset has samples: the share of one process may have none.

        Raises:
            ArgumentTypeError: The samples are shared by several processes, and their number is not known.
            ArgumentError: The dataset has no samples.
        """
        dataset = self.dataloader.dataset
        known = hasattr(dataset, "__len__")
        if not known and runner.world_size > 1 and self.test_fn is multi_gpu_test:
            raise ArgumentTypeError(
                f"An evaluation with several processes needs a dataset with a length; {type(dataset).__name__} has none."
            )
        if known and len(dataset) == 0:
            raise empty_loader_error(self.dataloader)
        super().before_run(runner)

    def predict(self, runner: RunnerView, offered: Mapping[str, Any]) -> Any:
        """Predict with all processes; only the main process receives all results."""
        if self.broadcast_bn_buffer and get_dist_info()[1] > 1:
            _broadcast_statistics(runner.model)
        folder = None if runner.work_dir is None else str(Path(runner.work_dir) / ".eval_hook")
        collect = {"tmpdir": self.tmpdir or folder, "gpu_collect": self.gpu_collect}
        return super().predict(runner, {**collect, **offered})

    def score(self, runner: RunnerView, results: Any) -> dict[str, Any]:
        """Score in the main process, and broadcast the scores."""
        rank, world_size = get_dist_info()
        scores = super().score(runner, results) if rank == 0 else {}
        found = [scores, self.losses]
        if world_size > 1:
            dist.broadcast_object_list(found, src=0)
        scores, self.losses = found
        if rank != 0:  # logger hooks then do the same in all processes
            runner.log_buffer.output.update(scores)
            runner.log_buffer.mode = "val"
            runner.log_buffer.iters = runner.completed_iters
            runner.log_buffer.ready = True
        return scores

    def _evaluate(self, runner: RunnerView) -> None:
        if get_dist_info()[1] == 1 or type(self)._do_evaluate is EvalHook._do_evaluate:
            super()._evaluate(runner)
            return
        # A subclass for MMCV compares and saves in the main process only, but all processes save a checkpoint together.
        self._key_score, self._is_collecting = None, True
        try:
            super()._evaluate(runner)
        finally:
            self._is_collecting = False
        rules = self.score_rules
        found = [self._key_score, rules.name, rules.rule]
        dist.broadcast_object_list(found, src=0)
        key_score, rules.name, rules.rule = found
        if key_score is not None:
            self._save_ckpt(runner, key_score)

    def _save_ckpt(self, runner: RunnerView, key_score: Any) -> None:
        """See ``EvalHook``; while a subclass evaluates, the score is kept until all processes can save."""
        if self._is_collecting:
            self._key_score = key_score
        else:
            super()._save_ckpt(runner, key_score)


def _broadcast_statistics(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            for buffer in (module.running_var, module.running_mean):
                if buffer is not None:
                    dist.broadcast(buffer, src=0)
