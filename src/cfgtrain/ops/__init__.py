"""Operators on tensors, in plain PyTorch, so that they run on every device.

The layers that use them are in ``cfgtrain.cnn``; those that MMCV has here can be imported from here as well.
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from torch.nn import SyncBatchNorm as SyncBatchNorm

from cfgtrain.ops import attention, boxes, focal_loss, reassembly, suppression
from cfgtrain.ops.attention import *
from cfgtrain.ops.boxes import *
from cfgtrain.ops.focal_loss import *
from cfgtrain.ops.reassembly import *
from cfgtrain.ops.suppression import *

if TYPE_CHECKING:
    from cfgtrain.cnn.bricks.criss_cross_attention import CrissCrossAttention as CrissCrossAttention
    from cfgtrain.cnn.bricks.upsample import CARAFEPack as CARAFEPack
else:  # type checkers use the imports above
    _MODULES = (attention, boxes, focal_loss, reassembly, suppression)
    __all__ = [
        "CARAFEPack",
        "CrissCrossAttention",
        "SyncBatchNorm",
        *(name for module in _MODULES for name in module.__all__),
    ]


def __getattr__(name: str) -> _Any:
    # The layers import this package, so it imports them on first use.
    import importlib

    modules = {"CARAFEPack": "upsample", "CrissCrossAttention": "criss_cross_attention"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cfgtrain.cnn.bricks.{modules[name]}"), name)
