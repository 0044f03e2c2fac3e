"""Checks of the stages at which hooks act."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from cfgtrain.errors import HookError
from cfgtrain.runner.hooks.hook import STAGES, Hook, stage_method
from cfgtrain.runner.hooks.loggers.base import LoggerHook

__all__ = ["StopRun", "check_stages", "inactive_hook_reason", "known_stages"]

_STAGE_LIKE = re.compile("(before|after)_")


class StopRun(Exception):  # not an error
    """Ends a run early; caught by ``BaseRunner.running``."""


def known_stages(runner_class: type) -> list[str]:
    """Return the stages that hooks of a runner may have methods for, with those of flows that a subclass adds."""
    custom = (cls for cls in runner_class.__mro__ if not cls.__module__.startswith("cfgtrain."))
    flows = {name for cls in custom for name in vars(cls) if not name.startswith("_")}
    parts = ("epoch", "iter")
    return [
        *STAGES,
        *(f"{when}_{flow}_{part}" for flow in flows for when in ("before", "after") for part in parts),
    ]


def inactive_hook_reason(
    hook: Hook, stages: Iterable[str], modes: Iterable[str], by_epoch: bool
) -> str | None:
    """Return why a hook would never do anything in a run, or None if it may.

    Args:
        hook: A hook of the run.
        stages: The stages of the runner.
        modes: The modes of the flows in its workflow.
        by_epoch: Whether the runner counts in epochs.
    """
    counts_epochs = getattr(hook, "by_epoch", False) is True and not isinstance(hook, LoggerHook)
    if counts_epochs and not by_epoch:
        return "it counts epochs (by_epoch=True), and this run counts iterations"
    others = {*dir(type(hook)), *vars(hook)} - {*dir(Hook)}
    if any(_STAGE_LIKE.match(name) for name in others):  # stages that a custom runner may call
        return None
    acts = {stage for stage in (*Hook.stages, *stages) if stage_method(hook, stage) is not None}
    acts -= {"before_run", "after_run"}
    without_flow = {stage for stage in acts if "_val_" in stage and "val" not in modes}
    if not acts or acts & set(stages) - without_flow:
        return None
    reason = "the workflow has no val flow" if acts == without_flow else "this runner has no such stage"
    return f"it acts only at {', '.join(stage for stage in Hook.stages if stage in acts)}, and {reason}"


def check_stages(hook: Hook | type[Hook], stages: Sequence[str]) -> None:
    """Raise if a hook has a method that looks like a misspelt stage, as it would never be called.

    Args:
        hook: The hook or its class.
        stages: The stages of the runner.

    Raises:
        HookError: There is such a method; the message names it and the stage that it resembles.
    """
    known = {*stages, *filter(_STAGE_LIKE.match, dir(Hook))}
    cls = hook if isinstance(hook, type) else type(hook)
    for name in sorted({*dir(cls), *vars(hook)} - known):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8) if _STAGE_LIKE.match(name) else []
        if close and callable(getattr(hook, name)):
            raise HookError(
                f"{cls.__name__}.{name} would never be called: there is no such stage. "
                f"Did you mean {close[0]!r}?"
            )
