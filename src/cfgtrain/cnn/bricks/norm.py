"""Normalization layers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from cfgtrain.arguments import check_divisor
from cfgtrain.cnn.bricks.builder import layer_name, own_abbreviation
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.origin import location
from cfgtrain.registries import NORM_LAYERS
from cfgtrain.registry.registry import construct, resolve_cfg

__all__ = ["LayerNorm2d", "build_norm_layer", "infer_abbr", "is_norm"]

_LAYERS: dict[str, type[nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "BN1d": nn.BatchNorm1d,
    "BN2d": nn.BatchNorm2d,
    "BN3d": nn.BatchNorm3d,
    "SyncBN": nn.SyncBatchNorm,
    "GN": nn.GroupNorm,
    "LN": nn.LayerNorm,
    "IN": nn.InstanceNorm2d,
    "IN1d": nn.InstanceNorm1d,
    "IN2d": nn.InstanceNorm2d,
    "IN3d": nn.InstanceNorm3d,
}
for _name, _layer in _LAYERS.items():
    NORM_LAYERS.register_module(_name, module=_layer)


class LayerNorm2d(nn.LayerNorm):
    """Layer normalization over the channels of each pixel, for (N, C, H, W).

    ``torch.nn.LayerNorm`` (Ba et al., "Layer Normalization", 2016) normalizes the last dimensions instead. It has
    no name in the registry, where projects register such a class as ``LN2d``: in a config it is
    ``type='cfgtrain.cnn.LayerNorm2d'``.

    Args:
        num_channels: C.
        eps: Is added to the variance.
        elementwise_affine: Whether there is a weight and a bias for each channel.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5, elementwise_affine: bool = True) -> None:
        super().__init__(num_channels, eps, elementwise_affine)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in the base class
        """Return the normalized (N, C, H, W)."""
        channels_last = input.permute(0, 2, 3, 1)  # (N, H, W, C)
        return super().forward(channels_last).permute(0, 3, 1, 2)  # (N, C, H, W)


def build_norm_layer(
    cfg: Mapping[str, Any], num_features: Any, postfix: int | str = ""
) -> tuple[str, nn.Module]:
    """Build a normalization layer, and name it.

    Args:
        cfg: Config with a ``type`` and further arguments: those of the layer, with ``eps`` 1e-5 by default,
            and ``requires_grad``, by default True, for all its parameters. Not changed.
        num_features: Number of channels, or for ``LN`` the shape that is normalized.
        postfix: Is appended to the name.

    Returns:
        The name, the abbreviation of the class and ``postfix``, such as ``"bn1"``; and the layer.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping, ``postfix`` neither an int nor a str, or ``requires_grad``
            not a bool.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer, or the config has one of the calling code.
        ArgumentError: ``num_groups`` is missing, or does not divide ``num_features``.
    """
    layer_name("", postfix)  # checks it before anything is built
    target, settings = resolve_cfg(cfg, NORM_LAYERS)
    requires_grad = settings.pop("requires_grad", True)
    if not isinstance(requires_grad, bool):
        raise ArgumentTypeError(
            f"requires_grad must be True or False, not {requires_grad!r}.",
            argument="requires_grad",
            **location(cfg, "requires_grad"),
        )
    parameters = parameters_of(target)
    names = parameters.names if parameters is not None else ()
    if "eps" in names:
        settings.setdefault("eps", 1e-5)
    if parameters is not None and "num_groups" in (*parameters.required, *settings):
        _check_groups(settings.get("num_groups"), num_features, cfg)
    if "num_channels" in names:
        layer = construct(target, settings, cfg, kwargs={"num_channels": num_features})
    else:
        layer = construct(target, settings, cfg, (num_features,))
    for parameter in layer.parameters():
        parameter.requires_grad = requires_grad
    return layer_name(infer_abbr(type(layer)), postfix), layer


def infer_abbr(class_type: type) -> str:
    """Return the abbreviation of a normalization class, by which its layers are named.

    It is the attribute ``_abbr_`` of the class if there is one; else ``in``, ``bn``, ``gn`` or ``ln`` for the
    classes of PyTorch and those that inherit from them or are named like them; else ``norm_layer``.

    Args:
        class_type: The class.

    Raises:
        ArgumentTypeError: It is not a class.
    """
    own = own_abbreviation(class_type)
    if own is not None:
        return own
    bases = {_InstanceNorm: "in", _BatchNorm: "bn", nn.GroupNorm: "gn", nn.LayerNorm: "ln"}
    words = {"batch": "bn", "group": "gn", "layer": "ln", "instance": "in"}
    name = class_type.__name__.lower()
    by_base = (abbreviation for base, abbreviation in bases.items() if issubclass(class_type, base))
    by_name = (abbreviation for word, abbreviation in words.items() if word in name)
    # Not "norm", which is an attribute of modules that contain a normalization layer.
    return next(by_base, None) or next(by_name, "norm_layer")


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Return whether a layer is a batch, instance, group, layer or RMS normalization.

    Args:
        layer: The layer.
        exclude: Classes whose instances do not count.

    Raises:
        ArgumentTypeError: ``exclude`` is neither a class nor a tuple of classes.
    """
    excluded: tuple[Any, ...] = exclude if isinstance(exclude, tuple) else (exclude,) if exclude else ()
    if not all(inspect.isclass(each) for each in excluded):
        raise ArgumentTypeError(
            f"exclude must be a class or a tuple of classes, not {exclude!r}.", argument="exclude"
        )
    norms = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return isinstance(layer, norms) and not isinstance(layer, excluded)


def _check_groups(num_groups: object, num_channels: Any, cfg: object) -> None:
    """Raise if the number of groups is missing or does not divide the number of channels."""
    if not isinstance(num_groups, int) or num_groups < 1:
        wrong = "is missing" if num_groups is None else f"is {num_groups!r}"
        raise ArgumentError(
            f"num_groups {wrong}: it must be the number of groups of channels, a positive int.",
            argument="num_groups",
            **location(cfg, "num_groups" if num_groups is not None else None),
        )
    if isinstance(num_channels, int):
        meaning = f"the {num_channels} channels"
        check_divisor("num_groups", num_groups, num_channels, meaning, **location(cfg, "num_groups"))
