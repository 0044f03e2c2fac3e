"""The functions of ``mmcv.runner.hooks.lr_updater`` that hooks of projects use."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from cfgtrain.errors import ArgumentError

__all__ = ["format_param", "get_position_from_periods"]


def format_param(name: str, optim: Optimizer, param: Any) -> list[Any]:
    """Return one value for each parameter group of an optimizer.

    Args:
        name: Name of the setting, for the message.
        optim: The optimizer.
        param: One value for all groups, or a list or tuple of one value for each.

    Raises:
        ArgumentError: The number of values differs from that of the groups.
    """
    count = len(optim.param_groups)
    if not isinstance(param, list | tuple):
        return [param] * count
    if len(param) != count:
        raise ArgumentError(f"{name} needs a value for each of {count} parameter groups, got {len(param)}.")
    return list(param)


def get_position_from_periods(iteration: int, cumulative_periods: Sequence[int]) -> int:
    """Return the index of the period that contains an iteration.

    Args:
        iteration: The iteration, 0-based.
        cumulative_periods: The end of each period.

    Raises:
        ArgumentError: The iteration is after the last period.
    """
    position = bisect_right(cumulative_periods, iteration)
    if position == len(cumulative_periods):
        raise ArgumentError(
            f"Iteration {iteration} is after the end of the periods {list(cumulative_periods)}."
        )
    return position
