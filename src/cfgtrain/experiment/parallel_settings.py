"""The settings of a run with several processes: whether they are valid, and fit the model and each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from cfgtrain.amp import as_half_dtype
from cfgtrain.arguments import check_integer, check_positive
from cfgtrain.config.config import Config
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.keys import setting
from cfgtrain.origin import location
from cfgtrain.parallel.fsdp import DTYPES, UNSUPPORTED_OPTIMIZERS, check_parameters, units_of
from cfgtrain.parallel.launch import check_dist_params
from cfgtrain.parallel.tensor_parallel import STYLES, plan_of
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.hook_configs import mixed_precision

__all__ = ["FSDP_NAMES", "check_shardable", "group_settings", "half_precision", "parallel_problems"]

FSDP_NAMES = ("FSDP", "FullyShardedDataParallel")
FSDP_OPTIONS = (
    "type",
    "wrap",
    "reshard_after_forward",
    "mixed_precision",
    "cpu_offload",
    "tensor_parallel",
    "plan",
)
DDP_NAMES = ("DDP", "DistributedDataParallel", "MMDistributedDataParallel")
_DDP_OPTIONS = ("find_unused_parameters", "static_graph", "gradient_as_bucket_view", "broadcast_buffers")


def group_settings(cfg: Config) -> dict[str, Any]:
    """Return the settings of the process group in ``dist_params``.

    Raises:
        ConfigValueError: They are not valid.
    """
    settings = setting(cfg, "dist_params")
    try:
        return check_dist_params(settings)
    except ArgumentError as error:
        node = (settings, error.argument[0]) if isinstance(settings, Mapping) else (cfg, "dist_params")
        raise ConfigValueError(error.message, hint=error.hint, **location(*node)) from error


def parallel_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``parallel``, ``find_unused_parameters`` and ``dist_params``."""
    try:
        group_settings(cfg)
    except CfgTrainError as error:
        yield error
    if not isinstance(setting(cfg, "find_unused_parameters"), bool):
        yield _no_bool(cfg, "find_unused_parameters")
    settings = setting(cfg, "parallel")
    if settings is None:
        return
    if not isinstance(settings, Mapping):
        message = f"parallel must be a dict such as dict(type='DDP'), not {settings!r}."
        yield ConfigValueError(message, **location(cfg, "parallel"))
        return
    if settings.get("type") in FSDP_NAMES:
        yield from _fsdp_problems(cfg, settings)
        return
    if settings.get("type", "DDP") not in DDP_NAMES:
        message = f"parallel.type must be 'DDP' or 'FSDP', not {settings['type']!r}."
        near = (str(settings["type"]), (*DDP_NAMES, *FSDP_NAMES))
        yield ConfigValueError(message, near=near, **location(settings, "type"))
    for key, value in settings.items():
        if key in _DDP_OPTIONS:
            if not isinstance(value, bool):
                yield _no_bool(settings, key)
        elif key == "bucket_cap_mb":
            try:
                check_positive(key, value)
            except ArgumentError as error:
                yield ConfigValueError(error.message, **location(settings, key))
        elif key != "type":
            names = ("type", *_DDP_OPTIONS, "bucket_cap_mb")
            message = f"parallel has no setting {key!r}."
            if key in FSDP_OPTIONS:
                hint = "It is one of parallel=dict(type='FSDP', ...)."
                yield ConfigKeyError(message, hint=hint, **location(settings, key))
            else:
                yield ConfigKeyError(message, near=(str(key), names), **location(settings, key))


