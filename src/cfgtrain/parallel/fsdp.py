"""Divide the weights of a model, and the state of its optimizers, among processes: ``fully_shard`` of PyTorch."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from cfgtrain.amp import HALF_DTYPES
from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.tensor_parallel import TENSOR, divide_layers
from cfgtrain.parallel.wrappers import unwrap_model

__all__ = [
    "free_gathered",
    "is_sharded_model",
    "local_tensor",
    "named_optimizer_state",
    "share_buffers",
    "shard_model",
    "shard_optimizers",
    "sharded_like",
    "units_of",
]

Optimizers = Optimizer | dict[str, Optimizer] | None

DTYPES = {"float32": torch.float32, "fp32": torch.float32, **HALF_DTYPES}
UNSUPPORTED_OPTIMIZERS = ("Adafactor", "LBFGS", "Muon", "SparseAdam")  # they do not compute with shards
_STEPS = ("train_step", "val_step", "forward_with_loss")


def is_sharded_model(model: nn.Module) -> bool:
    """Return whether the weights of a model, which may be wrapped, are divided among processes."""
    return isinstance(unwrap_model(model), FSDPModule)


def local_tensor(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process has: of a tensor that is not divided, all of it."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor


def units_of(model: nn.Module, wrap: Sequence[str] | None) -> list[str]:
    """Return the names of the modules that are sharded one by one; the rest of the model is one more unit.

    Args:
        model: The model, without wrappers.
        wrap: Names of modules or of their classes, or patterns of names such as ``"backbone.layer*"``. None: the
            members of each ``ModuleList`` and ``Sequential`` that are all of one class, and at least two, such as the
            blocks of a transformer.

    Raises:
        ArgumentError: A name or pattern matches nothing.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if wrap is None:
        return [
            f"{name}.{child}" if name else child
            for name, module in model.named_modules()
            if isinstance(module, nn.ModuleList | nn.Sequential)
            and len(module) > 1
            and len({type(each) for each in module}) == 1
            for child, each in module.named_children()
            if any(True for _ in each.parameters())
        ]
    chosen: set[str] = set()
    for pattern in wrap:
        found = [
            name
            for name, module in modules.items()
            if fnmatchcase(name, pattern) or any(kind.__name__ == pattern for kind in type(module).__mro__)
        ]
        if not found:
            classes = dict.fromkeys(type(each).__name__ for each in modules.values())
            raise ArgumentError(
                f"{pattern!r} is neither the name nor the class of a module of {type(model).__name__}, and matches none.",
                near=(pattern, [*classes, *modules]),
                argument="wrap",
            )
        chosen.update(found)
    return [name for name, each in modules.items() if name in chosen and any(True for _ in each.parameters())]


def check_parameters(model: nn.Module) -> None:
    """Raise if a parameter of a model cannot be divided.

    Raises:
        ArgumentError: It has no dimension, or no elements.
    """
    for name, each in model.named_parameters():
        if each.ndim == 0 or each.numel() == 0:
            what = "is a single number without a dimension" if each.ndim == 0 else "has no elements"
            raise ArgumentError(
                f"The parameter {name!r} {what}, so that it cannot be divided among processes.",
                hint="Make it a tensor with the shape (1,), or train with parallel=dict(type='DDP').",
            )


