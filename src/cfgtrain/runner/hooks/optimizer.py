"""The optimizer step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from cfgtrain.errors import ArgumentError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["GradientCumulativeOptimizerHook", "OptimizerHook"]


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Goes backward after each iteration and steps after each window of them.

    Args:
        grad_clip: Arguments of ``torch.nn.utils.clip_grad_norm_``, such as
            ``dict(max_norm=35, norm_type=2)``; None does not clip. The norm is logged.
        cumulative_iters: Iterations per step; the loss of each is divided by it, so that the
            step is that of one batch of all their samples. A shorter window at the end of the
            run is divided by its own length.
    """

    def __init__(self, grad_clip: Mapping[str, Any] | None = None, cumulative_iters: int = 1) -> None:
        if not isinstance(cumulative_iters, int) or cumulative_iters < 1:  # type: ignore[redundant-expr]  # of a config
            raise ArgumentError(f"cumulative_iters is a positive int, not {cumulative_iters!r}.")
        self.grad_clip = grad_clip
        self.cumulative_iters = cumulative_iters

    def after_train_iter(self, runner: RunnerView) -> None:
        """Go backward, and clip and step when a window is full or the run ends."""
        optimizers = runner.optimizer.values() if isinstance(runner.optimizer, dict) else [runner.optimizer]
        if not runner.window_open:
            for optimizer in optimizers:
                optimizer.zero_grad()
        self.backward(runner, runner.outputs["loss"])
        runner.window_open = not self._closes_window(runner)
        if not runner.window_open:
            self._clip(runner)
            for optimizer in optimizers:
                optimizer.step()

    def backward(self, runner: RunnerView, loss: Tensor) -> None:
        """Go backward from the loss, divided by the length of its window."""
        if self.cumulative_iters > 1:
            loss = loss / self._window_length(runner)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def clip_grads(self, parameters: Any) -> Tensor | None:
        """Clip the gradients in place and return their norm before; None without gradients."""
        with_grad = [p for p in parameters if p.requires_grad and p.grad is not None]
        return clip_grad_norm_(with_grad, **(self.grad_clip or {})) if with_grad else None

    def _clip(self, runner: RunnerView) -> None:
        if self.grad_clip is not None:
            norm = self.clip_grads(runner.model.parameters())
            if norm is not None:
                runner.log_buffer.update({"grad_norm": norm}, runner.outputs["num_samples"])

    def _closes_window(self, runner: RunnerView) -> bool:
        return self.every_n_iters(runner, self.cumulative_iters) or self.is_last_iter(runner)

    def _window_length(self, runner: RunnerView) -> int:
        first = runner.iter // self.cumulative_iters * self.cumulative_iters
        return min(self.cumulative_iters, (runner.max_iters or first + self.cumulative_iters) - first)


@HOOKS.register_module()
class GradientCumulativeOptimizerHook(OptimizerHook):
    """``OptimizerHook`` under the name it has in MMCV when gradients are accumulated."""

    def __init__(self, cumulative_iters: int = 1, grad_clip: Mapping[str, Any] | None = None) -> None:
        super().__init__(grad_clip, cumulative_iters)
