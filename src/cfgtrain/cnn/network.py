"""The base class of the networks in this package."""

from __future__ import annotations

from typing import Any, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cfgtrain.checkpoint.load import load_checkpoint
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentTypeError

__all__ = ["Network", "default_init_cfg", "freeze_layers", "set_norm_layers"]


class Network(BaseModule):
    """A network with MMCV's ``init_weights(pretrained)``.

    Args:
        init_cfg: Config of the weight initialization; see ``cnn.initialize``.
    """

    def train(self, mode: bool = True) -> Self:
        """Set the training mode, except in layers that are frozen, and return the network."""
        super().train(mode)
        if mode:
            self._set_frozen()
        return self

    def _set_frozen(self) -> None:
        """Freeze the layers that the arguments of the network name; by default none."""

    def init_weights(self, pretrained: str | None = None) -> None:
        """Initialize the weights according to ``init_cfg``, or load them.

        Args:
            pretrained: Path or URL of a checkpoint, of which the weights with matching names are loaded.

        Raises:
            ArgumentTypeError: ``pretrained`` is neither a str nor None.
        """
        if pretrained is None:
            super().init_weights()
        elif isinstance(pretrained, str):
            load_checkpoint(self, pretrained, "cpu")
            self._is_init = True
        else:
            raise ArgumentTypeError(
                f"pretrained must be the path or URL of a checkpoint or None, not {pretrained!r}.",
                argument="pretrained",
            )


def freeze_layers(*modules: nn.Module) -> None:
    """Set modules to eval mode and their parameters to ``requires_grad=False``, in place."""
    for module in modules:
        module.eval()
        module.requires_grad_(False)


def set_norm_layers(model: nn.Module, in_eval: bool, frozen: bool) -> None:
    """Set the batch normalization layers of a model to eval mode or freeze their parameters, in place.

    Args:
        model: The model.
        in_eval: Whether to use the running statistics, which are then not updated.
        frozen: Whether the weights and biases are not trained.
    """
    if not (in_eval or frozen):
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            if in_eval:
                module.eval()
            if frozen:
                module.requires_grad_(False)


def default_init_cfg(init_cfg: Any, *linear: dict[str, Any]) -> Any:
    """Return ``init_cfg``, or if it is None the initialization of MMCV's convolutional networks.

    Convolutions are initialized as by ``kaiming_init``, and batch normalizations with weight 1 and bias 0.
    """
    if init_cfg is not None:
        return init_cfg
    norm = {"type": "Constant", "val": 1, "layer": "_BatchNorm"}
    return [{"type": "Kaiming", "layer": "Conv2d"}, norm, *linear]