def _fsdp_problems(cfg: Config, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``parallel=dict(type='FSDP', ...)``, and which other settings it does not work with."""
    for key, value in settings.items():
        where = location(settings, key)
        if key in ("reshard_after_forward", "cpu_offload"):
            if not isinstance(value, bool):
                yield _no_bool(settings, key)
        elif key == "wrap":
            is_list = (
                isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value)
            )
            if value is not None and not is_list:
                message = f"parallel.wrap must be a list of names of modules or classes, not {value!r}."
                yield ConfigValueError(message, **where)
        elif key == "tensor_parallel":
            try:
                check_integer(key, value, 1)
            except CfgTrainError as error:
                yield ConfigValueError(error.message, **where)
        elif key == "plan":
            yield from _plan_problems(settings, value)
        elif key == "mixed_precision":
            yield from _dtype_problems(settings, value)
        elif key != "type":
            message = f"parallel of type 'FSDP' has no setting {key!r}."
            yield ConfigKeyError(message, near=(str(key), FSDP_OPTIONS), **where)
    yield from _unsupported_with_fsdp(cfg, settings)


def _plan_problems(settings: Mapping[str, Any], plan: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``plan``, as far as it can be said without the model."""
    if plan is None:
        return
    if not isinstance(plan, Mapping) or not plan:
        message = (
            "parallel.plan must be a dict of styles by names of modules, such as dict(fc1='colwise', fc2='rowwise'), not "
            f"{plan!r}."
        )
        yield ConfigValueError(message, **location(settings, "plan"))
        return
    for name, style in plan.items():
        if style not in STYLES:
            message = f"The style of {name!r} in parallel.plan must be 'colwise' or 'rowwise', not {style!r}."
            yield ConfigValueError(message, near=(str(style), STYLES), **location(plan, name))
    if settings.get("tensor_parallel", 1) == 1:
        yield ConfigValueError(
            "parallel.plan has no effect without tensor_parallel.",
            hint="Add tensor_parallel=2, the number of processes that compute a layer together.",
            **location(settings, "plan"),
        )


def _dtype_problems(settings: Mapping[str, Any], value: Any) -> Iterator[CfgTrainError]:
    where = location(settings, "mixed_precision")
    names = ("param_dtype", "reduce_dtype")
    if value is not None and not isinstance(value, Mapping):
        message = (
            f"parallel.mixed_precision must be a dict such as dict(param_dtype='bfloat16'), not {value!r}."
        )
        yield ConfigValueError(message, **where)
        return
    for key, dtype in (value or {}).items():
        if key not in names:
            yield ConfigKeyError(
                f"parallel.mixed_precision has no setting {key!r}.",
                near=(str(key), names),
                **location(value, key),
            )
        elif dtype is not None and (not isinstance(dtype, str) or dtype not in DTYPES):
            yield ConfigValueError(
                f"{key} must be 'float32', 'bfloat16' or 'float16', not {dtype!r}.",
                near=(str(dtype), tuple(DTYPES)),
                **location(value, key),
            )


def _unsupported_with_fsdp(cfg: Config, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    """Yield the other settings of a config that cannot be combined with FSDP, each with what would work."""
    half = half_precision(cfg)
    if half == "float16" or _has_loss_scale(cfg):
        key = next((each for each in ("precision", "fp16") if cfg.get(each)), "optimizer_config")
        yield ConfigValueError(
            "parallel of type 'FSDP' cannot train in float16 with a loss scale.",
            hint="Use precision='bf16', which needs no loss scale, or parallel=dict(type='DDP').",
            **location(cfg, key),
        )
    elif half is not None and settings.get("cpu_offload") is True:
        yield ConfigValueError(
            "precision cannot be combined with cpu_offload of parallel.",
            hint="Use parallel=dict(type='FSDP', mixed_precision=dict(param_dtype='bfloat16'), cpu_offload=True).",
            **location(settings, "cpu_offload"),
        )
    saving = setting(cfg, "checkpoint_config")
    if isinstance(saving, Mapping) and saving.get("async_save") is True:
        yield ConfigValueError(
            "Checkpoints of parallel of type 'FSDP' cannot be written in the background.",
            hint="Remove async_save. All processes write their shards at once.",
            **location(saving, "async_save"),
        )
    optimizer = cfg.get("optimizer")
    each_optimizer = [optimizer, *optimizer.values()] if isinstance(optimizer, Mapping) else []
    for each in each_optimizer:
        if isinstance(each, Mapping) and each.get("type") in UNSUPPORTED_OPTIMIZERS:
            yield ConfigValueError(
                f"The optimizer {each['type']} cannot train weights that are divided among processes.",
                hint="Use another one, such as AdamW, or parallel=dict(type='DDP').",
                **location(each, "type"),
            )
    hooks = setting(cfg, "custom_hooks")
    for each in hooks if isinstance(hooks, list | tuple) else [hooks]:
        if isinstance(each, Mapping) and each.get("type") == "EMAHook" and each.get("resume_from"):
            yield ConfigValueError(
                "resume_from of EMAHook cannot be used with parallel of type 'FSDP'.",
                hint="Use --resume.",
                **location(each, "resume_from"),
            )


def half_precision(cfg: Config) -> str | None:
    """Return the name of the 16-bit dtype that a run trains in, or None."""
    try:
        half = mixed_precision(cfg._cfg_dict)
        return None if half is None else str(as_half_dtype(half)).removeprefix("torch.")
    except (CfgTrainError, AttributeError, TypeError, ValueError):
        return None  # reported with the key itself


def _has_loss_scale(cfg: Config) -> bool:
    settings = cfg.get("optimizer_config")
    return isinstance(settings, Mapping) and settings.get("loss_scale") is not None


def _no_bool(node: Any, key: str) -> ConfigValueError:
    return ConfigValueError(f"{key} must be True or False, not {node[key]!r}.", **location(node, key))


def check_shardable(cfg: Config, model: nn.Module) -> None:
    """Raise if FSDP cannot divide the model; nothing is checked without FSDP.

    Raises:
        ConfigValueError: A name in ``parallel.wrap`` is of no module, a parameter cannot be divided, or the plan for
            ``tensor_parallel`` does not fit the model.
    """
    settings = setting(cfg, "parallel") or {}
    if settings.get("type") not in FSDP_NAMES:
        return
    inner = unwrap_model(model)
    try:
        units_of(inner, settings.get("wrap"))
        check_parameters(inner)
        if settings.get("tensor_parallel", 1) > 1:
            plan_of(inner, settings["tensor_parallel"], settings.get("plan"))
    except ArgumentError as error:
        place = location(cfg, "model")
        if error.argument == ("wrap",):
            place = location(settings, "wrap")
        elif error.argument[:1] == ("plan",) and settings.get("plan"):
            place = location(settings["plan"], error.argument[1])
        elif error.argument[:1] == ("plan",):
            place = location(settings, "tensor_parallel")
        raise ConfigValueError(error.message, hint=error.hint, **place) from error
