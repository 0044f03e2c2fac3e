"""Initializers for ``init_cfg``, and the function that applies it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from cfgtrain.checkpoint.load import _load_checkpoint_with_prefix, load_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.cnn.init.functions import (
    Distribution,
    bias_init_with_prob,
    check_probability,
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
    """Base class of initializers, which selects layers and sets their biases.

    Args:
        bias: Value of the biases.
        bias_prob: If given, the bias is instead the value for which a sigmoid returns this probability, 0 to 1.
        layer: Class name, or list of class names, of the layers to initialize; the names of direct base classes
            match too. None selects no layer, so that only an ``override`` has an effect.

    Raises:
        ArgumentTypeError: An argument has the wrong type.
        ArgumentError: ``bias_prob`` is not between 0 and 1.
    """

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | Sequence[str] | None = None
    ) -> None:
        if isinstance(bias, bool) or not isinstance(bias, (int, float)):
            raise ArgumentTypeError(f"bias must be a number, not {bias!r}.", argument="bias")
        if bias_prob is not None and not isinstance(bias_prob, float):
            raise ArgumentTypeError(
                f"bias_prob must be a float or None, not {bias_prob!r}.", argument="bias_prob"
            )
        if bias_prob is not None:
            check_probability("bias_prob", bias_prob)
        if layer is not None and not isinstance(layer, (str, list, tuple)):
            raise ArgumentTypeError(
                f"layer must be a class name or a list of class names, not {layer!r}.", argument="layer"
            )
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)
        self.layer = [layer] if isinstance(layer, str) else list(layer or ())
        self.wholemodule = False

    @abstractmethod
    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""

    def __call__(self, module: nn.Module) -> None:
        """Initialize the selected layers of ``module`` in place, or all of them if ``wholemodule`` is set."""
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
                "%s found no layer %s in %s.%s", type(self).__name__, self.layer, type(module).__name__, hint
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, self._get_init_info())

    def _get_init_info(self) -> str:
        """Return the description for the log. A subclass may override it, as in MMCV."""
        shown = {name: value for name, value in vars(self).items() if name not in ("layer", "wholemodule")}
        bias = shown.pop("bias", None)
        listed = [f"{name}={value}" for name, value in shown.items()]
        return f"{type(self).__name__}: {', '.join([*listed, f'bias={bias}'])}"


@INITIALIZERS.register_module(name="Constant")
class ConstantInit(BaseInit):
    """Sets weights to a constant; see ``constant_init``."""

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val = val

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        constant_init(layer, self.val, self.bias)


@INITIALIZERS.register_module(name="Xavier")
class XavierInit(BaseInit):
    """Draws weights according to Glorot & Bengio 2010; see ``xavier_init``."""

    def __init__(self, gain: float = 1, distribution: Distribution = "normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        is_uniform(distribution)
        self.gain, self.distribution = gain, distribution

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer. Normalization layers, whose 1-D weight has no fan, are skipped."""
        if _has_fan(layer):
            xavier_init(layer, self.gain, self.bias, self.distribution)


@INITIALIZERS.register_module(name="Normal")
class NormalInit(BaseInit):
    """Draws weights from a normal distribution; see ``normal_init``."""

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = mean, std

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        normal_init(layer, self.mean, self.std, self.bias)


@INITIALIZERS.register_module(name="TruncNormal")
class TruncNormalInit(BaseInit):
    """Draws weights from a truncated normal distribution; see ``trunc_normal_init``."""

    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b, self.mean, self.std = a, b, mean, std

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        trunc_normal_init(layer, self.mean, self.std, self.a, self.b, self.bias)


