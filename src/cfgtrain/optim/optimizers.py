"""The optimizers of a run: one, several by name, or none."""

from __future__ import annotations

from torch.optim import Optimizer

__all__ = ["Optimizers", "optimizers_of"]

Optimizers = Optimizer | dict[str, Optimizer] | None


def optimizers_of(optimizer: Optimizers) -> dict[str, Optimizer]:
    """Return the optimizers by name; the name of a single one is ``""``."""
    if isinstance(optimizer, dict):
        return optimizer
    return {} if optimizer is None else {"": optimizer}
