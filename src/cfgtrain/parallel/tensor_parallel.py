"""Divide layers among processes that compute them together: tensor parallelism of PyTorch, by a plan of names."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_module, distribute_tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from cfgtrain.errors import ArgumentError

__all__ = ["STYLES", "TENSOR", "clip_norm", "divide_layers", "has_divided_layers", "plan_of"]

TENSOR = "tensor"  # the dimension of a mesh whose processes compute layers together
STYLES = ("colwise", "rowwise")
_EXAMPLE = "{'blocks.*.ffn.0': 'colwise', 'blocks.*.ffn.2': 'rowwise'}"


def plan_of(model: nn.Module, size: int, plan: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return how the layers of a model are divided among processes: ``"colwise"`` or ``"rowwise"`` by module name.

    With ``"colwise"``, each process computes a part of the output features of a layer. With ``"rowwise"``, each has a
    part of the input features, such as the output of a colwise layer, and the results are added up over the processes.

    Args:
        model: The model, without wrappers.
        size: Number of processes that compute a layer together.
        plan: Styles by module name or pattern of names. None: the plans that the model and its modules give, in an
            attribute or method ``tensor_parallel_plan``, with names as seen from the module that has it.

    Raises:
        ArgumentError: There is no plan, a pattern matches no layer or something else than layers, or a layer cannot be
            divided.
    """
    given = list(_plans_in(model)) if plan is None else [("", plan)]
    if not any(patterns for _, patterns in given):
        raise ArgumentError(
            f"{type(model).__name__} gives no plan for tensor_parallel, which says how its layers are divided among "
            "processes.",
            hint=f"Give one in the config, in the form of parallel=dict(type='FSDP', tensor_parallel={size}, "
            f"plan={_EXAMPLE}), or in the model as its attribute tensor_parallel_plan.",
            argument="plan",
        )
    modules = {name: module for name, module in model.named_modules() if name}
    layers = [name for name, module in modules.items() if isinstance(module, nn.Linear | nn.Embedding)]
    styles: dict[str, str] = {}
    for prefix, patterns in given:
        for pattern, style in patterns.items():
            whole = f"{prefix}.{pattern}" if prefix else pattern
            found = [name for name in modules if fnmatchcase(name, whole)]
            _check_matches(model, whole, pattern, style, {name: modules[name] for name in found}, layers)
            for name in found:
                if styles.setdefault(name, style) != style:
                    raise ArgumentError(
                        f"The plan for tensor_parallel divides the layer {name!r} both colwise and rowwise.",
                        argument=("plan", pattern),
                    )
                _check_layer(model, name, modules[name], style, size, pattern)
    return styles


