"""How hooks get into a runner: one by one, from configs, or all those of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.errors import HookError
from cfgtrain.registries import HOOKS
from cfgtrain.runner import hook_configs
from cfgtrain.runner.hooks.hook import STAGES, Hook, stage_method
from cfgtrain.runner.hooks.priority import Priority, get_priority
from cfgtrain.runner.stages import check_stages

__all__ = ["HookRegistration"]


class HookRegistration:
    """The list of hooks of a runner and the methods that fill it.

    Attributes:
        by_epoch: Whether the runner counts in epochs; hooks do as it does unless told otherwise.
        stages: At which the runner calls its hooks, in order.
    """

    by_epoch = True
    stages: tuple[str, ...] = STAGES

    def __init__(self) -> None:
        self._hooks: list[Hook] = []

    @property
    def hooks(self) -> list[Hook]:
        """The hooks, in the order in which they run."""
        return self._hooks

    def register_hook(self, hook: Hook, priority: int | str | Priority | None = None) -> None:
        """Add a hook, after those of the same priority; by default that of its class, mostly NORMAL.

        Raises:
            HookError: It is no Hook, is registered already, or has a misspelt stage.
        """
        if not isinstance(hook, Hook):
            raise HookError(f"A hook is a Hook, not {hook!r}.")
        if hasattr(hook, "priority"):
            raise HookError(
                f"{type(hook).__name__} is registered already, or has an attribute 'priority' of its own."
            )
        check_stages(hook, self._known_stages())
        value = hook.priority = get_priority(hook.default_priority if priority is None else priority)  # type: ignore[attr-defined]  # marks it as registered
        index = len(self._hooks)
        while index and self._hooks[index - 1].priority > value:  # type: ignore[attr-defined]  # likewise
            index -= 1
        self._hooks.insert(index, hook)

    def register_hook_from_cfg(self, hook_cfg: Mapping[str, Any]) -> None:
        """Build a hook from its config, which may hold a ``priority``, and add it."""
        cfg = hook_configs.without(hook_cfg, "priority")
        self.register_hook(HOOKS.build(cfg), hook_cfg.get("priority"))

    def register_config_hooks(self, key: str, cfg: Any) -> None:
        """Add the hooks that the config key ``key`` stands for; see ``hook_configs.HOOK_KEYS``."""
        for hook, priority in hook_configs.hooks_for(key, cfg, self.by_epoch):
            self.register_hook(hook, priority)

    def register_lr_hook(self, lr_config: Any) -> None:
        """Add the hook for ``lr_config``: a dict with ``policy``, a Hook or None."""
        self.register_config_hooks("lr_config", lr_config)

    def register_momentum_hook(self, momentum_config: Any) -> None:
        """Add the hook for ``momentum_config``: a dict with ``policy``, a Hook or None."""
        self.register_config_hooks("momentum_config", momentum_config)

    def register_optimizer_hook(self, optimizer_config: Any) -> None:
        """Add the hook for ``optimizer_config``: a dict, a Hook or None."""
        self.register_config_hooks("optimizer_config", optimizer_config)

    def register_checkpoint_hook(self, checkpoint_config: Any) -> None:
        """Add the hook for ``checkpoint_config``: a dict, a Hook or None."""
        self.register_config_hooks("checkpoint_config", checkpoint_config)

    def register_timer_hook(self, timer_config: Any) -> None:
        """Add the hook for ``timer_config``: a dict, a Hook or None."""
        self.register_config_hooks("timer_config", timer_config)

    def register_logger_hooks(self, log_config: Any) -> None:
        """Add the hooks of ``log_config``: ``dict(interval=..., hooks=[...])``, without ``hooks`` a TextLoggerHook, or None."""
        self.register_config_hooks("log_config", log_config)

    def register_profiler_hook(self, profiler_config: Any) -> None:
        """Add the hook for ``profiler_config``: a dict, a Hook or None."""
        self.register_config_hooks("profiler_config", profiler_config)

    def register_custom_hooks(self, custom_hooks: Any) -> None:
        """Add hooks of one's own: a dict or Hook, a list of them, or None."""
        self.register_config_hooks("custom_hooks", custom_hooks)

    def register_training_hooks(
        self,
        lr_config: Any,
        optimizer_config: Any = None,
        checkpoint_config: Any = None,
        log_config: Any = None,
        momentum_config: Any = None,
        timer_config: Any = hook_configs.DEFAULT_TIMER,
        custom_hooks_config: Any = None,
    ) -> None:
        """Add all hooks of a training but the profiler, in MMCV's order; no config is changed."""
        self.register_lr_hook(lr_config)
        self.register_momentum_hook(momentum_config)
        self.register_optimizer_hook(optimizer_config)
        self.register_checkpoint_hook(checkpoint_config)
        self.register_timer_hook(timer_config)
        self.register_logger_hooks(log_config)
        self.register_custom_hooks(custom_hooks_config)

    def _known_stages(self) -> list[str]:
        """Return the stages that a hook may have a method for: also those of flows of the runner's own."""
        own = (cls for cls in type(self).__mro__ if not cls.__module__.startswith("cfgtrain."))
        flows = {name for cls in own for name in vars(cls) if not name.startswith("_")}
        return [*STAGES, *(f"{at}_{flow}_{what}" for flow in flows for at in _WHEN for what in _WHAT)]

    def get_hook_info(self) -> str:
        """Return a table of the stages and of the hooks that do something there."""
        blocks = []
        for stage in self.stages:
            rows = [hook for hook in self.hooks if stage_method(hook, stage) is not None]
            if rows:
                lines = [f"({_priority_name(hook):<12}) {type(hook).__name__:<35}" for hook in rows]
                blocks.append("\n".join([f"{stage}:", *lines, " " + "-" * 20 + " "]))
        return "\n".join(blocks)


_WHEN, _WHAT = ("before", "after"), ("epoch", "iter")


def _priority_name(hook: Hook) -> str:
    value = hook.priority  # type: ignore[attr-defined]  # set when it was registered
    return next((p.name for p in Priority if p.value == value), str(value))
