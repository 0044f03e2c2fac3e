"""Call a function at one stage of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfgtrain.errors import ArgumentError, UnknownNameError
from cfgtrain.introspection.imports import import_object
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import GENERIC_STAGES, STAGES, Hook

__all__ = ["ClosureHook"]


@HOOKS.register_module()
class ClosureHook(Hook):
    """Calls a function at one stage, for tasks that do not need a class.

    Args:
        fn_name: The stage, such as ``"after_train_epoch"``.
        fn: ``(runner) -> None``, or its import path, as in a config: ``"shop.parts.announce"``.

    Raises:
        ArgumentError: There is no such stage, or ``fn`` is not callable.
        UnknownNameError: The import path does not exist.
    """

    def __init__(self, fn_name: str, fn: Callable[[Any], None] | str) -> None:
        if fn_name not in _STAGES:
            message = f"There is no stage {fn_name!r} for a function."
            raise ArgumentError(message, near=(str(fn_name), _STAGES), argument="fn_name")
        found = import_object(fn) if isinstance(fn, str) else fn
        if found is None:
            raise UnknownNameError(f"There is nothing to import at {fn!r}.")
        if not callable(found):
            raise ArgumentError(f"A function is called at {fn_name}, not {found!r}.", argument="fn")
        setattr(self, fn_name, found)


_STAGES = (*STAGES, *GENERIC_STAGES)
