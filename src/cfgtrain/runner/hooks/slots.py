"""Entries of parameter groups that schedules write to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cfgtrain.errors import HookError
from cfgtrain.schedules import Curve

__all__ = ["Group", "MomentumSlot", "Slot", "ValueTable"]

Group = dict[str, Any]

TABLE_ITERS = 64


class Slot:
    """An entry of parameter groups that a schedule writes to.

    Args:
        name: Of the entry.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.initial = f"initial_{name}"

    def read(self, group: Group) -> float:
        """Return the group's value."""
        return float(group[self.name])

    def is_plain(self, groups: Sequence[Group]) -> bool:
        """Return whether to write is to set the entry, which all groups have beside what it began with."""
        return type(self) in (Slot, MomentumSlot) and all(
            type(group.get(self.initial)) is float and not isinstance(group.get(self.name), Tensor | None)
            for group in groups
        )

    def write(self, groups: Sequence[Group], values: Sequence[float]) -> None:
        """Set the value of each group; one that is a tensor stays that tensor."""
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
            HookError: The optimizer has none.
        """
        if "momentum" not in group and "betas" not in group:
            raise HookError(
                "There is a momentum schedule, and the optimizer has neither 'momentum' nor 'betas'; "
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


class ValueTable:
    """What a curve says for the next iterations, ready to be written.

    The model empties the processor's caches between two iterations, so that each line of Python
    and each object that it touches costs there several times what it does in a loop of its own.
    To look a value up touches less than to ask the curve.

    Args:
        curve: Asked at once for 64 iterations, or for those that are left of the run.
        start: The first of them.
        total: Length of the run in iterations.
        slot: Where the values are written to; plain in all groups.
        groups: They say at which values the curve begins.
    """

    def __init__(self, curve: Curve, start: int, total: int, slot: Slot, groups: Sequence[Group]) -> None:
        self.curve = curve
        self._start, self._total = start, total
        self._stop = min(start + TABLE_ITERS, total)
        self._name, self._initial = slot.name, slot.initial
        self._values = {
            base: [curve(base, at, total) for at in range(start, self._stop)]
            for base in {group[slot.initial] for group in groups}
        }

    def write(self, groups: Sequence[Group], at: int, total: int | None) -> list[float] | None:
        """Set the value of each group at iteration ``at``, and return them.

        None says that the table does not tell: it is for other iterations, another length of the
        run or other groups.
        """
        if not self._start <= at < self._stop or total != self._total:
            return None
        row, name, initial, values = at - self._start, self._name, self._initial, self._values
        written = []
        try:
            for group in groups:
                value = values[group[initial]][row]
                if group[name].__class__ is Tensor:
                    return None
                group[name] = value
                written.append(value)
        except KeyError:
            return None
        return written
