"""The hooks of a runner, in order, and the methods that they have for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cfgtrain.errors import HookError
from cfgtrain.runner.hooks.hook import Hook, stage_method
from cfgtrain.runner.hooks.priority import Priority, get_priority
from cfgtrain.runner.stages import check_stages

__all__ = ["HookList"]


class HookList:
    """Hooks ordered by priority, with a table of the methods to call at each stage.

    Attributes:
        hooks: The hooks in the order in which they run. Code written for MMCV changes this list
            directly, so ``methods`` checks whether the table was made for the current list.
        step_contexts: The ``step_context`` methods of the hooks that override it.
    """

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.step_contexts: list[Callable[..., Any]] = []
        self._methods: dict[str, list[Callable[..., Any]]] = {}
        self._hooks_of_table: list[Hook] = []

    def register(
        self, hook: Hook, priority: int | str | Priority | None, known_stages: Sequence[str]
    ) -> None:
        """Add a hook after those of the same priority.

        Args:
            hook: The hook.
            priority: Its priority; None is the default of its class, mostly NORMAL.
            known_stages: The stages that the hook may have methods for.

        Raises:
            HookError: It is not a Hook, is registered already, or has a misspelt stage.
        """
        if not isinstance(hook, Hook):
            raise HookError(f"A hook must be a Hook, not {hook!r}.")
        if hasattr(hook, "priority"):
            raise HookError(
                f"{type(hook).__name__} is registered already, or has its own attribute 'priority'."
            )
        check_stages(hook, known_stages)
        value = hook.priority = get_priority(hook.default_priority if priority is None else priority)  # type: ignore[attr-defined]  # marks it as registered
        index = len(self.hooks)
        while index and self.hooks[index - 1].priority > value:  # type: ignore[attr-defined]  # likewise
            index -= 1
        self.hooks.insert(index, hook)

    def methods(self, stage: str) -> list[Callable[..., Any]]:
        """Return the bound methods for a stage, or another method of Hook, in order.

        Hooks that do not override the method are left out.

        Raises:
            HookError: Neither Hook nor any of the hooks has such a method.
        """
        if self._hooks_of_table != self.hooks:
            self.refresh()
        try:
            return self._methods[stage]
        except KeyError:
            if not hasattr(Hook, stage) and not any(hasattr(hook, stage) for hook in self.hooks):
                raise HookError(f"There is no stage {stage!r}.", near=(stage, list(Hook.stages))) from None
            return self._methods.setdefault(stage, self._find(stage))

    def methods_of(self, hooks: Iterable[Hook], stage: str) -> list[Callable[..., Any]]:
        """Return the bound methods of some hooks for a stage, in their order."""
        found = (stage_method(hook, stage) for hook in hooks)
        return [method for method in found if method is not None]

    def owner(self, stage: str, method: Callable[..., Any]) -> Hook | None:
        """Return the hook that a method from ``methods`` belongs to, or None if it was removed since."""
        return next((hook for hook in self.hooks if stage_method(hook, stage) == method), None)

    def refresh(self) -> None:
        """Look up all methods again: the list has changed, or a hook may have been given a method."""
        self._hooks_of_table = list(self.hooks)
        self._methods.clear()
        self.step_contexts = self._find("step_context")

    def _find(self, stage: str) -> list[Callable[..., Any]]:
        return self.methods_of(self.hooks, stage)

    def get_hook_info(self, stages: Iterable[str]) -> str:
        """Return a table of the hooks that do something at each of ``stages``."""
        blocks = []
        for stage in stages:
            rows = [hook for hook in self.hooks if stage_method(hook, stage) is not None]
            if rows:
                lines = [f"({_priority_name(hook):<12}) {type(hook).__name__:<35}" for hook in rows]
                blocks.append("\n".join([f"{stage}:", *lines, " " + "-" * 20 + " "]))
        return "\n".join(blocks)


def _priority_name(hook: Hook) -> str:
    value = hook.priority  # type: ignore[attr-defined]  # set when it was registered
    return next((p.name for p in Priority if p.value == value), str(value))