def shard_model(
    model: nn.Module,
    device: torch.device,
    *,
    wrap: Sequence[str] | None = None,
    reshard_after_forward: bool = True,
    mixed_precision: Mapping[str, Any] | None = None,
    cpu_offload: bool = False,
    tensor_parallel: int = 1,
    plan: Mapping[str, str] | None = None,
) -> dict[int, tuple[nn.Parameter, str]]:
    """Divide the weights of a model among the processes of the group, in place.

    The methods ``train_step``, ``val_step`` and ``forward_with_loss`` can be called like ``forward``. A model on the CPU
    is moved to the device one unit after the other, so that only its shards and one whole unit need room there.

    Args:
        model: The model, without wrappers, equal in all processes.
        device: Device of this process.
        wrap: As for ``units_of``.
        reshard_after_forward: Whether the weights of a unit are freed between the forward and the backward pass, which
            saves memory and gathers them twice. Those of the last unit, the rest of the model, are kept.
        mixed_precision: ``param_dtype`` and ``reduce_dtype`` by name; None: those of the weights.
        cpu_offload: Whether the shards are kept in the memory of the CPU.
        tensor_parallel: How many processes, of adjacent ranks, compute the layers of the model together, with the same
            data. It divides the number of processes.
        plan: How they divide the layers; see ``plan_of``.

    Returns:
        For the id of each parameter before: the parameter that replaces it, and its name. The parameters of before
        must be kept alive by the caller as long as this is used; they have no elements any more.

    Raises:
        ArgumentError: A module of ``wrap`` does not exist, a parameter has no dimension that can be divided, or
            ``plan`` does not fit the model.
    """
    check_parameters(model)
    before = dict(model.named_parameters(remove_duplicate=False))
    dtypes: dict[str, Any] = {
        key: DTYPES[str(value)] for key, value in (mixed_precision or {}).items() if value is not None
    }
    offload = CPUOffloadPolicy() if cpu_offload and device.type != "cpu" else OffloadPolicy()
    world_size = get_dist_info()[1]
    if tensor_parallel > 1:
        meshes = init_device_mesh(
            device.type, (world_size // tensor_parallel, tensor_parallel), mesh_dim_names=("data", TENSOR)
        )
        divide_layers(model, meshes[TENSOR], plan)
        _free_replaced(before, model)
        mesh = meshes["data"]
    else:
        mesh = init_device_mesh(device.type, (world_size,))
    options: dict[str, Any] = {
        "mesh": mesh,
        "mp_policy": MixedPrecisionPolicy(**dtypes),
        "offload_policy": offload,
    }
    modules = dict(model.named_modules())
    names = units_of(model, wrap)
    for name in reversed(names):  # the inner ones first
        fully_shard(modules[name], reshard_after_forward=reshard_after_forward, **options)
        _free_replaced(before, model)
    # A training step may use weights of the model itself after its forward pass.
    fully_shard(model, reshard_after_forward=False, **options)
    _free_replaced(before, model)
    for name in _STEPS:
        if callable(getattr(model, name, None)):
            register_fsdp_forward_method(model, name)
    if any(True for _ in model.buffers()) and callable(getattr(model, "train_step", None)):
        vars(model)["train_step"] = _sharing_buffers(vars(model)["train_step"], model)
    after = dict(model.named_parameters(remove_duplicate=False))
    replaced: dict[int, tuple[nn.Parameter, str]] = {}
    for name, parameter in before.items():
        replaced.setdefault(id(parameter), (after[name], name))
    return replaced


def _free_replaced(before: Mapping[str, nn.Parameter], model: nn.Module) -> None:
    """Free the memory of parameters that are no longer those of the model."""
    now = {id(each) for each in model.parameters()}
    for each in before.values():
        if id(each) not in now:
            each.data = each.data.new_empty(0)


def _sharing_buffers(step: Callable[..., Any], model: nn.Module) -> Callable[..., Any]:
    """Return a training step that begins with the buffers of rank 0 in all processes, as in DistributedDataParallel."""

    @functools.wraps(step)
    def shared(*args: Any, **kwargs: Any) -> Any:
        share_buffers(model)
        return step(*args, **kwargs)

    return shared


def share_buffers(model: nn.Module) -> None:
    """Copy the buffers of a sharded model that are not divided from rank 0 to the other processes."""
    with torch.no_grad():
        for buffer in unwrap_model(model).buffers():
            if not isinstance(buffer, DTensor):
                dist.broadcast(buffer, src=0)


def free_gathered(model: nn.Module) -> None:
    """Free the weights that a sharded model has gathered and keeps after a forward pass; others are left unchanged.

    After an evaluation this must be done before the shards change, otherwise the gathered weights are out of date.
    """
    inner = unwrap_model(model)
    if isinstance(inner, FSDPModule):
        for module in inner.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def shard_optimizers(optimizers: Optimizers, replaced: Mapping[int, tuple[nn.Parameter, str]]) -> None:
    """Let optimizers step the divided weights of a model, in place, with their state divided likewise.

    Args:
        optimizers: One or several, with a state that is equal in all processes.
        replaced: What ``shard_model`` has returned.
    """
    each_optimizer = optimizers.values() if isinstance(optimizers, dict) else filter(None, [optimizers])
    for optimizer in each_optimizer:
        state: Any = defaultdict(dict)
        for group in optimizer.param_groups:
            for at, parameter in enumerate(group["params"]):
                now = replaced[id(parameter)][0] if id(parameter) in replaced else parameter
                group["params"][at] = now
                for key, value in optimizer.state.get(parameter, {}).items():
                    divided = _divided(value, now)
                    # Where Optimizer.load_state_dict() puts it, if the parameter was not there yet.
                    stays = key == "step" and not (group.get("fused") or group.get("capturable"))
                    is_tensor = isinstance(divided, Tensor) and not isinstance(divided, DTensor)
                    state[now][key] = divided.to(now.device) if is_tensor and not stays else divided
        optimizer.state = state


def _divided(value: Any, like: Tensor) -> Any:
    """Return a tensor divided as another one of the same shape is; anything else as it is."""
    if not isinstance(value, Tensor) or not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value
    if value.shape != like.shape:
        return value
    device = like.device_mesh.device_type
    divided = distribute_tensor(value.detach().to(device), like.device_mesh, like.placements)
    return divided if like.device.type == device else divided.to(like.device)


def sharded_like(weights: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights, each divided among the processes as that of the same name in ``own``, if it has the same shape.

    All processes must call it, with the same weights.
    """
    return {
        name: _divided(each, own[name]) if isinstance(own.get(name), DTensor) else each
        for name, each in weights.items()
    }


def named_optimizer_state(optimizers: Optimizers, model: nn.Module) -> Any:
    """Return the state of an optimizer, or of several by name, with the names of parameters instead of numbers."""
    names = {id(each): name for name, each in unwrap_model(model).named_parameters()}
    if isinstance(optimizers, dict):
        return {key: _named_state(each, names) for key, each in optimizers.items()}
    return None if optimizers is None else _named_state(optimizers, names)


def _named_state(optimizer: Optimizer, names: Mapping[int, str]) -> dict[str, Any]:
    of_number = [names[id(each)] for group in optimizer.param_groups for each in group["params"]]
    saved = optimizer.state_dict()
    return {
        **saved,
        "state": {of_number[number]: each for number, each in saved["state"].items()},
        "param_groups": [
            {**group, "params": [of_number[number] for number in group["params"]]}
            for group in saved["param_groups"]
        ],
    }


def has_batch_norm(modules: Iterable[nn.Module]) -> bool:
    """Return whether a module is a batch normalization, whose weights must have the dtype of its statistics."""
    return any(isinstance(each, _BatchNorm) for each in modules)
