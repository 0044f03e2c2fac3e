"""The entries of parameter groups that schedules write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cfgtrain.errors import HookError

__all__ = ["Group", "MomentumSlot", "Slot"]

Group = dict[str, Any]


class Slot:
    """An entry of parameter groups that a schedule writes.

    Args:
        name: Name of the entry.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.initial = f"initial_{name}"

    def read(self, group: Group) -> float:
        """Return the group's value."""
        return float(group[self.name])

    def write(self, groups: Sequence[Group], values: Sequence[float]) -> None:
        """Set the value of each group; tensors are changed in place."""
        name = self.name
        for group, value in zip(groups, values, strict=False):
            if isinstance(group[name], Tensor):
                group[name].fill_(value)
            else:
                group[name] = value


class MomentumSlot(Slot):
    """``momentum``, or the first of ``betas``."""

    def read(self, group: Group) -> float:
        """Return the group's momentum.

        Raises:
            HookError: The optimizer has no momentum.
        """
        if "momentum" not in group and "betas" not in group:
            raise HookError(
                "There is a momentum schedule, but the optimizer has neither 'momentum' nor 'betas'; "
                f"its settings are {', '.join(key for key in group if key != 'params')}."
            )
        return float(group["momentum"] if "momentum" in group else group["betas"][0])

    def write(self, groups: Sequence[Group], values: Sequence[float]) -> None:
        """Set the momentum of each group."""
        for group, value in zip(groups, values, strict=False):
            if "momentum" in group:
                group["momentum"] = value
            else:
                group["betas"] = (value, *group["betas"][1:])
