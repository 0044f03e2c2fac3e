"""Moving averages of the weights, which often score better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.parallel.fsdp import is_sharded_model, local_tensor, sharded_like
from cfgtrain.parallel.wrappers import exclude_from_sync, unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.optimizer import OptimizerHook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EMAHook"]


@HOOKS.register_module()
class EMAHook(Hook):
    """Keeps an exponential moving average of the weights, ``ema = (1 - m) * ema + m * weight``.

    The averages are evaluated, and checkpoints contain them under the names of the weights. The
    training continues with the weights themselves, which checkpoints contain as buffers
    ``ema_<name>``, as in MMCV. At the end of an epoch, and of the run, the model contains the
    averages.

    Args:
        momentum: ``m``, the share of the new weights in each iteration; above 0, below 1.
        interval: Iterations between two updates; ``m`` is compounded over them.
        warm_up: At the beginning ``m`` is at most ``(1 + iter) / (warm_up + iter)``, so that a
            large ``momentum`` is reached slowly; a ``momentum`` below that is not changed.
        resume_from: A checkpoint to resume from; ``--resume`` is preferred.
        update_buffers: Whether buffers, such as the statistics of batch normalization, are
            averaged as well.
    """

    def __init__(
        self,
        momentum: float = 0.0002,
        interval: int = 1,
        warm_up: int = 100,
        resume_from: str | None = None,
        update_buffers: bool = False,
    ) -> None:
        check_integer("interval", interval, 1)
        check_number("warm_up", warm_up, 0)
        if not 0 < momentum < 1:
            raise ArgumentError(
                f"momentum must be above 0 and below 1, not {momentum!r}.", argument="momentum"
            )
        self.momentum = 1 - (1 - momentum) ** interval if interval > 1 else momentum
        self.interval = interval
        self.warm_up = warm_up
        self.resume_from = resume_from
        self.update_buffers = update_buffers
        self._names: list[str] = []
        self._buffers: list[str] = []
        self._weights: list[Tensor] = []
        self._averages: list[Tensor] = []
        self._swapped = False  # whether the model contains the averages
        self._stays = False  # ... until the training continues

    def before_load_checkpoint(self, runner: RunnerView, state_dict: Mapping[str, Any]) -> None:
        """Create buffers for the averages in a checkpoint that is about to be loaded."""
        model = unwrap_model(runner.model)
        names = _buffer_names(model, self.update_buffers)
        if all(name in state_dict for name in names.values()):
            self._register(model, names)
            exclude_from_sync(runner.model, self._buffers)
            self._swapped = True  # as in the file

    def before_run(self, runner: RunnerView) -> None:
        """Initialize the averages with the weights, unless they were loaded from a checkpoint.

        Raises:
            HookError: ``resume_from`` is set in a run that counts iterations.
        """
        if self.resume_from is not None:
            if not runner.by_epoch:
                raise HookError("resume_from of EMAHook is only for runs that count epochs: use --resume.")
            runner.resume(self.resume_from)
        model = unwrap_model(runner.model)
        if not self._averages or is_sharded_model(model):  # which has other parameters than before
            self._register(model, _buffer_names(model, self.update_buffers))
        exclude_from_sync(runner.model, self._buffers)
        later = runner.hooks[runner.hooks.index(self) :]
        if any(isinstance(hook, OptimizerHook) for hook in later):
            runner.logger.warning(
                "EMAHook runs before the optimizer's step: its averages are one step late. "
                "Give it a priority after ABOVE_NORMAL."
            )

    def before_epoch(self, runner: RunnerView) -> None:
        """Continue with the weights themselves."""
        self._stays = False
        self._swap(to_averages=False)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Update the averages."""
        at = runner.iter
        if at % self.interval == 0:
            rising = (1 + at) / (self.warm_up + at) if self.warm_up + at else 1.0
            with torch.no_grad():
                averages, weights = _parts(self._averages), _parts(self._weights)
                torch._foreach_lerp_(averages, weights, min(self.momentum, rising))

    def after_epoch(self, runner: RunnerView) -> None:
        """Give the model the averages until the next epoch."""
        self._stays = True
        self._swap(to_averages=True)

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Do nothing: a val flow uses the averages."""

    def after_val_epoch(self, runner: RunnerView) -> None:
        """Do nothing."""

    @contextmanager
    def evaluation_context(self, runner: RunnerView) -> Iterator[None]:
        """Give the model the averages while it is evaluated or saved."""
        was = self._swapped
        self._swap(to_averages=True)
        try:
            yield
        finally:
            self._swap(to_averages=was)

    def extra_weights(self) -> dict[str, Tensor]:
        """Return the averages, or the weights themselves while the model contains the averages."""
        what = "weight" if self._swapped else "average of weight"
        return {f"{what} {name}": tensor for name, tensor in zip(self._names, self._averages, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return whether the model contains the averages between epochs; they are saved with its weights."""
        return {"stays": self._stays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._stays = state["stays"]
        self._swap(to_averages=self._stays)

    def _register(self, model: nn.Module, names: Mapping[str, str]) -> None:
        tensors = _tensors(model, self.update_buffers)
        self._names = list(names)
        self._buffers = list(names.values())
        self._weights = [tensors[name] for name in names]
        self._averages = []
        for name, buffer_name in names.items():
            if not hasattr(model, buffer_name):
                model.register_buffer(buffer_name, tensors[name].detach().clone())
            else:
                own = {buffer_name: tensors[name]}
                divided = sharded_like({buffer_name: getattr(model, buffer_name)}, own)[buffer_name]
                setattr(model, buffer_name, divided)
            self._averages.append(getattr(model, buffer_name))

    def _swap(self, to_averages: bool) -> None:
        if self._swapped != to_averages:
            self._swapped = to_averages
            with torch.no_grad():
                weights, averages = _parts(self._weights), _parts(self._averages)
                copies = [weight.clone() for weight in weights]
                torch._foreach_copy_(weights, averages)
                torch._foreach_copy_(averages, copies)


def _parts(tensors: list[Tensor]) -> list[Tensor]:
    """Return the parts of tensors that this process has."""
    return [local_tensor(each) for each in tensors]


def _tensors(model: nn.Module, with_buffers: bool) -> dict[str, Tensor]:
    """Return the averaged tensors by name: parameters and, optionally, floating-point buffers."""
    buffers = {
        name: buffer
        for name, buffer in model.named_buffers()
        if with_buffers and buffer.is_floating_point() and not name.startswith("ema_")
    }
    return {**dict(model.named_parameters()), **buffers}


def _buffer_names(model: nn.Module, with_buffers: bool) -> dict[str, str]:
    """Return the name of each average as in MMCV, with underscores appended to duplicates."""
    names: dict[str, str] = {}
    for name in _tensors(model, with_buffers):
        buffer_name = "ema_" + name.replace(".", "_")
        while buffer_name in names.values():
            buffer_name += "_"
        names[name] = buffer_name
    return names
