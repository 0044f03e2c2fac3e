"""Stop at the first non-finite loss or gradient, and save what is needed to find the cause."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.tensor import DTensor

from cfgtrain.arguments import check_integer
from cfgtrain.checkpoint.state_dict import get_state_dict
from cfgtrain.errors import NonFiniteLossError, ProcessError
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.fsdp import free_gathered, local_tensor
from cfgtrain.random_state import RandomState
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["NaNGuardHook"]


@HOOKS.register_module()
class NaNGuardHook(Hook):
    """Stops the run at the first loss or gradient that is infinite or NaN.

    Without this hook a loss is checked when it is logged, which costs nothing. With it, every
    loss and gradient is checked before the optimizer steps, which makes each iteration wait for
    the device. The weights are still finite then, and everything that led to the loss is saved
    in ``<work_dir>/nan_iter_<iteration>.pt``: ``batch``, ``indices`` and ``sources`` of
    its samples, the ``random`` states before the iteration, ``scalars`` (of the iteration, and
    the averages logged last), ``state_dict`` of the model, ``what`` was not finite, and ``where``.

    Of several processes, the one whose loss or gradient it is saves its own; the file of rank 1
    ends in ``_rank_1.pt``. With FSDP the processes tell each other in each check whether all is
    finite, so that they can gather the weights for the file.

    With a loss scale, gradients that overflow are handled by the scaler.

    Args:
        interval: Iterations between checks.
        save: Whether the file is written.
    """

    default_priority = "HIGH"  # before the optimizer

    def __init__(self, interval: int = 1, save: bool = True) -> None:
        self.interval = check_integer("interval", interval, 1)
        self.save = save
        self._random: dict[str, Any] = {}
        self._handles: list[Any] = []
        self._due = False

    def before_run(self, runner: RunnerView) -> None:
        """Let the optimizers call this hook before they step."""
        check = self._gradient_check(runner)
        optimizers = optimizers_of(runner.optimizer).values()
        self._handles = [optimizer.register_step_pre_hook(check) for optimizer in optimizers]

    def before_train_iter(self, runner: RunnerView) -> None:
        """Record the random states, so that the iteration can be repeated."""
        self._due = self.every_n_iters(runner, self.interval)
        if self._due and self.save:
            self._random = RandomState.capture()

    def after_train_iter(self, runner: RunnerView) -> None:
        """Check the loss before its gradients are computed.

        Raises:
            NonFiniteLossError: The loss is infinite or NaN.
        """
        loss = runner.outputs.get("loss")
        if self._due and loss is not None:
            value = float(loss.detach())
            self._raise_unless(runner, math.isfinite(value), lambda: ("loss", value))

    def after_run(self, runner: RunnerView) -> None:
        """Remove the hook from the optimizers."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _gradient_check(self, runner: RunnerView) -> Callable[..., None]:
        def check(optimizer: Any, args: Any, kwargs: Any) -> None:
            if getattr(optimizer, "found_inf", None) is not None:
                return  # a fused optimizer with a loss scale, which skips the step itself
            if not self._due:
                return
            with_grad = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]

            def describe() -> tuple[str, float]:
                first = next(p for p in with_grad if not all_finite([p.grad]))
                name = next(
                    (name for name, p in runner.model.named_parameters() if p is first), "a parameter"
                )
                values = _values(first.grad)
                return f"gradient of {name}", float(values[~values.isfinite()][0])

            self._raise_unless(runner, all_finite([p.grad for p in with_grad]), describe)

        return check

    def _raise_unless(
        self, runner: RunnerView, is_finite: bool, describe: Callable[[], tuple[str, float]]
    ) -> None:
        """Raise if a value is not finite in this process or, with FSDP, in any."""
        failing = _failing_rank(runner, is_finite)
        if failing is None:
            return
        weights = _gathered_weights(runner.model) if self.save else {}
        if failing != runner.rank:
            raise ProcessError(f"The loss or a gradient is not finite in rank {failing}.", is_reported=True)
        name, value = describe()
        error = NonFiniteLossError(name=name, value=value, place=runner.batch_position)
        if self.save and runner.work_dir is not None:
            rank = f"_rank_{runner.rank}" if runner.rank else ""
            path = Path(runner.work_dir) / f"nan_iter_{runner.iter + 1}{rank}.pt"
            try:
                torch.save({**self._evidence(runner, name, value), "state_dict": weights}, path)
            except Exception as failure:  # the batch may not be picklable; the original error is raised
                runner.logger.error("%s cannot be written: %s: %s", path, type(failure).__name__, failure)
            else:
                error.add_note(f"The batch, its samples, random states and weights are in {path}.")
        raise error

    def _evidence(self, runner: RunnerView, name: str, value: float) -> dict[str, Any]:
        _, epoch, batch = runner.batch_position
        loader = runner.data_loader
        batch_indices = getattr(loader, "batch_indices", lambda *_: None)
        indices = batch_indices(epoch, batch)
        source = getattr(getattr(loader, "dataset", None), "source", None)
        outputs = runner.outputs
        log_vars = outputs.get("log_vars", {"loss": outputs["loss"]} if "loss" in outputs else {})
        return {
            "what": name,
            "value": value,
            "where": {"iter": runner.iter, "epoch": epoch, "batch": batch},
            "batch": runner.data_batch,
            "indices": indices,
            "sources": [source(index) for index in indices] if indices and callable(source) else None,
            "random": self._random,
            "scalars": {
                "iteration": {key: float(torch.as_tensor(each).detach()) for key, each in log_vars.items()},
                "averages": dict(runner.log_buffer.latest),
            },
        }


def all_finite(tensors: list[Tensor]) -> bool:
    """Return whether all elements of all tensors, also sparse ones, are finite; this waits for the device once."""
    values = [
        each
        for each in map(_values, tensors)
        if each.numel() and (each.is_floating_point() or each.is_complex())
    ]
    on_cpu = [each for each in values if each.device.type == "cpu" and each.is_floating_point()]
    # Much faster than a norm on the CPU; both extremes are NaN if any value is.
    if not all(bool(torch.isfinite(extreme)) for each in on_cpu for extreme in each.aminmax()):
        return False
    others = [each for each in values if each.device.type != "cpu" or each.is_complex()]
    if not others:
        return True
    largest = torch._foreach_norm(others, float("inf"))
    return bool(torch.stack([each.to(largest[0].device) for each in largest]).isfinite().all())


def _values(tensor: Tensor) -> Tensor:
    tensor = local_tensor(tensor)
    return tensor.detach().coalesce().values() if tensor.is_sparse else tensor.detach()


def _failing_rank(runner: RunnerView, is_finite: bool) -> int | None:
    """Return the first process in which a value is not finite; None if it is finite, without FSDP in this process."""
    sharded = next((p for p in runner.model.parameters() if isinstance(p, DTensor)), None)
    if sharded is None:
        return None if is_finite else runner.rank
    device = sharded.device_mesh.device_type
    first = torch.tensor(runner.world_size if is_finite else runner.rank, device=device)
    dist.all_reduce(first, dist.ReduceOp.MIN)
    return None if int(first) == runner.world_size else int(first)


def _gathered_weights(model: nn.Module) -> dict[str, Any]:
    """Return the state dict of a model, of one that is sharded with the weights of all processes."""
    free_gathered(model)
    return {
        name: each.full_tensor().cpu() if isinstance(each, DTensor) else each
        for name, each in get_state_dict(model).items()
    }
