"""The optimizer step: one implementation behind the four names of MMCV."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad  # by this name, code written for MMCV patches it

from cfgtrain.amp import as_half_dtype, wrap_fp16_model
from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.introspection.signatures import check_dict
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.dist import average_tensors
from cfgtrain.parallel.fsdp import is_sharded_model
from cfgtrain.parallel.tensor_parallel import clip_norm, has_divided_layers
from cfgtrain.parallel.wrappers import set_gradient_sync, unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.gradients import checked_clip, clear_gradients, unreached_parameters
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.skipped_steps import SkippedSteps
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.suggestions import with_article

__all__ = [
    "Fp16OptimizerHook",
    "GradientCumulativeFp16OptimizerHook",
    "GradientCumulativeOptimizerHook",
    "OptimizerHook",
]

LossScale = float | str | Mapping[str, Any] | None


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Computes gradients after each iteration, and steps after each window of iterations.

    If there is a dict of optimizers, each one steps. An optimizer whose ``step`` needs a closure,
    such as LBFGS, is given one that runs the training step of the model again.

    Args:
        grad_clip: Arguments of ``torch.nn.utils.clip_grad_norm_``, such as
            ``dict(max_norm=35, norm_type=2)``, which logs the norm, or of ``clip_grad_value_``, such as
            ``dict(clip_value=0.5)``. None does not clip.
        detect_anomalous_params: Whether to log an error for parameters that the loss does not
            depend on; for debugging, because it traverses the whole graph in each iteration.
        cumulative_iters: Iterations per step, called a window; each loss is divided by it, so that
            the step equals that of one batch with all samples. In a shorter window at the end of
            the run, losses are divided by its length. Processes exchange gradients once per window.
        loss_scale: Prevents the underflow of float16 gradients: a number, ``"dynamic"``, or
            arguments of ``torch.amp.GradScaler``. None: no scaling, or ``"dynamic"`` for float16.
            With a scale, the number of skipped steps is logged as ``skipped_steps``.
        dtype: ``"float16"`` or ``"bfloat16"``: methods of the model that are decorated with
            ``auto_fp16`` run in it or, in a model without any, the whole training step under
            autocast. Weights and their gradients remain float32. None: float32 only.
    """

    # For subclasses in projects for MMCV 1.x, many of which do not call this ``__init__``.
    grad_clip: Mapping[str, Any] | None = None
    detect_anomalous_params = False
    cumulative_iters = 1
    dtype: torch.dtype | None = None
    loss_scale: LossScale = None
    loss_scaler: torch.amp.GradScaler | None = None
    _autocast: torch.autocast | None = None
    _with_closure = False

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        detect_anomalous_params: bool = False,
        cumulative_iters: int = 1,
        loss_scale: LossScale = None,
        dtype: str | None = None,
    ) -> None:
        check_integer("cumulative_iters", cumulative_iters, 1)
        self.grad_clip = checked_clip(grad_clip)
        self.detect_anomalous_params = detect_anomalous_params
        self.cumulative_iters = cumulative_iters
        self.dtype = None if dtype is None else as_half_dtype(dtype)
        self.loss_scale = "dynamic" if loss_scale is None and self.dtype is torch.float16 else loss_scale
        scaler_settings(self.loss_scale)  # raises for invalid settings before the run
        self._skipped = SkippedSteps()
        idle = {
            "before_train_iter": cumulative_iters == 1,
            "after_train_epoch": cumulative_iters == 1,
            "step_context": self.dtype is None,
        }
        self.set_idle((stage for stage, is_idle in idle.items() if is_idle), OptimizerHook)

    def before_run(self, runner: RunnerView) -> None:
        """Set up closure, loss scale and precision for the optimizers, device and model.

        Raises:
            HookError: There is no optimizer, or it needs a closure and cannot be combined with a setting.
        """
        optimizers = optimizers_of(runner.optimizer)
        if not optimizers:
            raise HookError(
                f"{type(self).__name__} has no optimizer to step. If the model steps itself, set "
                "optimizer_config=None."
            )
        device = next((p.device.type for p in runner.model.parameters()), "cpu")
        self._with_closure = self._needs_closure(optimizers.values())
        if self.loss_scale is not None:
            self.loss_scaler = torch.amp.GradScaler(device, **scaler_settings(self.loss_scale))
            saved = ((runner.meta or {}).get("fp16") or {}).get("loss_scaler")  # of a resumed run
            if saved:
                self.loss_scaler.load_state_dict(saved)
            self._skipped.watch(optimizers)
        self._autocast = self.autocast_for(runner.model)
        if self.cumulative_iters > 1:
            self._warn_about_windows(runner)

    def autocast_for(self, model: nn.Module) -> torch.autocast | None:
        """Prepare a model for the precision of this hook, and return what its training step runs in.

        Without a dtype this is None; neither does a model with methods that are decorated with ``auto_fp16`` need any:
        the decorators are enabled.
        """
        if self.dtype is None or wrap_fp16_model(unwrap_model(model), self.dtype):
            return None
        device = next((p.device.type for p in model.parameters()), "cpu")
        return torch.autocast(device, dtype=self.dtype)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Synchronize gradients between processes only in the last iteration of a window."""
        if self.cumulative_iters > 1:
            set_gradient_sync(runner.model, self._closes_window(runner))

    def step_context(self, runner: RunnerView) -> AbstractContextManager[None]:
        """Return the context manager that enables mixed precision for the training step."""
        # Nothing else may run in it: autocast caches weights that it has cast, and those that an evaluation without
        # gradients has left there would get no gradients in the step.
        return nullcontext() if self._autocast is None else self._autocast

    def after_train_iter(self, runner: RunnerView) -> None:
        """Compute gradients; at the end of a window or of the run, clip them and step."""
        loss = loss_with_gradient(runner.outputs, runner.model)
        optimizers = optimizers_of(runner.optimizer).values()
        if not runner.accumulating:
            for optimizer in optimizers:
                clear_gradients(optimizer)
        if self.detect_anomalous_params:
            self.detect_anomalous_parameters(loss, runner)
        if self._with_closure:
            runner.optimizer.step(self._closure(runner, loss))
            return
        self.backward(runner, loss)
        runner.accumulating = self.cumulative_iters > 1 and not self._closes_window(runner)
        if not runner.accumulating:
            self._step(runner, optimizers, self.is_last_iter(runner))
        if self.loss_scaler is not None:
            runner.log_buffer.counters["skipped_steps"] = self._skipped.total

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Step with the gradients of a last window whose length was not known before the end of the run."""
        if runner.accumulating and self.is_last_epoch(runner):
            length = runner.iter % self.cumulative_iters
            with_grad = [p.grad for p in runner.model.parameters() if p.grad is not None]
            for grad in with_grad:
                grad.mul_(self.cumulative_iters / length)  # each loss was divided by a full window
            average_tensors(with_grad)  # not synchronized yet, because no iteration was known to be the last
            runner.accumulating = False
            self._step(runner, optimizers_of(runner.optimizer).values(), is_last=True)

    def after_run(self, runner: RunnerView) -> None:
        """Synchronize gradients between processes in each iteration again."""
        if self.loss_scaler is not None:
            self._skipped.unwatch()
        if self.cumulative_iters > 1:
            set_gradient_sync(runner.model, True)

    def backward(self, runner: RunnerView, loss: Tensor) -> None:
        """Compute the gradients of the loss, divided by the length of its window and scaled."""
        if self.cumulative_iters > 1:
            loss = loss / self._window_length(runner)
        if self.loss_scaler is not None:
            loss = self.loss_scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def clip_grads(self, parameters: Any) -> Tensor | None:
        """Clip the gradients in place; return their norm before, or None with ``clip_value`` or no gradients."""
        with_grad = [p for p in parameters if p.requires_grad and p.grad is not None]
        if "clip_value" in (self.grad_clip or {}):
            clip_grad.clip_grad_value_(with_grad, **(self.grad_clip or {}))
            return None
        if has_divided_layers(with_grad):
            return clip_norm(with_grad, **(self.grad_clip or {}))
        return clip_grad.clip_grad_norm_(with_grad, **(self.grad_clip or {})) if with_grad else None

    def detect_anomalous_parameters(self, loss: Tensor, runner: RunnerView) -> None:
        """Log an error for each trainable parameter that ``loss`` does not depend on."""
        for name, parameter in unreached_parameters(runner.model, loss):
            runner.logger.error("The loss does not depend on %s with shape %s.", name, tuple(parameter.shape))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scale, and how many steps it skipped."""
        if self.loss_scaler is None:
            return {}
        return {"loss_scaler": self.loss_scaler.state_dict(), "skipped_steps": self._skipped.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        if self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(state["loss_scaler"])
            if "skipped_steps" in state:
                self._skipped.load_state_dict(state["skipped_steps"])

    def _step(self, runner: RunnerView, optimizers: Iterable[Any], is_last: bool) -> None:
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
        is_static = isinstance(self.loss_scale, (int, float))
        scaler.update(float(self.loss_scale) if is_static else None)  # type: ignore[arg-type]  # checked above
        if runner.meta is not None:  # as in MMCV
            runner.meta.setdefault("fp16", {})["loss_scaler"] = scaler.state_dict()
        self._skipped.count(scaler.get_scale(), is_static, is_last, runner.logger)

    def _clip(self, runner: RunnerView) -> None:
        norm = self._clip_model(runner.model)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()  # over the shards of all processes
        if norm is not None:
            runner.log_buffer.update({"grad_norm": norm}, runner.outputs.get("num_samples", 1))

    def _clip_model(self, model: nn.Module) -> Tensor | None:
        try:
            return self.clip_grads(model.parameters())
        except NotImplementedError as error:  # a check in advance would slow down each step
            sparse = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.is_sparse]
            if not sparse:
                raise
            raise HookError(
                f"grad_clip cannot clip sparse gradients, and {' and '.join(sparse)} got "
                f"{'one' if len(sparse) == 1 else 'such'}, for example in an Embedding with sparse=True. Make it "
                "dense (sparse=False), or remove grad_clip."
            ) from error

    def _closure(self, runner: RunnerView, loss: Tensor) -> Callable[[], Tensor]:
        """Return the closure: the first call uses the given loss, later calls run the model again."""
        losses = [loss]

        def evaluate() -> Tensor:
            if losses:
                current = losses.pop()
            else:
                clear_gradients(runner.optimizer)
                returned = runner.model.train_step(runner.data_batch, runner.optimizer)  # type: ignore[operator]
                current = returned["loss"] if isinstance(returned, dict) else returned
            current.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            if self.grad_clip is not None:
                self._clip_model(runner.model)
            return current

        return evaluate

    def _closes_window(self, runner: RunnerView) -> bool:
        return self.every_n_iters(runner, self.cumulative_iters) or self.is_last_iter(runner)

    def _window_length(self, runner: RunnerView) -> int:
        first = runner.iter // self.cumulative_iters * self.cumulative_iters
        return min(self.cumulative_iters, (runner.max_iters or first + self.cumulative_iters) - first)

    def _needs_closure(self, optimizers: Iterable[Any]) -> bool:
        optimizers = list(optimizers)
        names = [type(each).__name__ for each in optimizers if _requires_closure(each)]
        if not names:
            return False
        settings = {
            "several optimizers": len(optimizers) > 1,
            "cumulative_iters": self.cumulative_iters > 1,
            "a loss scale": self.loss_scale is not None,
            "a dtype": self.dtype is not None,
        }
        conflicts = [name for name, is_set in settings.items() if is_set]
        if conflicts:
            raise HookError(
                f"{names[0]} computes the loss several times per step, which cannot be combined with "
                f"{' and '.join(conflicts)}."
            )
        return True

    def _warn_about_windows(self, runner: RunnerView) -> None:
        length = self.cumulative_iters
        if runner.max_iters is None and is_sharded_model(runner.model):
            raise HookError(
                "With FSDP, gradients cannot be accumulated in a run whose number of iterations is not known in "
                "advance. Give the dataset a length, or use IterBasedRunner with max_iters."
            )
        if runner.iter % length:
            runner.logger.warning(
                "The run starts in the middle of a window of %d iterations, whose first gradients are lost.",
                length,
            )
        if _has_batch_norm(runner.model):
            runner.logger.warning(
                "The model has batch normalization: its statistics are those of single batches, "
                "not of the %d batches of a step.", length,
            )  # fmt: skip
        if runner.max_iters is not None and runner.max_iters % length:
            runner.logger.info(
                "The last window of the run has %d iterations instead of %d.",
                runner.max_iters % length,
                length,
            )


@HOOKS.register_module()
class GradientCumulativeOptimizerHook(OptimizerHook):
    """``OptimizerHook`` under the name that it has in MMCV when gradients are accumulated."""

    def __init__(
        self,
        cumulative_iters: int = 1,
        grad_clip: Mapping[str, Any] | None = None,
        detect_anomalous_params: bool = False,
        loss_scale: LossScale = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(grad_clip, detect_anomalous_params, cumulative_iters, loss_scale, dtype)

    def has_batch_norm(self, module: nn.Module) -> bool:
        """Return whether a module is or contains a batch normalization."""
        return _has_batch_norm(module)


@HOOKS.register_module()
class Fp16OptimizerHook(OptimizerHook):
    """``OptimizerHook`` in mixed precision, under the name that it has in MMCV.

    ``coalesce``, ``bucket_size_mb`` and ``distributed`` are accepted for compatibility and have no
    effect: PyTorch exchanges the gradients.
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
    """``Fp16OptimizerHook`` under the name that it has in MMCV when gradients are accumulated."""

    def __init__(self, cumulative_iters: int = 1, **kwargs: Any) -> None:
        super().__init__(cumulative_iters=cumulative_iters, **kwargs)