@INITIALIZERS.register_module(name="Uniform")
class UniformInit(BaseInit):
    """Draws weights from a uniform distribution; see ``uniform_init``."""

    def __init__(self, a: float = 0.0, b: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = a, b

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize one layer."""
        uniform_init(layer, self.a, self.b, self.bias)


@INITIALIZERS.register_module(name="Kaiming")
class KaimingInit(BaseInit):
    """Draws weights according to He et al. 2015; see ``kaiming_init``."""

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
        """Initialize one layer. Normalization layers, whose 1-D weight has no fan, are skipped."""
        if _has_fan(layer):
            kaiming_init(layer, self.a, self.mode, self.nonlinearity, self.bias, self.distribution)


@INITIALIZERS.register_module(name="Caffe2Xavier")
class Caffe2XavierInit(KaimingInit):
    """Draws weights like Caffe2's XavierFill; see ``caffe2_xavier_init``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(1, "fan_in", "leaky_relu", "uniform", **kwargs)


@INITIALIZERS.register_module(name="Pretrained")
class PretrainedInit:
    """Loads weights from a checkpoint.

    Args:
        checkpoint: Path or URL of the checkpoint.
        prefix: If given, only weights whose names begin with this prefix are loaded, and the prefix is removed.
        map_location: Device to load the tensors to; by default the CPU.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: Any = None) -> None:
        self.checkpoint, self.prefix, self.map_location = checkpoint, prefix, map_location
        self.wholemodule = False

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module`` in place. Weights that do not match are skipped and logged.

        Raises:
            ArgumentError: No weight in the checkpoint has the prefix.
            CheckpointError: The checkpoint cannot be read, or none of its weights fits the module.
        """
        device = self.map_location or "cpu"
        if self.prefix is None:
            load_checkpoint(module, self.checkpoint, device)
        else:
            load_state_dict(module, _load_checkpoint_with_prefix(self.prefix, self.checkpoint, device))
        if hasattr(module, "_params_init_info"):
            update_init_info(module, self._get_init_info())

    def _get_init_info(self) -> str:
        """Return the description for the log, as in MMCV."""
        return f"{type(self).__name__}: load from {self.checkpoint}"


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Initialize a module according to a config.

    Args:
        module: The module, which is changed in place.
        init_cfg: Config of an initializer, or a list of them, which are applied in order. Its key ``override``
            contains one dict or several, each of which initializes all layers of the submodule ``name``, such as
            ``"head"`` or ``"head.fc"``: with the initializer ``type`` in the dict, or with the outer initializer if
            the dict has no ``type``.

    Raises:
        ArgumentTypeError: ``init_cfg`` or an override is neither a dict nor a list of dicts.
        ArgumentError: An override has no ``name``, or has arguments but no ``type``.
        InitError: The module has no submodule with that name.
    """
    for cfg in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
        if not isinstance(cfg, Mapping):
            raise ArgumentTypeError(f"init_cfg must be a dict or a list of dicts, not {init_cfg!r}.")
        base_cfg = {key: value for key, value in cfg.items() if key != "override"}
        INITIALIZERS.build(base_cfg)(module)
        override = cfg.get("override")
        if override is not None:
            base_cfg.pop("layer", None)
            for each in override if isinstance(override, (list, tuple)) else [override]:
                _override(module, each, base_cfg)


def _override(module: nn.Module, override: Any, outer: dict[str, Any]) -> None:
    if not isinstance(override, Mapping):
        raise ArgumentTypeError(f"override must be a dict or a list of dicts, not {override!r}.")
    cfg = {key: value for key, value in override.items() if key != "name"}
    name = override.get("name")
    if name is None:
        raise ArgumentError(
            f'`override` must contain the key "name", the name of a submodule: {dict(override)!r}.'
        )
    if cfg and "type" not in cfg:
        raise ArgumentError(f'`override` with other arguments requires the key "type": {dict(override)!r}.')
    submodule = dict(module.named_modules(remove_duplicate=False)).get(name)
    if submodule is None or submodule is module:
        names = [each for each, _ in module.named_modules() if each]
        raise InitError(
            f"{type(module).__name__} has no submodule {name!r} to initialize.{suggest(name, names)}"
        )
    initializer = INITIALIZERS.build(cfg or outer)
    initializer.wholemodule = True
    initializer(submodule)


def _has_fan(layer: nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return not isinstance(weight, Tensor) or weight.dim() > 1
