"""Initializers that an ``init_cfg`` can name, and how it is followed."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.cnn.init.functions import (
    Distribution,
    bias_init_with_prob,
    constant_init,
    is_uniform,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from cfgtrain.cnn.init.record import update_init_info
from cfgtrain.errors import ArgumentError, ArgumentTypeError, InitError
from cfgtrain.registries import INITIALIZERS
from cfgtrain.suggestions import suggest

__all__ = [
    "INITIALIZERS",
    "BaseInit",
    "Caffe2XavierInit",
    "ConstantInit",
    "KaimingInit",
    "NormalInit",
    "PretrainedInit",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "initialize",
]

logger = logging.getLogger(__name__)


class BaseInit(ABC):
    """Base of the initializers: which layers, and their bias.

    Args:
        bias: Value of biases.
        bias_prob: Sets it to what makes a sigmoid give this, 0 to 1; None does not.
        layer: Name, or names, of classes of layers, or of their direct bases; None: no layer,
            so that only an ``override`` does anything.
    """

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | Sequence[str] | None = None
    ) -> None:
        if isinstance(bias, bool) or not isinstance(bias, (int, float)):
            raise ArgumentTypeError(f"bias is a number, not {bias!r}.", argument="bias")
        if bias_prob is not None and not isinstance(bias_prob, float):
            raise ArgumentTypeError(f"bias_prob is a float or None, not {bias_prob!r}.", argument="bias_prob")
        if layer is not None and not isinstance(layer, (str, list, tuple)):
            raise ArgumentTypeError(
                f"layer is the name of a class or a list of them, not {layer!r}.", argument="layer"
            )
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)
        self.layer = [layer] if isinstance(layer, str) else list(layer or ())
        self.wholemodule = False

    @abstractmethod
    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""

    def __call__(self, module: nn.Module) -> None:
        """Initialize the layers of ``module`` that are meant, all of them with ``wholemodule``."""
        found = False
        for layer in module.modules():
            names = {type(layer).__name__, *(base.__name__ for base in type(layer).__bases__)}
            if self.wholemodule or not names.isdisjoint(self.layer):
                found = True
                self.init_layer(layer)
        if self.layer and not found:
            kinds = {type(layer).__name__ for layer in module.modules()}
            hint = suggest(self.layer[0], kinds)
            logger.warning(
                "%s finds no layer %s in %s.%s", type(self).__name__, self.layer, type(module).__name__, hint
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, str(self))

    def __str__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if name not in ("layer", "wholemodule")}
        bias = shown.pop("bias", None)
        listed = [f"{name}={value}" for name, value in shown.items()]
        return f"{type(self).__name__}: {', '.join([*listed, f'bias={bias}'])} "


@INITIALIZERS.register_module(name="Constant")
class ConstantInit(BaseInit):
    """``type='Constant'``: see ``constant_init``."""

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val = val

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        constant_init(layer, self.val, self.bias)


@INITIALIZERS.register_module(name="Xavier")
class XavierInit(BaseInit):
    """``type='Xavier'``: see ``xavier_init``."""

    def __init__(self, gain: float = 1, distribution: Distribution = "normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        is_uniform(distribution)
        self.gain, self.distribution = gain, distribution

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer; a norm, whose weight has one dimension, has no fan and is left alone."""
        if _has_fan(layer):
            xavier_init(layer, self.gain, self.bias, self.distribution)


@INITIALIZERS.register_module(name="Normal")
class NormalInit(BaseInit):
    """``type='Normal'``: see ``normal_init``."""

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = mean, std

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        normal_init(layer, self.mean, self.std, self.bias)


@INITIALIZERS.register_module(name="TruncNormal")
class TruncNormalInit(BaseInit):
    """``type='TruncNormal'``: see ``trunc_normal_init``."""

    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std, self.a, self.b = mean, std, a, b

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        trunc_normal_init(layer, self.mean, self.std, self.a, self.b, self.bias)


