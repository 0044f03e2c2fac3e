"""Per-parameter optimizer settings: MMCV's ``paramwise_cfg``."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.registries import OPTIMIZER_BUILDERS, OPTIMIZERS
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.suggestions import suggest

__all__ = ["DefaultOptimizerConstructor", "ParamwiseProblem", "paramwise_problems"]

logger = logging.getLogger(__name__)


# What paramwise_cfg multiplies, by what it multiplies with.
LR_KEYS = ("bias_lr_mult", "dcn_offset_lr_mult")
DECAY_KEYS = ("bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult")
SWITCHES = ("bypass_duplicate", "merge_groups")

_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_DEFORMABLE = {"DeformConv2d", "ModulatedDeformConv2d"}  # by name: several packages have one


@OPTIMIZER_BUILDERS.register_module()
class DefaultOptimizerConstructor:
    """Builds an optimizer, with separate settings for some parameters.

    Without ``paramwise_cfg`` all parameters are one group. With it each parameter is a group, in
    the order of the modules. Its learning rate and weight decay are those of the optimizer,
    multiplied by:

    - ``custom_keys``: a dict of ``dict(lr_mult=1, decay_mult=1)`` by a part of the parameter's
      name. The longest key that is in the name wins, and none of the following applies.
    - ``bias_lr_mult``, ``bias_decay_mult``: of biases, except those of normalization layers (and,
      in deformable convolutions, of offsets).
    - ``norm_decay_mult``: of weights and biases of normalization layers.
    - ``dwconv_decay_mult``: of depthwise convolutions, which have several groups, one for each
      input channel.
    - ``dcn_offset_lr_mult``: of the layers that compute the offsets in deformable convolutions.

    and two switches:

    - ``bypass_duplicate``: skip a parameter that was already added, with a warning, instead of
      raising an error.
    - ``merge_groups``: put parameters with equal settings into one group, which is faster.

    A subclass that is registered in OPTIMIZER_BUILDERS overrides ``add_params`` or
    ``__call__``; it may accept other keys.

    Args:
        optimizer_cfg: ``type`` and arguments of the optimizer.
        paramwise_cfg: See above; may be None.

    Raises:
        ArgumentTypeError: One of them is not a dict.
        ArgumentError: A key is unknown, or its value has no effect.
    """

    paramwise_keys: ClassVar[tuple[str, ...]] = ("custom_keys", *LR_KEYS, *DECAY_KEYS, *SWITCHES)

    def __init__(
        self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        check_type("optimizer_cfg", optimizer_cfg, Mapping, "a dict with a type")
        check_type("paramwise_cfg", paramwise_cfg, Mapping | None, "a dict or None")
        self.optimizer_cfg = optimizer_cfg
        self.paramwise_cfg: Mapping[str, Any] = paramwise_cfg or {}
        self.base_lr = _base_lr(optimizer_cfg)
        self.base_wd = optimizer_cfg.get("weight_decay")
        keys = vars(type(self)).get("paramwise_keys")  # a subclass need not list its keys
        for problem in paramwise_problems(self.paramwise_cfg, optimizer_cfg, keys):
            raise problem.error

    def __call__(self, model: nn.Module) -> Any:
        """Build the optimizer of ``model``."""
        model = unwrap_model(model)
        if not self.paramwise_cfg:
            return OPTIMIZERS.build(self.optimizer_cfg, default_args={"params": model.parameters()})
        params: list[dict[str, Any]] = []
        self.add_params(params, model)
        self._warn_unused_keys(model)
        if self.paramwise_cfg.get("merge_groups", False):
            params = _merged(params)
        return OPTIMIZERS.build(self.optimizer_cfg, default_args={"params": params})

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: bool | None = None,
    ) -> None:
        """Add a group for each parameter of a module, and of those inside it, to ``params``.

        Args:
            params: The groups so far; changed in place.
            module: Whose parameters.
            prefix: Its name in the model.
            is_dcn_module: Whether the module is a part of a deformable convolution.
        """
        for name, parameter in module.named_parameters(recurse=False):
            whole = f"{prefix}.{name}"
            if parameter.requires_grad and _contains(params, parameter):
                if not self.paramwise_cfg.get("bypass_duplicate", False):
                    raise ArgumentError(
                        f"{whole} is a parameter that the model has under another name too. It is taken once with "
                        "paramwise_cfg=dict(bypass_duplicate=True)."
                    )
                warnings.warn(
                    f"{prefix} is duplicate. It is skipped since bypass_duplicate=True", stacklevel=2
                )
                continue
            settings = self._settings(whole, module, bool(is_dcn_module)) if parameter.requires_grad else {}
            params.append({"params": [parameter], **settings})
        inside = any(kind.__name__ in _DEFORMABLE for kind in type(module).__mro__)
        for name, child in module.named_children():
            self.add_params(params, child, f"{prefix}.{name}" if prefix else name, is_dcn_module=inside)

    def _settings(self, whole: str, module: nn.Module, in_dcn: bool) -> dict[str, Any]:
        """Return the settings of the parameter with the name ``whole`` that differ from those of the optimizer."""
        custom = self.paramwise_cfg.get("custom_keys", {})
        key = next((key for key in sorted(sorted(custom), key=len, reverse=True) if key in whole), None)
        if key is not None:
            return self._times(
                custom[key].get("lr_mult", 1.0), custom[key].get("decay_mult", 1.0), always=True
            )
        is_bias = whole.rpartition(".")[2] == "bias"
        is_norm = isinstance(module, _NORMS)
        is_conv = isinstance(module, nn.Conv2d)
        lr_mult = decay_mult = None
        if is_bias and not is_norm and not in_dcn:
            lr_mult = self.paramwise_cfg.get("bias_lr_mult")
        if in_dcn and is_conv and "conv_offset" in whole.rpartition(".")[0]:
            lr_mult = self.paramwise_cfg.get("dcn_offset_lr_mult")
        if is_norm:
            decay_mult = self.paramwise_cfg.get("norm_decay_mult")
        elif isinstance(module, nn.Conv2d) and module.in_channels == module.groups > 1:
            decay_mult = self.paramwise_cfg.get("dwconv_decay_mult")
        elif is_bias and not in_dcn:
            decay_mult = self.paramwise_cfg.get("bias_decay_mult")
        return self._times(lr_mult, decay_mult)

    def _times(self, lr_mult: float | None, decay_mult: float | None, always: bool = False) -> dict[str, Any]:
        settings = {}
        if lr_mult is not None and self.base_lr is not None:
            settings["lr"] = self.base_lr * lr_mult
        if self.base_wd is not None and (decay_mult is not None or always):
            settings["weight_decay"] = self.base_wd * (1.0 if decay_mult is None else decay_mult)
        return settings

    def _warn_unused_keys(self, model: nn.Module) -> None:
        """Warn about custom keys that match no parameter: a misspelling, or a missing submodule."""
        parts = {part for name, _ in model.named_parameters() for part in name.split(".")}
        names = [name for name, _ in model.named_parameters()]
        for key in self.paramwise_cfg.get("custom_keys", {}):
            if not any(key in name or key in f".{name}" for name in names):
                hint = suggest(key, parts)
                logger.warning("The custom key %r is in the name of no parameter.%s", key, hint)


class ParamwiseProblem(NamedTuple):
    """What is wrong with a ``paramwise_cfg``.

    Attributes:
        keys: Key path in the ``paramwise_cfg``.
        error: The error.
    """

    keys: tuple[str, ...]
    error: ArgumentError | ArgumentTypeError


def paramwise_problems(
    paramwise_cfg: Mapping[str, Any], optimizer_cfg: Mapping[str, Any], known: tuple[str, ...] | None
) -> Iterator[ParamwiseProblem]:
    """Yield what is wrong with a ``paramwise_cfg``.

    Args:
        paramwise_cfg: The config to check.
        optimizer_cfg: Config of the optimizer whose settings are multiplied.
        known: The known keys, or None if any key is allowed.
    """
    for key, value in paramwise_cfg.items():
        if known is not None and key not in known:
            yield ParamwiseProblem((key,), _unknown("paramwise_cfg", key, known))
        elif key in SWITCHES and not isinstance(value, bool):
            yield ParamwiseProblem((key,), ArgumentTypeError(f"{key} must be True or False, not {value!r}."))
        elif key in (*LR_KEYS, *DECAY_KEYS):
            yield from _multiplier_problem((key,), value, optimizer_cfg)
    custom = paramwise_cfg.get("custom_keys", {})
    if not isinstance(custom, Mapping):
        text = f"custom_keys must be a dict of dict(lr_mult=..., decay_mult=...) by a part of a name, not {custom!r}."
        yield ParamwiseProblem(("custom_keys",), ArgumentTypeError(text))
        return
    for part, settings in custom.items():
        if not isinstance(settings, Mapping):
            text = (
                f"The settings of a custom key must be dict(lr_mult=..., decay_mult=...), not {settings!r}."
            )
            yield ParamwiseProblem(("custom_keys", part), ArgumentTypeError(text))
            continue
        for key, value in settings.items():
            where = ("custom_keys", part, key)
            if key in ("lr_mult", "decay_mult"):
                yield from _multiplier_problem(where, value, optimizer_cfg)
            elif known is not None:
                yield ParamwiseProblem(where, _unknown("A custom key", key, ("lr_mult", "decay_mult")))


def _unknown(owner: str, key: str, known: tuple[str, ...]) -> ArgumentError:
    hint = suggest(str(key), known) or f"It has {', '.join(known)}."
    return ArgumentError(f"{owner} has no setting {key!r}.", hint=hint)


def _multiplier_problem(
    keys: tuple[str, ...], value: Any, optimizer_cfg: Mapping[str, Any]
) -> Iterator[ParamwiseProblem]:
    name = keys[-1]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield ParamwiseProblem(keys, ArgumentTypeError(f"{name} must be a number, not {value!r}."))
    elif "decay" in name and optimizer_cfg.get("weight_decay") is None:
        text = f"{name} multiplies weight_decay, which the optimizer is not given."
        yield ParamwiseProblem(keys, ArgumentError(text))
    elif "lr" in name and _base_lr(optimizer_cfg) is None:
        text = f"{name} multiplies lr, which the optimizer is not given."
        yield ParamwiseProblem(keys, ArgumentError(text))


def _base_lr(optimizer_cfg: Mapping[str, Any]) -> float | None:
    """Return the learning rate in the config, or else the default of the optimizer."""
    if optimizer_cfg.get("lr") is not None or "type" not in optimizer_cfg:
        return optimizer_cfg.get("lr")
    target, _ = resolve_cfg(optimizer_cfg, OPTIMIZERS)
    try:
        parameter = inspect.signature(target).parameters.get("lr")
    except (TypeError, ValueError):  # its signature cannot be read
        return None
    default = parameter.default if parameter is not None else None
    return default if isinstance(default, (int, float)) else None


def _contains(params: list[dict[str, Any]], parameter: nn.Parameter) -> bool:
    return any(each is parameter for group in params for each in group["params"])


def _merged(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups in which all parameters with equal settings are together, in their order."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in params:
        settings = {key: value for key, value in group.items() if key != "params"}
        same = merged.setdefault(tuple(sorted(settings.items())), {"params": [], **settings})
        same["params"] += group["params"]
    return list(merged.values())
