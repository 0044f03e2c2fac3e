"""The optimizer step: one implementation behind the four names of MMCV."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from cfgtrain.amp import as_half_dtype, wrap_fp16_model
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.introspection.signatures import check_dict
from cfgtrain.parallel.dist import average_tensors
from cfgtrain.parallel.wrappers import set_gradient_sync, unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.gradients import checked_clip, clear_gradients, unreached_parameters
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = [
    "Fp16OptimizerHook",
    "GradientCumulativeFp16OptimizerHook",
    "GradientCumulativeOptimizerHook",
    "OptimizerHook",
]

LossScale = float | str | Mapping[str, Any] | None


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Goes backward after each iteration and steps after each window of them.

    Of a dict of optimizers each steps. An optimizer whose ``step`` wants a closure, such as
    LBFGS, is given one that runs the step of the model again.

    Args:
        grad_clip: Arguments of ``torch.nn.utils.clip_grad_norm_``, such as
            ``dict(max_norm=35, norm_type=2)``, whose norm is logged, or of ``clip_grad_value_``:
            ``dict(clip_value=0.5)``. None does not clip.
        detect_anomalous_params: Whether to log, as errors, the parameters that the loss does
            not depend on; for debugging, as it looks at the whole graph each time.
        cumulative_iters: Iterations per step; the loss of each is divided by it, so that the
            step is that of one batch of all their samples. A shorter window at the end of the
            run is divided by its own length. Processes exchange gradients once per window.
        loss_scale: Keeps small float16 gradients from vanishing: a number, ``"dynamic"``, or
            arguments of ``torch.amp.GradScaler``. None: no scaling, or ``"dynamic"`` for float16.
        dtype: ``"float16"`` or ``"bfloat16"``: methods that the model decorates with
            ``auto_fp16`` run in it, or, in a model without any, the whole training step under
            autocast. Weights and their gradients stay float32. None: all float32.
    """

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        detect_anomalous_params: bool = False,
        cumulative_iters: int = 1,
        loss_scale: LossScale = None,
        dtype: str | None = None,
    ) -> None:
        if not isinstance(cumulative_iters, int) or cumulative_iters < 1:  # type: ignore[redundant-expr]  # of a config
            raise ArgumentError(
                f"cumulative_iters is a positive int, not {cumulative_iters!r}.", argument="cumulative_iters"
            )
        self.grad_clip = checked_clip(grad_clip)
        self.detect_anomalous_params = detect_anomalous_params
        self.cumulative_iters = cumulative_iters
        self.dtype = None if dtype is None else as_half_dtype(dtype)
        self.loss_scale = "dynamic" if loss_scale is None and self.dtype is torch.float16 else loss_scale
        _scaler_settings(self.loss_scale)  # refuses what it cannot take before the run
        self.loss_scaler: torch.amp.GradScaler | None = None
        self._autocast: torch.autocast | None = None
        self._autocast_open = False
        self._with_closure = False
        idle = {
            "before_train_iter": cumulative_iters == 1 and self.dtype is None,
            "after_train_epoch": cumulative_iters == 1,
        }
        self.idle_stages = [
            stage
            for stage, is_idle in idle.items()  # but for those that a subclass has made its own
            if is_idle and getattr(type(self), stage) is getattr(OptimizerHook, stage)
        ]

    def before_run(self, runner: RunnerView) -> None:
        """Set up what the device, the model and the optimizers ask for.

        Raises:
            HookError: There is no optimizer, or one whose closure does not go with the settings.
        """
        optimizers = _all(runner.optimizer)
        if not optimizers:
            raise HookError(
                f"{type(self).__name__} has no optimizer to step. A model that steps itself needs no such hook: "
                "optimizer_config=None."
            )
        device = next((p.device.type for p in runner.model.parameters()), "cpu")
        self._with_closure = self._wants_closure(optimizers)
        if self.loss_scale is not None:
            self.loss_scaler = torch.amp.GradScaler(device, **_scaler_settings(self.loss_scale))
            saved = ((runner.meta or {}).get("fp16") or {}).get("loss_scaler")  # of a resumed run
            if saved:
                self.loss_scaler.load_state_dict(saved)
        if self.dtype is not None and not wrap_fp16_model(unwrap_model(runner.model), self.dtype):
            self._autocast = torch.autocast(device, dtype=self.dtype)
        if self.cumulative_iters > 1:
            self._warn_of_windows(runner)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Let processes exchange gradients in the last iteration of a window only; begin autocast."""
        if self.cumulative_iters > 1:
            set_gradient_sync(runner.model, self._closes_window(runner))
        if self._autocast is not None:
            # No other hook of the stage is within it: an evaluation without gradients would leave weights there, cast
            # already, that the step then takes and that get no gradients.
            runner.defer(self._begin_autocast)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Go backward, and clip and step when a window is full or the run ends."""
        if "loss" not in runner.outputs:
            raise HookError(_no_loss(runner))
        loss = runner.outputs["loss"]
        self._end_autocast()
        optimizers = _all(runner.optimizer)
        if not runner.accumulating:
            for optimizer in optimizers:
                clear_gradients(optimizer)
        if self.detect_anomalous_params:
            self.detect_anomalous_parameters(loss, runner)
        if self._with_closure:
            runner.optimizer.step(self._closure(runner, loss))
            return
        self.backward(runner, loss)
        runner.accumulating = not self._closes_window(runner)
        if not runner.accumulating:
            self._step(runner, optimizers)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Step with what is left at the end of a run whose length in iterations was not known."""
        if runner.accumulating and self.is_last_epoch(runner):
            length = runner.iter % self.cumulative_iters
            with_grad = [p.grad for p in runner.model.parameters() if p.grad is not None]
            for grad in with_grad:
                grad.mul_(self.cumulative_iters / length)  # each loss was divided by a full window
            average_tensors(with_grad)  # no iteration was known to be the last, and to exchange them
            runner.accumulating = False
            self._step(runner, _all(runner.optimizer))

    def after_run(self, runner: RunnerView) -> None:
        """Leave model and process as they were, after an error too."""
        self._end_autocast()
        if self.cumulative_iters > 1:
            set_gradient_sync(runner.model, True)

    def backward(self, runner: RunnerView, loss: Tensor) -> None:
        """Go backward from the loss, divided by the length of its window and scaled."""
        if self.cumulative_iters > 1:
            loss = loss / self._window_length(runner)
        if self.loss_scaler is not None:
            loss = self.loss_scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def clip_grads(self, parameters: Any) -> Tensor | None:
        """Clip the gradients in place and return their norm before; None without gradients or norm."""
        with_grad = [p for p in parameters if p.requires_grad and p.grad is not None]
        if "clip_value" in (self.grad_clip or {}):
            clip_grad_value_(with_grad, **(self.grad_clip or {}))
            return None
        return clip_grad_norm_(with_grad, **(self.grad_clip or {})) if with_grad else None

    def detect_anomalous_parameters(self, loss: Tensor, runner: RunnerView) -> None:
        """Log an error for each trainable parameter that ``loss`` does not depend on."""
        for name, parameter in unreached_parameters(runner.model, loss):
            runner.logger.error("The loss does not depend on %s with shape %s.", name, tuple(parameter.shape))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scale."""
        return {} if self.loss_scaler is None else {"loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        if self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(state["loss_scaler"])

    def _step(self, runner: RunnerView, optimizers: list[Any]) -> None:
        scaler = self.loss_scaler
        if self.grad_clip is not None:
            if scaler is not None:
                for optimizer in optimizers:
                    scaler.unscale_(optimizer)
            self._clip(runner)
        if scaler is None:
            for optimizer in optimizers:
                optimizer.step()
            return
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update(float(self.loss_scale) if isinstance(self.loss_scale, (int, float)) else None)
        if runner.meta is not None:  # where MMCV looks for it
            runner.meta.setdefault("fp16", {})["loss_scaler"] = scaler.state_dict()

    def _clip(self, runner: RunnerView) -> None:
        norm = self._clip_model(runner.model)
        if norm is not None:
            runner.log_buffer.update({"grad_norm": norm}, runner.outputs.get("num_samples", 1))

    def _clip_model(self, model: nn.Module) -> Tensor | None:
        try:
            return self.clip_grads(model.parameters())
        except NotImplementedError as error:  # looked into only then: asking before would cost every step
            sparse = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.is_sparse]
            if not sparse:
                raise
            raise HookError(
                f"grad_clip cannot clip sparse gradients, and {' and '.join(sparse)} got "
                f"{'one' if len(sparse) == 1 else 'such'}, as of an Embedding with sparse=True. Make it dense "
                "(sparse=False), or do without grad_clip."
            ) from error

    def _closure(self, runner: RunnerView, loss: Tensor) -> Callable[[], Tensor]:
        """Return what computes loss and gradients: at first those that are there, then anew."""
        losses = [loss]

        def evaluate() -> Tensor:
            if losses:
                current = losses.pop()
            else:
                clear_gradients(runner.optimizer)
                current = runner.model.train_step(runner.data_batch, runner.optimizer)["loss"]  # type: ignore[operator]
            current.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            if self.grad_clip is not None:
                self._clip_model(runner.model)
            return current

        return evaluate

    def _begin_autocast(self) -> None:
        if self._autocast is not None:
            self._autocast.__enter__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._autocast_open = True

    def _end_autocast(self) -> None:
        if self._autocast is not None and self._autocast_open:
            self._autocast_open = False
            self._autocast.__exit__(None, None, None)

    def _closes_window(self, runner: RunnerView) -> bool:
        return self.every_n_iters(runner, self.cumulative_iters) or self.is_last_iter(runner)

    def _window_length(self, runner: RunnerView) -> int:
        first = runner.iter // self.cumulative_iters * self.cumulative_iters
        return min(self.cumulative_iters, (runner.max_iters or first + self.cumulative_iters) - first)

    def _wants_closure(self, optimizers: Sequence[Any]) -> bool:
        wanting = [type(each).__name__ for each in optimizers if _needs_closure(each)]
        if not wanting:
            return False
        settings = {
            "several optimizers": len(optimizers) > 1,
            "cumulative_iters": self.cumulative_iters > 1,
            "a loss scale": self.loss_scale is not None,
            "a dtype": self.dtype is not None,
        }
        clash = [name for name, is_set in settings.items() if is_set]
        if clash:
            raise HookError(
                f"{wanting[0]} computes the loss several times in one step, which does not go with "
                f"{' and '.join(clash)}."
            )
        return True

    def _warn_of_windows(self, runner: RunnerView) -> None:
        length = self.cumulative_iters
        if runner.iter % length:
            runner.logger.warning(
                "The run goes on in the middle of a window of %d iterations, whose first gradients are gone.",
                length,
            )
        if any(isinstance(module, _BatchNorm) for module in runner.model.modules()):
            runner.logger.warning(
                "The model has batch normalization: its statistics are those of single batches, "
                "not of the %d that make up a step.", length,
            )  # fmt: skip
        if runner.max_iters is not None and runner.max_iters % length:
            runner.logger.info(
                "The last window of the run has %d iterations rather than %d.",
                runner.max_iters % length,
                length,
            )


