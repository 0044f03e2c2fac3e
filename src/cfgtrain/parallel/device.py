"""Choose the device to train on."""

from __future__ import annotations

import torch

from cfgtrain.errors import ArgumentError

__all__ = ["pick_device"]


def pick_device(name: str | None = None) -> torch.device:
    """Return a device by name.

    Args:
        name: Name of the device, such as ``"cpu"`` or ``"cuda:1"``. None and ``"auto"`` choose CUDA if it is
            available, and otherwise the CPU.

    Raises:
        ArgumentError: The name is not valid, or the device is not available on this machine.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
    except RuntimeError:
        raise ArgumentError(
            f"{name!r} is not a device; a device is 'cpu', 'cuda', 'cuda:1', 'mps' or the like."
        ) from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 1):
        available = [kind for kind, devices in count.items() if devices]
        raise ArgumentError(
            f"The device {name!r} is not available on this machine. Available: {', '.join(available)}."
        )
    return device