def _plans_in(model: nn.Module) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the name of each module that gives a plan, and the plan."""
    for name, module in model.named_modules():
        own: Any = getattr(module, "tensor_parallel_plan", None)
        own = own() if callable(own) else own
        if own:
            yield name, own


def _check_matches(
    model: nn.Module, whole: str, pattern: str, style: str, found: Mapping[str, nn.Module], layers: list[str]
) -> None:
    """Raise if a pattern of a plan matches nothing, or modules that cannot be divided, or its style is unknown."""
    where: Any = ("plan", pattern)
    if style not in STYLES:
        raise ArgumentError(
            f"The style of {pattern!r} in the plan for tensor_parallel must be 'colwise' or 'rowwise', not {style!r}.",
            near=(str(style), STYLES),
            argument=where,
        )
    if not found:
        raise ArgumentError(
            f"{whole!r} in the plan for tensor_parallel matches no module of {type(model).__name__}.",
            near=(whole, layers),
            argument=where,
        )
    other = next(
        (name for name, each in found.items() if not isinstance(each, nn.Linear | nn.Embedding)), None
    )
    if other is not None:
        raise ArgumentError(
            f"{whole!r} in the plan for tensor_parallel matches the module {other!r}, a {type(found[other]).__name__}: "
            "only Linear and Embedding can be divided.",
            near=(other, layers),
            argument=where,
        )


def _check_layer(model: nn.Module, name: str, layer: nn.Module, style: str, size: int, pattern: str) -> None:
    """Raise if a layer cannot be divided among ``size`` processes."""
    if isinstance(layer, nn.Linear):
        what = "out_features" if style == "colwise" else "in_features"
    else:
        what = "embedding_dim" if style == "colwise" else "num_embeddings"
    count = int(getattr(layer, what))
    where = ("plan", pattern)
    if count % size:
        raise ArgumentError(
            f"The layer {name!r} cannot be divided {style} among {size} processes: its {what}, {count}, is no multiple "
            f"of {size}.",
            hint=f"Change the layer, or set tensor_parallel to a divisor of {count}.",
            argument=where,
        )
    own = dict(layer.named_parameters())
    if not {*own} <= {"weight", "bias"}:
        raise ArgumentError(
            f"The layer {name!r} cannot be divided among processes, because its weight is computed from other "
            "parameters.",
            hint="Remove the parametrization, or leave the layer out of the plan.",
            argument=where,
        )
    for other, parameter in model.named_parameters(remove_duplicate=False):
        if other.rpartition(".")[0] != name and any(parameter is each for each in own.values()):
            raise ArgumentError(
                f"The layer {name!r} cannot be divided among processes, because it shares a weight: {other!r}.",
                hint="Leave it out of the plan.",
                argument=where,
            )


def divide_layers(model: nn.Module, mesh: DeviceMesh, plan: Mapping[str, str] | None = None) -> None:
    """Divide layers of a model, equal in all processes, among the processes of a mesh, in place.

    Args:
        model: The model, without wrappers.
        mesh: A mesh of one dimension with the name ``TENSOR``.
        plan: As for ``plan_of``.

    Raises:
        ArgumentError: As for ``plan_of``.
    """
    modules = dict(model.named_modules())
    for name, style in plan_of(model, mesh.size(), plan).items():
        _divide(name, modules[name], style, mesh)


def _divide(name: str, layer: nn.Module, style: str, mesh: DeviceMesh) -> None:
    """Divide a layer in place, as ``ColwiseParallel`` and ``RowwiseParallel`` of PyTorch do.

    Their outputs may be tensors of a collective that is still running, which a model could return. Here it has ended.
    """
    is_colwise, is_linear = style == "colwise", isinstance(layer, nn.Linear)
    # The weight of a Linear is (outputs, inputs), that of an Embedding (indices, outputs).
    weight = Shard(0) if is_colwise == is_linear else Shard(1)
    bias = Shard(0) if is_colwise else Replicate()
    # All processes have all indices that an Embedding looks up, and all inputs of a colwise Linear.
    inputs = Shard(-1) if is_linear and not is_colwise else Replicate()
    output = Shard(-1) if is_colwise else Replicate()
    features = (
        layer.in_features // (1 if is_colwise else mesh.size()) if isinstance(layer, nn.Linear) else None
    )

    def divide_parameters(_: str, module: nn.Module, mesh: DeviceMesh) -> None:
        for key, parameter in list(module.named_parameters()):
            divided = distribute_tensor(parameter, mesh, [weight if key == "weight" else bias])
            module.register_parameter(key, nn.Parameter(divided, requires_grad=parameter.requires_grad))

    def divide_input(module: nn.Module, given: Any, mesh: DeviceMesh) -> Any:
        if features is not None and given[0].shape[-1] != features:
            what = "all features" if is_colwise else "a part of the output of a colwise layer"
            raise ArgumentError(
                f"The layer {name!r} is divided {style} among processes, so its input must be {what}: {features} in "
                f"each process. It has {given[0].shape[-1]}.",
                hint="Change the plan for tensor_parallel.",
            )
        return DTensor.from_local(given[0], mesh, [inputs], run_check=False)

    def local_output(module: nn.Module, found: Any, mesh: DeviceMesh) -> Any:
        # A copy, because autograd refuses to change this view in place, as activations do.
        return found.redistribute(placements=[output]).to_local().clone()

    distribute_module(layer, mesh, divide_parameters, divide_input, local_output)


def has_divided_layers(tensors: Iterable[Tensor]) -> bool:
    """Return whether tensors of a model, or its gradients, include some of layers that processes compute together."""
    return any(
        isinstance(each, DTensor) and TENSOR in (each.device_mesh.mesh_dim_names or ()) for each in tensors
    )


def clip_norm(
    parameters: list[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Clip gradients as ``torch.nn.utils.clip_grad_norm_`` does, which cannot do it for tensors on several meshes.

    All processes must call it.

    Args:
        parameters: Those that have a gradient, of a model with divided layers.
        max_norm: Greatest norm of all gradients together.
        norm_type: Type of the norm; ``inf`` is the greatest absolute value.
        error_if_nonfinite: Whether a norm that is not finite is an error.
        foreach: Whether to use one operation for many tensors.

    Returns:
        The norm before, the same in all processes.

    Raises:
        RuntimeError: The norm is not finite, with ``error_if_nonfinite``.
    """
    norm_type = float(norm_type)
    by_mesh: defaultdict[Any, list[Any]] = defaultdict(list)
    for each in parameters:
        by_mesh[each.grad.device_mesh].append(each)  # type: ignore[union-attr]  # a DTensor, as those of FSDP
    parts = []
    for mesh, group in by_mesh.items():
        for is_divided in (True, False):
            grads = [each.grad.to_local() for each in group if _is_divided(each.grad) == is_divided]
            norm = get_total_norm([each for each in grads if each.numel()], norm_type, foreach=foreach)
            norm = norm.to(mesh.device_type, torch.float64)
            # What is not divided among the processes of a group is counted in each of them.
            copies = 1 if is_divided or math.isinf(norm_type) else _group_size(by_mesh)
            parts.append(norm if math.isinf(norm_type) else norm**norm_type / copies)
    found = torch.stack(parts)
    total = found.max() if math.isinf(norm_type) else found.sum()
    dist.all_reduce(total, dist.ReduceOp.MAX if math.isinf(norm_type) else dist.ReduceOp.SUM)
    total = (total if math.isinf(norm_type) else total ** (1 / norm_type)).float()
    if error_if_nonfinite and not total.isfinite():
        raise RuntimeError(
            f"The norm of order {norm_type} of the gradients is not finite, so they cannot be clipped."
        )
    for group in by_mesh.values():  # one operation cannot use tensors of several meshes
        clip_grads_with_norm_(group, max_norm, total, foreach)
    return total


def _is_divided(grad: DTensor) -> bool:
    """Return whether the processes that compute a layer together have different parts of a gradient."""
    names = grad.device_mesh.mesh_dim_names or ()
    return TENSOR in names and grad.placements[names.index(TENSOR)].is_shard()


def _group_size(meshes: Iterable[DeviceMesh]) -> int:
    """Return how many processes compute a layer together."""
    for mesh in meshes:
        names = mesh.mesh_dim_names or ()
        if TENSOR in names:
            return mesh.size(names.index(TENSOR))
    return 1
