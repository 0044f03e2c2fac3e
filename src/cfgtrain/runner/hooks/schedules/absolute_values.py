"""Warnings about parameters that a schedule trains with another learning rate than their own.

A policy with an absolute value, such as ``min_lr``, gives it to all parameters, also to those with
``lr_mult=0``. The values are MMCV's, so they are not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.protocol import RunnerView

__all__ = ["warn_about_equal_rates", "warn_about_raised_values"]

MAX_NAMES = 2  # of parameters in a message


def warn_about_raised_values(
    runner: RunnerView,
    place: str,
    policy: str,
    setting: str,
    minimum: float,
    groups: Sequence[dict[str, Any]],
    slot: str = "lr",
    ratio: str | None = None,
) -> None:
    """Log a warning if parameter groups begin below the minimum of a policy, which raises them.

    Args:
        runner: The run.
        place: Name of the setting with its place in the config.
        policy: What sets the values, for the message, such as ``"the policy Poly"``.
        setting: Name of the setting that is the minimum.
        minimum: Value of the setting.
        groups: The parameter groups, with their initial values.
        slot: The value that the policy sets: ``"lr"`` or ``"momentum"``.
        ratio: Name of a setting to use instead, which is relative to the value of each group.
    """
    initial = [float(group[f"initial_{slot}"]) for group in groups]
    raised = [(group, value) for group, value in zip(groups, initial, strict=True) if value < minimum]
    if not raised:
        return
    what = "learning rate" if slot == "lr" else slot
    values = [value for _, value in raised]
    trained = " Parameters with a learning rate of 0 are trained." if slot == "lr" and 0 in values else ""
    if ratio is not None and max(initial) > minimum:
        remedy = f"Set {ratio}={minimum / max(initial):g} instead, which is relative to the {what} of each parameter."
    else:
        remedy = f"Set {setting} to at most {min(values):g}" + (f", or set {ratio}." if ratio else ".")
    runner.logger.warning(
        "%s",
        f"{place}: {policy} raises the {what} of {_names(runner.model, [group for group, _ in raised])} from "
        f"{' and '.join(f'{value:g}' for value in dict.fromkeys(values))} to {setting}={minimum:g}, which is the "
        f"same for all parameters.{trained} {remedy}",
    )  # fmt: skip


def warn_about_equal_rates(
    runner: RunnerView,
    place: str,
    policy: str,
    setting: str,
    groups: Sequence[dict[str, Any]],
    own: Sequence[float],
    given: Sequence[float],
) -> None:
    """Log a warning if a policy gives equal learning rates to groups whose own learning rates differ.

    Args:
        runner: The run.
        place: Name of the setting with its place in the config.
        policy: What sets the values, for the message, such as ``"the policy Poly"``.
        setting: Name of the setting that replaces the learning rates.
        groups: The parameter groups.
        own: Learning rate of each group in the optimizer.
        given: Initial learning rate of each group in the policy.
    """
    if len(set(own)) < 2 or len(set(given)) > 1:
        return
    least = min(own)
    names = _names(runner.model, [group for group, rate in zip(groups, own, strict=True) if rate == least])
    runner.logger.warning(
        "%s",
        f"{place}: {policy} gives all parameters the same learning rate, also {names}, whose own learning rate is "
        f"{least:g}: lr_mult has no effect. Set {setting} to a list with one value for each of the {len(groups)} "
        "parameter groups (with paramwise_cfg.merge_groups=True there are fewer).",
    )  # fmt: skip


def _names(model: nn.Module, groups: Iterable[dict[str, Any]]) -> str:
    """Return the names of the parameters in some groups, of which the first ones are listed."""
    wanted = {id(parameter) for group in groups for parameter in group["params"]}
    names = [name for name, each in unwrap_model(model).named_parameters() if id(each) in wanted]
    more = len(names) - MAX_NAMES
    if more > 0:
        return f"{', '.join(names[:MAX_NAMES])} and {more} more parameters"
    return " and ".join(names) or "some parameters"