def _requires_closure(optimizer: Any) -> bool:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


def scaler_settings(loss_scale: LossScale) -> dict[str, Any]:
    """Return the arguments of the scaler."""
    if loss_scale is None or loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool) and loss_scale > 0:
        return {"init_scale": float(loss_scale)}
    if isinstance(loss_scale, Mapping):
        check_dict("loss_scale", torch.amp.GradScaler, loss_scale)
        return dict(loss_scale)
    raise ArgumentError(
        f"loss_scale must be a positive number, 'dynamic', a dict of settings or None, not {loss_scale!r}.",
        argument="loss_scale",
    )


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(each, _BatchNorm) for each in module.modules())


def loss_with_gradient(outputs: Mapping[str, Any], model: nn.Module) -> Tensor:
    """Return the loss among the outputs of a training step.

    Raises:
        HookError: There is none, or gradients cannot be computed of it.
    """
    loss = outputs.get("loss")
    if isinstance(loss, Tensor) and loss.requires_grad:
        return loss
    name = type(unwrap_model(model)).__name__
    if "loss" not in outputs:
        names = ", ".join(map(repr, outputs)) or "nothing"
        raise HookError(f"train_step of {name} returns {names}, but no 'loss' to compute gradients of.")
    if not isinstance(loss, Tensor):
        raise HookError(
            f"train_step of {name} returns {with_article(type(loss).__name__)} as the loss, {loss!r}: it must be a "
            "tensor, without .item() or .detach(), so that gradients can be computed."
        )
    raise HookError(
        f"The loss that train_step of {name} returns does not depend on any parameter that is trained: it was "
        "detached, or computed without gradients, or all parameters are frozen."
    )