@HOOKS.register_module()
class GradientCumulativeOptimizerHook(OptimizerHook):
    """``OptimizerHook`` under the name it has in MMCV when gradients are accumulated."""

    def __init__(
        self,
        cumulative_iters: int = 1,
        grad_clip: Mapping[str, Any] | None = None,
        detect_anomalous_params: bool = False,
    ) -> None:
        super().__init__(grad_clip, detect_anomalous_params, cumulative_iters)


@HOOKS.register_module()
class Fp16OptimizerHook(OptimizerHook):
    """``OptimizerHook`` in mixed precision, under MMCV's name.

    ``coalesce``, ``bucket_size_mb`` and ``distributed`` are taken as MMCV takes them, and
    change nothing: gradients are exchanged by PyTorch.
    """

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        coalesce: bool = True,
        bucket_size_mb: int = -1,
        loss_scale: LossScale = 512.0,
        distributed: bool = True,
        detect_anomalous_params: bool = False,
        cumulative_iters: int = 1,
        dtype: str = "float16",
    ) -> None:
        super().__init__(grad_clip, detect_anomalous_params, cumulative_iters, loss_scale, dtype)


@HOOKS.register_module()
class GradientCumulativeFp16OptimizerHook(Fp16OptimizerHook):
    """``Fp16OptimizerHook`` under the name it has in MMCV when gradients are accumulated."""

    def __init__(self, cumulative_iters: int = 1, **kwargs: Any) -> None:
        super().__init__(cumulative_iters=cumulative_iters, **kwargs)


def _all(optimizer: Any) -> list[Any]:
    return (
        list(optimizer.values()) if isinstance(optimizer, dict) else [] if optimizer is None else [optimizer]
    )


def _needs_closure(optimizer: Any) -> bool:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


def _scaler_settings(loss_scale: LossScale) -> dict[str, Any]:
    """Return the arguments of the scaler."""
    if loss_scale is None or loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool) and loss_scale > 0:
        return {"init_scale": float(loss_scale)}
    if isinstance(loss_scale, Mapping):
        check_dict("loss_scale", torch.amp.GradScaler, loss_scale)
        return dict(loss_scale)
    raise ArgumentError(
        f"loss_scale is a positive number, 'dynamic', a dict of settings or None, not {loss_scale!r}.",
        argument="loss_scale",
    )


def _no_loss(runner: RunnerView) -> str:
    names = ", ".join(map(repr, runner.outputs)) or "nothing"
    model = type(unwrap_model(runner.model)).__name__
    return f"train_step of {model} returns {names}, and no 'loss' to go backward from."
