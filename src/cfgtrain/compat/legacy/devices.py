"""What MMCV says about devices: of those with a flag of their own, cfgtrain runs on Apple's MPS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "IS_IPU_AVAILABLE",
    "IS_MLU_AVAILABLE",
    "IS_MPS_AVAILABLE",
    "IS_NPU_AVAILABLE",
    "is_ipu_available",
    "is_mlu_available",
    "is_mps_available",
    "is_npu_available",
]

ScatterInputs = Tensor | tuple[Any, ...] | list[Any] | dict[Any, Any]


def is_ipu_available() -> bool:
    """Return False: cfgtrain does not run on IPUs."""
    return False


def is_mlu_available() -> bool:
    """Return False: cfgtrain does not run on MLUs."""
    return False


def is_npu_available() -> bool:
    """Return False: cfgtrain does not run on NPUs."""
    return False


def is_mps_available() -> bool:
    """Return whether Apple's MPS can be used."""
    return torch.backends.mps.is_available()


def get_device() -> str:
    """Return the type of the device that MMCV would use: ``"cuda"``, ``"mps"`` or ``"cpu"``."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if is_mps_available() else "cpu"


def synchronize_stream(
    output: Tensor | list[Any], devices: Sequence[int], streams: Sequence[torch.cuda.Stream | None]
) -> None:
    """Let the current stream of each device wait for the stream that copies to the device.

    Args:
        output: A tensor, or a list of the tensors of all devices.
        devices: Indices of the CUDA devices.
        streams: The stream of each device; None if nothing is copied.
    """
    if isinstance(output, list):
        size = len(output) // len(devices)
        for i, (device, stream) in enumerate(zip(devices, streams, strict=True)):
            for part in output[i * size : (i + 1) * size]:
                synchronize_stream(part, [device], [stream])
    elif streams[0] is not None:
        with torch.cuda.device(output.get_device()):
            current = torch.cuda.current_stream()
            current.wait_stream(streams[0])
            output.record_stream(current)


IS_IPU_AVAILABLE, IS_MLU_AVAILABLE = is_ipu_available(), is_mlu_available()
IS_NPU_AVAILABLE, IS_MPS_AVAILABLE = is_npu_available(), is_mps_available()
