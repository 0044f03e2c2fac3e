"""Check the settings of precision and speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.check.components import config_error, wrong_value
from cfgtrain.cnn.tools.compiling import check_compile_settings
from cfgtrain.config.config import Config
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.keys import setting
from cfgtrain.origin import describe, location
from cfgtrain.runner.hook_configs import PRECISIONS

__all__ = ["acceleration_problems"]

_SCALING = ("base_batch_size", "enable")


def acceleration_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the settings of precision and speed."""
    yield from _precision(cfg)
    if not isinstance(setting(cfg, "channels_last"), bool):
        yield wrong_value(cfg, "channels_last", "True or False")
    if not isinstance(setting(cfg, "tf32"), bool | None):
        yield wrong_value(cfg, "tf32", "True, False or None")
    try:
        check_compile_settings(setting(cfg, "compile"))
    except ArgumentError as error:
        yield config_error(error, cfg["compile"]) if error.argument else config_error(error, cfg, "compile")
    names = setting(cfg, "activation_checkpointing")
    if names is not None and not (
        isinstance(names, list | tuple) and all(isinstance(each, str) for each in names)
    ):
        yield wrong_value(
            cfg, "activation_checkpointing", "a list of names of modules, such as ['backbone.layer*']"
        )
    elif names and isinstance(cfg.get("compile"), Mapping) and cfg["compile"].get("backend") == "eager":
        message = "The backend 'eager' cannot compile modules of activation_checkpointing; 'aot_eager' and 'inductor' can."
        yield ConfigValueError(message, **location(cfg["compile"], "backend"))
    yield from _auto_scale_lr(cfg)


def _precision(cfg: Config) -> Iterator[CfgTrainError]:
    precision, root = cfg.get("precision"), cfg._cfg_dict
    if precision is None:
        return
    try:
        check_choice("precision", precision, PRECISIONS)
    except ArgumentError as error:
        yield config_error(error, cfg, "precision")
        return
    step = setting(cfg, "optimizer_config")
    other = None
    if cfg.get("fp16") is not None:
        other = describe(root, "fp16") or "fp16"
    elif isinstance(step, Mapping) and step.get("dtype") is not None:
        other = describe(step, "dtype") or "optimizer_config.dtype"
    elif isinstance(step, Mapping) and "Fp16" in str(step.get("type")):
        other = f"{step['type']} in {describe(step, 'type') or 'optimizer_config.type'}"
    if other is not None:
        message = f"precision and {other} both set the precision: only one of them can be given."
        yield ConfigValueError(message, **location(cfg, "precision"))
    elif PRECISIONS[precision] is not None and not isinstance(step, Mapping):
        what = "the model steps its optimizers itself" if step is None else "it is not a dict"
        yield ConfigValueError(
            f"precision={precision!r} sets the dtype of the optimizer hook, and there is none to set it of: with "
            f"optimizer_config={step!r}, {what}.",
            **location(cfg, "precision"),
        )


def _auto_scale_lr(cfg: Config) -> Iterator[CfgTrainError]:
    scaling: Any = setting(cfg, "auto_scale_lr")
    if scaling is None:
        return
    if not isinstance(scaling, Mapping):
        yield wrong_value(cfg, "auto_scale_lr", "a dict such as dict(base_batch_size=256), or None")
        return
    for name in scaling:
        if name not in _SCALING:
            message = f"auto_scale_lr has no setting {name!r}."
            yield ConfigKeyError(message, near=(str(name), _SCALING), **location(scaling, name))
    if "base_batch_size" not in scaling:
        message = "auto_scale_lr needs base_batch_size, the number of samples per step that the learning rate is for."
        yield ConfigKeyError(message, **location(cfg, "auto_scale_lr"))
    else:
        try:
            check_integer("base_batch_size", scaling["base_batch_size"], 1)
        except ArgumentError as error:
            yield config_error(error, scaling, "base_batch_size")
    if not isinstance(scaling.get("enable", True), bool):
        yield wrong_value(scaling, "enable", "True or False")
