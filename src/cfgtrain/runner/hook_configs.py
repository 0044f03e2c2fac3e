"""Build the hooks that the keys of a config describe; see ``cfgtrain.keys``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentTypeError, UnknownNameError
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.keys import HOOK_KEYS, setting
from cfgtrain.origin import location
from cfgtrain.registries import HOOKS
from cfgtrain.registry.registry import missing_key, resolve_cfg
from cfgtrain.runner.hooks.hook import Hook

__all__ = ["PRECISIONS", "hook_cfgs", "hooks_for", "mixed_precision", "optimizer_settings"]

PRECISIONS = {"fp32": None, "bf16": "bfloat16", "fp16": "float16"}


def hooks_for(key: str, cfg: Any, by_epoch: bool = True) -> Iterator[tuple[Hook, Any]]:
    """Build the hooks that a config key describes, each with its priority.

    Args:
        key: One of ``HOOK_KEYS``.
        cfg: Its value: None, a dict, a Hook, or a list of these. Not changed.
        by_epoch: Whether the runner counts epochs.
    """
    offered = {} if by_epoch or not HOOK_KEYS[key].follows_runner else {"by_epoch": False}
    for each, priority in hook_cfgs(key, cfg):
        if isinstance(each, Hook):
            yield each, priority
        else:
            target, _ = resolve_cfg(each, HOOKS)
            hook = HOOKS.build(each, default_args=accepted_args(target, offered))
            if isinstance(hook, Hook):
                hook._configs = (each, cfg)
            yield hook, priority


def hook_cfgs(key: str, cfg: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the configs that ``hooks_for`` builds, each with a ``type``, or Hooks, with their priorities."""
    hook_key = HOOK_KEYS[key]
    default = {"type": hook_key.default_type} if hook_key.default_type else {}
    if cfg is None:
        return
    if hook_key.list_key:
        shared = {"interval": cfg["interval"]} if "interval" in cfg else {}
        for each in cfg.get(hook_key.list_key, [default]):
            check_type(f"Each of the hooks of {key}", each, Mapping, "a dict with a type")
            yield _with_defaults(each, shared), hook_key.priority
        return
    for each in cfg if isinstance(cfg, (list, tuple)) else [cfg]:
        if isinstance(each, Hook):
            yield each, hook_key.priority
        elif not isinstance(each, Mapping):
            raise ArgumentTypeError(f"{key} must be a dict or a Hook, not {each!r}.")
        elif hook_key.policy_suffix and "policy" in each:
            name = _policy_hook(each["policy"], hook_key.policy_suffix, each)
            yield _with_defaults(without(each, "policy"), {"type": name}), hook_key.priority
        elif hook_key.policy_suffix and "type" not in each:
            message = f"{key} needs a policy, such as policy='step', or the type of a hook."
            raise UnknownNameError(message, **missing_key(each, "policy"))
        else:
            yield _with_defaults(without(each, "priority"), default), each.get("priority", hook_key.priority)


def optimizer_settings(cfg: Mapping[str, Any]) -> Any:
    """Return the ``optimizer_config`` of a config, with the settings of its ``precision`` or ``fp16``.

    Configs of MMCV's family enable mixed precision by ``fp16 = dict(loss_scale=512.)``.
    """
    settings = setting(cfg, "optimizer_config")
    if not isinstance(settings, Mapping):
        return settings
    if isinstance(cfg.get("fp16"), Mapping):
        return _with_defaults(settings, {"type": "Fp16OptimizerHook", **cfg["fp16"]})
    half = PRECISIONS.get(str(cfg.get("precision")))
    return settings if half is None else _with_defaults(settings, {"dtype": half})


def mixed_precision(cfg: Mapping[str, Any]) -> str | None:
    """Return the 16-bit dtype that the ``precision`` or ``fp16`` of a config sets, or None.

    A ``dtype`` in ``optimizer_config`` alone does not count: it is that of the training steps only.
    """
    settings = optimizer_settings(cfg)
    if not isinstance(settings, Mapping) or (cfg.get("precision") is None and cfg.get("fp16") is None):
        return None
    default = "float16" if isinstance(cfg.get("fp16"), Mapping) else None  # of Fp16OptimizerHook
    dtype = settings.get("dtype", default)
    return None if dtype is None else str(dtype)


def _with_defaults(cfg: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Return a copy of ``cfg`` with the items of ``defaults`` whose keys it does not have."""
    copied = cfg.copy()  # type: ignore[attr-defined]  # a dict or ConfigDict
    for key, value in defaults.items():
        dict.setdefault(copied, key, value)
    return copied


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
    raise UnknownNameError(
        f"There is no policy {policy!r}; known are {', '.join(sorted(policies))}.",
        near=(str(policy), policies),
        **location(cfg, "policy"),
    )
