"""For each stage, the hooks that have something to do there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any

from cfgtrain.errors import HookError, suggest
from cfgtrain.runner.hooks.hook import Hook, stage_method

__all__ = ["RunStopped", "StageTable", "check_stages"]

_STAGE_LIKE = re.compile("(before|after)_")


class RunStopped(Exception):  # it is no error
    """Leaves a run from within; caught where the run began."""


class StageTable:
    """Looks the methods of a stage up once; a hook that does nothing there is not called at all.

    Code written for MMCV changes the runner's list of hooks directly, so the list is
    compared with the one that the table was made for: a few pointers per call.
    """

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._methods: dict[str, list[Callable[[Any], None]]] = {}

    def methods(self, hooks: list[Hook], stage: str) -> list[Callable[[Any], None]]:
        """Return the bound methods to call at ``stage``, in order.

        Raises:
            HookError: Neither Hook nor any of the hooks has such a method.
        """
        if hooks != self._hooks:
            self._hooks, self._methods = list(hooks), {}
        found = self._methods.get(stage)
        if found is None:
            if not hasattr(Hook, stage) and not any(hasattr(hook, stage) for hook in hooks):
                raise HookError(f"There is no stage {stage!r}.{suggest(stage, Hook.stages)}")
            bound = (stage_method(hook, stage) for hook in hooks)
            found = self._methods[stage] = [method for method in bound if method is not None]
        return found

    def forget(self) -> None:
        """Look all methods up anew: a hook may have been given one."""
        self._hooks = []


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
