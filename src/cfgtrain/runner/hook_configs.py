"""From the hook keys of a config to hooks and priorities: the one table that says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cfgtrain.errors import ArgumentTypeError, UnknownNameError
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.origin import describe
from cfgtrain.registries import HOOKS
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.suggestions import suggest

__all__ = ["DEFAULT_TIMER", "HOOK_KEYS", "HookKey", "hook_cfgs", "hooks_for", "optimizer_settings", "without"]


class HookKey(NamedTuple):
    """What one key of a config stands for.

    Attributes:
        priority: Of its hooks, unless a custom hook says otherwise; None: that of their class.
        default_type: Hook that is built when the config has no ``type``.
        policy_suffix: Ends the name of the hook that ``policy`` begins, as in ``StepLrUpdaterHook``.
    """

    priority: str | None
    default_type: str | None = None
    policy_suffix: str | None = None


# In the order in which a training adds them: hooks of one priority run in it.
HOOK_KEYS = {
    "lr_config": HookKey("VERY_HIGH", policy_suffix="LrUpdaterHook"),
    "momentum_config": HookKey("HIGH", policy_suffix="MomentumUpdaterHook"),
    "optimizer_config": HookKey("ABOVE_NORMAL", "OptimizerHook"),
    "checkpoint_config": HookKey("NORMAL", "CheckpointHook"),
    "timer_config": HookKey("LOW", "IterTimerHook"),
    "log_config": HookKey("VERY_LOW"),
    "custom_hooks": HookKey(None),
    "profiler_config": HookKey("NORMAL", "ProfilerHook"),
}

DEFAULT_TIMER = {"type": "IterTimerHook"}
DEFAULT_LOGGERS = ({"type": "TextLoggerHook"},)


# Keys whose hooks count in what the runner counts in, unless they say otherwise.
FOLLOWS_RUNNER = ("lr_config", "momentum_config", "checkpoint_config", "log_config", "profiler_config")


def hooks_for(key: str, cfg: Any, by_epoch: bool = True) -> Iterator[tuple[Hook, Any]]:
    """Build the hooks that a config key stands for, each with its priority.

    Args:
        key: One of ``HOOK_KEYS``.
        cfg: Its value: None, a dict, a ready hook, or a list of these. Not changed.
        by_epoch: Whether the runner counts in epochs.
    """
    offered = {} if by_epoch or key not in FOLLOWS_RUNNER else {"by_epoch": False}
    for each, priority in hook_cfgs(key, cfg):
        if isinstance(each, Hook):
            yield each, priority
        else:
            target, _ = resolve_cfg(each, HOOKS)
            yield HOOKS.build(each, default_args=accepted_args(target, offered)), priority


def hook_cfgs(key: str, cfg: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what ``hooks_for`` builds from: configs with a ``type``, or ready hooks, with priorities."""
    hook_key = HOOK_KEYS[key]
    if cfg is None:
        return
    if key == "log_config":
        for each in cfg.get("hooks", DEFAULT_LOGGERS):
            if not isinstance(each, Mapping):
                raise ArgumentTypeError(f"The hooks of log_config are dicts with a type, not {each!r}.")
            yield _with(each, {"interval": cfg["interval"]} if "interval" in cfg else {}), hook_key.priority
        return
    for each in cfg if isinstance(cfg, (list, tuple)) else [cfg]:
        if isinstance(each, Hook):
            yield each, hook_key.priority
        elif not isinstance(each, Mapping):
            raise ArgumentTypeError(f"{key} is a dict or a Hook, not {each!r}.")
        elif hook_key.policy_suffix and "policy" in each:
            name = _policy_hook(each["policy"], hook_key.policy_suffix, each)
            yield _with(without(each, "policy"), {"type": name}), hook_key.priority
        else:
            default = {"type": hook_key.default_type} if hook_key.default_type else {}
            yield _with(without(each, "priority"), default), each.get("priority", hook_key.priority)


def optimizer_settings(cfg: Mapping[str, Any]) -> Any:
    """Return the ``optimizer_config`` of a config, with what its ``fp16`` adds.

    ``fp16 = dict(loss_scale=512.)`` is how configs of MMCV's family ask for mixed precision.
    """
    settings = cfg.get("optimizer_config", {})
    fp16 = cfg.get("fp16")
    if not isinstance(fp16, Mapping) or not isinstance(settings, Mapping):
        return settings
    return _with(settings, {"type": "Fp16OptimizerHook", **fp16})


def without(cfg: Mapping[str, Any], key: str) -> Any:
    """Return a copy of ``cfg`` without ``key``, which knows its place as ``cfg`` does."""
    twin = cfg.copy()  # type: ignore[attr-defined]  # a dict or ConfigDict
    twin.pop(key, None)
    return twin


def _with(cfg: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    twin = cfg.copy()  # type: ignore[attr-defined]  # a dict or ConfigDict
    for key, value in defaults.items():
        dict.setdefault(twin, key, value)
    return twin


def _policy_hook(policy: Any, suffix: str, cfg: Mapping[str, Any]) -> str:
    """Return the name of a policy's hook; case does not matter."""
    if isinstance(policy, str):
        HOOKS.get("Hook")  # fills the registry
        by_lower = {name.lower(): name for name in HOOKS if name.endswith(suffix)}
        found = by_lower.get((policy + suffix).lower())
        if found is not None:
            return found
        policies = [name.removesuffix(suffix) for name in by_lower.values()]
        if "." in policy:
            return policy
    else:
        policies = []
    place = describe(cfg, "policy")
    raise UnknownNameError(
        f"There is no policy {policy!r}; known are {', '.join(sorted(policies))}.{suggest(str(policy), policies)}"
        + (f"\n  at {place}" if place else "")
    )
