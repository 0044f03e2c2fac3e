"""For each stage, the hooks that have something to do there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cfgtrain.errors import HookError
from cfgtrain.runner.hooks.hook import Hook, stage_method
from cfgtrain.suggestions import suggest

__all__ = ["StopRun", "StageTable", "check_stages"]

_STAGE_LIKE = re.compile("(before|after)_")


class StopRun(Exception):  # it is no error
    """Leaves a run from within; caught where the run began."""


class StageTable(dict[str, list[Callable[[Any], None]]]):
    """By stage, the bound methods to call, in order; a hook that does nothing there is not called at all.

    Each list is made when its stage is first asked for. Code written for MMCV changes the
    runner's list of hooks directly, so whoever asks compares ``hooks`` with that list first.

    Attributes:
        hooks: Those that the table is of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[Hook] = []

    def follow(self, hooks: list[Hook]) -> None:
        """Look all methods up anew: the hooks are others, or one may have been given a method."""
        self.clear()
        self.hooks = list(hooks)

    def __missing__(self, stage: str) -> list[Callable[[Any], None]]:
        """Look the methods of a stage up.

        Raises:
            HookError: Neither Hook nor any of the hooks has such a method.
        """
        if not hasattr(Hook, stage) and not any(hasattr(hook, stage) for hook in self.hooks):
            raise HookError(f"There is no stage {stage!r}.{suggest(stage, Hook.stages)}")
        bound = (stage_method(hook, stage) for hook in self.hooks)
        found = self[stage] = [method for method in bound if method is not None]
        return found


def inactive_hook_reason(hook: Hook, stages: Iterable[str], modes: Iterable[str]) -> str | None:
    """Say why a hook would never do anything in a run, or None if it may.

    Args:
        hook: One of the run's.
        stages: Those of the runner.
        modes: Of the flows in its workflow.
    """
    own = {name for name in dir(Hook) if _STAGE_LIKE.match(name)}
    others = {*dir(type(hook)), *vars(hook)} - own
    if any(_STAGE_LIKE.match(name) for name in others):  # stages that a runner of one's own may call
        return None
    acts = {stage for stage in (*Hook.stages, *stages) if stage_method(hook, stage) is not None}
    acts -= {"before_run", "after_run"}
    silent = {stage for stage in acts if "_val_" in stage and "val" not in modes}
    if not acts or acts & set(stages) - silent:
        return None
    why = "the workflow has no val flow" if acts == silent else "this runner has no such stage"
    return f"it acts at {', '.join(stage for stage in Hook.stages if stage in acts)} alone, and {why}"


def check_stages(hook: Hook | type[Hook], stages: Sequence[str]) -> None:
    """Refuse a method that looks like a misspelt stage: it would never be called.

    Args:
        hook: About to be registered, or its class.
        stages: The stages that the runner has.

    Raises:
        HookError: Names the method and the stage that it resembles.
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
