"""Which device to train on."""

from __future__ import annotations

import torch

from cfgtrain.errors import ArgumentError

__all__ = ["pick_device"]


def pick_device(name: str | None = None) -> torch.device:
    """Return the device of that name; None and ``"auto"`` take CUDA where there is one, else the CPU.

    Raises:
        ArgumentError: torch knows no such device, or it is not on this machine.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
    except RuntimeError:
        raise ArgumentError(
            f"torch knows no device {name!r}; such as 'cpu', 'cuda', 'cuda:1' or 'mps'."
        ) from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 1):
        here = [kind for kind, devices in count.items() if devices]
        raise ArgumentError(f"There is no device {name!r} on this machine; there is {' and '.join(here)}.")
    return device