@INITIALIZERS.register_module(name="Uniform")
class UniformInit(BaseInit):
    """``type='Uniform'``: see ``uniform_init``."""

    def __init__(self, a: float = 0, b: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = a, b

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        uniform_init(layer, self.a, self.b, self.bias)


@INITIALIZERS.register_module(name="Kaiming")
class KaimingInit(BaseInit):
    """``type='Kaiming'``: see ``kaiming_init``."""

    def __init__(
        self,
        a: float = 0,
        mode: Literal["fan_in", "fan_out"] = "fan_out",
        nonlinearity: str = "relu",
        distribution: Distribution = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        is_uniform(distribution)
        self.a, self.mode, self.nonlinearity, self.distribution = a, mode, nonlinearity, distribution

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer; a norm, whose weight has one dimension, has no fan and is left alone."""
        if _has_fan(layer):
            kaiming_init(layer, self.a, self.mode, self.nonlinearity, self.bias, self.distribution)


@INITIALIZERS.register_module(name="Caffe2Xavier")
class Caffe2XavierInit(KaimingInit):
    """``type='Caffe2Xavier'``: see ``caffe2_xavier_init``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(1, "fan_in", "leaky_relu", "uniform", **kwargs)


@INITIALIZERS.register_module(name="Pretrained")
class PretrainedInit:
    """``type='Pretrained'``: weights from a checkpoint.

    Args:
        checkpoint: Its path.
        prefix: Takes only the weights whose names begin with it, without it.
        map_location: Where the tensors go first.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: Any = None) -> None:
        self.checkpoint, self.prefix, self.map_location = checkpoint, prefix, map_location
        self.wholemodule = False

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module``; what does not fit is skipped and told."""
        place = self.map_location or "cpu"
        if self.prefix is None:
            load_checkpoint(module, self.checkpoint, place)
        else:
            load_state_dict(module, _with_prefix(read_checkpoint(self.checkpoint, place), self))
        if hasattr(module, "_params_init_info"):
            update_init_info(module, str(self))

    def __str__(self) -> str:
        return f"{type(self).__name__}: load from {self.checkpoint}"


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Initialize a module as its config says.

    Args:
        module: Changed in place.
        init_cfg: Config of an initializer, or a list of them, applied in order. ``override``, one
            dict or several, initializes the part called ``name`` as a whole, with an initializer
            of its own if it has a ``type``, else with the outer one.

    Raises:
        ArgumentTypeError: It is neither a dict nor a list of them.
        ArgumentError: An override has no name, or arguments without a ``type``.
        InitError: The module has no part of that name.
    """
    for cfg in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
        if not isinstance(cfg, Mapping):
            raise ArgumentTypeError(f"init_cfg is a dict or a list of dicts, not {init_cfg!r}.")
        own = {key: value for key, value in cfg.items() if key != "override"}
        INITIALIZERS.build(own)(module)
        override = cfg.get("override")
        if override is not None:
            own.pop("layer", None)
            for each in override if isinstance(override, (list, tuple)) else [override]:
                _override(module, each, own)


def _override(module: nn.Module, override: Any, outer: dict[str, Any]) -> None:
    if not isinstance(override, Mapping):
        raise ArgumentTypeError(f"override is a dict or a list of dicts, not {override!r}.")
    own = {key: value for key, value in override.items() if key != "name"}
    name = override.get("name")
    if name is None:
        raise ArgumentError(
            f'`override` must contain the key "name", which says of what part: {dict(override)!r}.'
        )
    if own and "type" not in own:
        raise ArgumentError(f'`override` needs the key "type" to have other arguments: {dict(override)!r}.')
    part = getattr(module, name, None)
    if not isinstance(part, nn.Module):
        parts = [each for each, _ in module.named_children()]
        raise InitError(f"{type(module).__name__} has no part {name!r} to initialize.{suggest(name, parts)}")
    initializer = INITIALIZERS.build(own or outer)
    initializer.wholemodule = True
    initializer(part)


def _with_prefix(checkpoint: Mapping[str, Any], init: PretrainedInit) -> dict[str, Any]:
    prefix = f"{str(init.prefix).rstrip('.')}."
    weights = checkpoint.get("state_dict", checkpoint)
    found = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if not found:
        tops = {name.split(".")[0] for name in weights}
        raise ArgumentError(
            f"{init.checkpoint} holds no weights that begin with {prefix!r}.{suggest(str(init.prefix), tops)}"
        )
    return found


def _has_fan(layer: nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return not isinstance(weight, Tensor) or weight.dim() > 1
