"""Model wrappers that move data to the device of the model, or train it with several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.data import to_device
from cfgtrain.parallel.scatter_gather import scatter_kwargs
from cfgtrain.registries import MODULE_WRAPPERS
from cfgtrain.registry.registry import Registry

__all__ = ["MMDataParallel", "MMDistributedDataParallel", "OnDevice", "is_module_wrapper", "unwrap_model"]


@MODULE_WRAPPERS.register_module()
class OnDevice(nn.Module):
    """Wraps a model on one device, and moves its inputs to that device.

    Args:
        module: A model with ``train_step`` and ``val_step``.
        device: The device.
        move: Whether the model is moved to the device. It must be there before it is called.
    """

    def __init__(self, module: nn.Module, device: torch.device, move: bool = True) -> None:
        super().__init__()
        self.module = module.to(device) if move else module
        self.device = device

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model with its inputs moved to the device."""
        return self.module(*to_device(args, self.device), **to_device(kwargs, self.device))

    def train_step(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``train_step`` with the batch moved to the device."""
        return self.module.train_step(to_device(data, self.device), *args, **kwargs)  # type: ignore[operator]

    def val_step(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``val_step`` with the batch moved to the device."""
        return self.module.val_step(to_device(data, self.device), *args, **kwargs)  # type: ignore[operator]

    def forward_with_loss(self, *items: Any, **batch: Any) -> Any:
        """Call the model's ``forward_with_loss`` with the batch moved to the device; see ``has_forward_with_loss``."""
        given, named = to_device(items, self.device), to_device(batch, self.device)
        return self.module.forward_with_loss(*given, **named)  # type: ignore[operator]


def waits_on_cpu(model: nn.Module) -> bool:
    """Return whether a model has not been moved to its device yet."""
    if not isinstance(model, OnDevice):
        return False
    return any(each.device.type != model.device.type for each in model.parameters())


class _Steps(nn.Module):
    """Runs the steps of a model as the forward pass of a wrapper of torch, with all that it does around one."""

    module: nn.Module

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``train_step`` as a forward pass of this wrapper."""
        return self._run("train_step", args, kwargs)

    def val_step(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``val_step`` as a forward pass of this wrapper."""
        return self._run("val_step", args, kwargs)

    def forward_with_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``forward_with_loss`` as a forward pass of this wrapper; see ``has_forward_with_loss``."""
        return self._run("forward_with_loss", args, kwargs)

    def _run(self, name: str, args: Any, kwargs: Any) -> Any:
        return _run_as_forward(self, name, args, kwargs)


def _run_as_forward(wrapper: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Call a method of the model in a wrapper of torch as the forward pass of the wrapper."""
    modules = wrapper._modules  # setting an attribute of a module takes longer than the rest of this function
    model = modules["module"]
    call = vars(wrapper).get("_call")
    if call is None or call.model is not model:
        call = _Call(modules, model)
        vars(wrapper)["_call"] = call  # not as a submodule, which would have the weights a second time
    vars(call)["name"] = name
    modules["module"] = call  # torch's forward calls it like any other model
    try:
        return wrapper(*args, **kwargs)
    finally:
        if modules["module"] is call:
            modules["module"] = model


class _Call(nn.Module):
    """A module that has the parameters and buffers of a model, and whose forward pass is one of its methods."""

    modules_of_wrapper: dict[str, Any]
    model: nn.Module
    name: str

    def __init__(self, modules_of_wrapper: dict[str, Any], model: nn.Module) -> None:
        super().__init__()
        # no submodules, which would change the names
        vars(self).update(modules_of_wrapper=modules_of_wrapper, model=model, name="")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.modules_of_wrapper["module"] = self.model  # so that code of the step finds the model there
        return getattr(self.model, self.name)(*args, **kwargs)

    def named_modules(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.named_modules(*args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.named_parameters(*args, **kwargs)

    def named_buffers(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.named_buffers(*args, **kwargs)


@MODULE_WRAPPERS.register_module()
class MMDataParallel(_Steps, nn.DataParallel[nn.Module]):
    """torch's ``DataParallel`` for models with ``train_step`` and batches with ``DataContainer`` (MMCV name).

    The steps need a single device; only ``forward`` can use several. To train on several devices, use
    ``MMDistributedDataParallel``, which is also faster.

    Args:
        module: The model.
        device_ids: Indices of CUDA devices. ``[]`` or ``[-1]``: the CPU, which is also used without CUDA.
            None: all CUDA devices.
        output_device: Index of the device of the outputs; by default the first.
        dim: Dimension that is divided between the devices.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: Sequence[int | torch.device] | None = None,
        output_device: int | torch.device | None = None,
        dim: int = 0,
    ) -> None:
        if torch.cuda.is_available() and (device_ids is None or list(device_ids) not in ([], [-1])):
            super().__init__(module, device_ids, output_device, dim)
        else:  # torch would use CUDA
            nn.Module.__init__(self)
            self.module, self.device_ids, self.dim = module, [], dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the model with its share of the inputs on each device."""
        if not self.device_ids:
            return self.module(*to_device(inputs, _CPU), **to_device(kwargs, _CPU))
        return super().forward(*inputs, **kwargs)

    def scatter(self, inputs: Any, kwargs: Any, device_ids: Sequence[int | torch.device]) -> Any:
        """Divide inputs between devices; see ``scatter_kwargs``."""
        return scatter_kwargs(inputs, kwargs, device_ids, self.dim)

    def _run(self, name: str, args: Any, kwargs: Any) -> Any:
        if len(self.device_ids) > 1:
            raise ArgumentError(
                f"MMDataParallel can call {name} with one device only, and it has {len(self.device_ids)}.",
                hint="Use MMDistributedDataParallel, in one process per device.",
                argument="device_ids",
            )
        return super()._run(name, args, kwargs)


@MODULE_WRAPPERS.register_module()
class MMDistributedDataParallel(_Steps, DistributedDataParallel):
    """torch's ``DistributedDataParallel`` for models with ``train_step`` and batches with ``DataContainer`` (MMCV name).

    Batches are moved to the device of the model. Steps run as a forward pass of torch's class, so that all its
    arguments work: ``find_unused_parameters``, ``static_graph``, ``gradient_as_bucket_view`` and so on.

    Where gradients are disabled, the model is called directly and nothing is communicated, so that the processes
    can evaluate different numbers of batches.
    """

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the model with the inputs moved to its device."""
        device = torch.device(self.device_type, self.device_ids[0]) if self.device_ids else self.device
        inputs = to_device(inputs, device)
        if kwargs:
            kwargs = to_device(kwargs, device)
        if not torch.is_grad_enabled():
            return self.module(*inputs, **kwargs)
        return super().forward(*inputs, **kwargs)  # type: ignore[no-untyped-call]


_CPU = torch.device("cpu")
MODULE_WRAPPERS.register_module(module=nn.DataParallel)
MODULE_WRAPPERS.register_module(module=DistributedDataParallel)


def is_module_wrapper(module: nn.Module) -> bool:
    """Return whether ``module`` is a wrapper around another module, such as ``DistributedDataParallel`` (MMCV name).

    Wrappers are instances of the classes in ``MODULE_WRAPPERS`` and its child registries.
    """
    return isinstance(module, tuple(_classes(MODULE_WRAPPERS)))


def _classes(registry: Registry) -> Iterator[type]:
    yield from (each for each in registry.module_dict.values() if isinstance(each, type))
    for child in registry.children.values():
        yield from _classes(child)


def unwrap_model(module: nn.Module) -> nn.Module:
    """Return the model inside any number of nested wrappers."""
    while is_module_wrapper(module):
        module = module.module  # type: ignore[assignment]  # every wrapper's is a module
    return module


def step_method(model: nn.Module, name: str) -> Any:
    """Return the method of a model with this name, such as ``train_step``, also if only the model in its wrapper has it.

    torch's own ``DistributedDataParallel`` has no such methods: with gradients, the method is then called as its
    forward pass, and without them directly, as in ``MMDistributedDataParallel``.
    """
    method = getattr(model, name, None)
    if method is not None or not isinstance(model, DistributedDataParallel):
        return method
    if not torch.is_grad_enabled():
        return getattr(model.module, name)
    return lambda *args, **kwargs: _run_as_forward(model, name, args, kwargs)


def without_communication(model: nn.Module) -> nn.Module:
    """Return what to call for predictions: without a wrapper of torch that copies buffers in each forward pass.

    The processes may evaluate different numbers of batches.
    """
    is_plain = isinstance(model, DistributedDataParallel) and not isinstance(model, _Steps)
    return model.module if is_plain else model  # type: ignore[return-value]  # a module


def has_forward_with_loss(model: nn.Module) -> bool:
    """Return whether a model, in its wrappers, has ``forward_with_loss(**batch) -> (predictions, losses)``."""
    parts = (without_communication(model), unwrap_model(model))
    return all(callable(getattr(each, "forward_with_loss", None)) for each in parts)


def set_gradient_sync(model: nn.Module, enabled: bool) -> None:
    """Set whether the next backward pass synchronizes gradients between processes.

    Call this before the forward pass. A model that is not distributed is left unchanged.
    """
    if hasattr(model, "require_backward_grad_sync"):  # DistributedDataParallel
        model.require_backward_grad_sync = enabled  # type: ignore[assignment]  # a plain attribute
    elif hasattr(inner := unwrap_model(model), "set_requires_gradient_sync"):  # fully_shard
        inner.set_requires_gradient_sync(enabled)  # type: ignore[operator]  # a method of its mixin


def exclude_from_sync(model: nn.Module, names: Iterable[str]) -> None:
    """Exclude buffers of a model, which are equal in all processes anyway, from what is copied in each iteration.

    Args:
        model: The model, in its wrapper if it has one already.
        names: Names of buffers in the model without wrappers.
    """
    inner = unwrap_model(model)
    excluded = {*getattr(inner, "_ddp_params_and_buffers_to_ignore", ()), *names}
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(inner, [*excluded])  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if isinstance(model, DistributedDataParallel):
        model.parameters_to_ignore.update(excluded)
