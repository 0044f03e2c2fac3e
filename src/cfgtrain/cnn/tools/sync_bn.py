"""Replacing synchronized batch normalization, which needs several processes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["revert_sync_batchnorm"]


class BatchNormXd(_BatchNorm):
    """Batch normalization of inputs with any number of dimensions, as ``nn.SyncBatchNorm`` accepts them."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  # the name in PyTorch
        """Accept every input."""


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every ``nn.SyncBatchNorm``, also ``SyncBN``, by a batch normalization in one process.

    The new layers have the same parameters and buffers, not copies, the same settings and the same mode.

    Args:
        module: The model; changed in place, except if it is itself a synchronized batch normalization.

    Returns:
        The model, or its replacement.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # under every name that it has
            if isinstance(child, nn.SyncBatchNorm):
                if child not in replaced:
                    replaced[child] = _local(child)
                setattr(parent, name, replaced[child])
    return _local(module) if isinstance(module, nn.SyncBatchNorm) else module


def _local(layer: nn.SyncBatchNorm) -> BatchNormXd:
    new = BatchNormXd(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
    new._parameters.update(layer._parameters)
    new._buffers.update(layer._buffers)
    new.training = layer.training
    if hasattr(layer, "qconfig"):  # of a model prepared for quantization
        new.qconfig = layer.qconfig
    return new
