"""Apply changed settings to the state of a checkpoint, where the state would override them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cfgtrain.errors import CfgTrainError, CheckpointError
from cfgtrain.experiment.changes import Changes
from cfgtrain.experiment.lr_scaling import lr_factor, scale_lr
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.optim.optimizers import Optimizers
from cfgtrain.parallel.dist import data_rank_and_size
from cfgtrain.runner.hook_configs import hooks_for, optimizer_settings
from cfgtrain.runner.hooks.optimizer import OptimizerHook, scaler_settings

__all__ = ["apply_changes"]

_MOMENTUM = ("momentum", "betas")
# Entries of parameter groups in which schedules keep the values that they began with.
_BASES = {
    "lr": ("initial_lr", "max_lr", "min_lr"),
    **dict.fromkeys(_MOMENTUM, ("initial_momentum", "max_momentum", "base_momentum")),
}


def apply_changes(
    checkpoint: dict[str, Any],
    changes: Changes,
    cfg: Mapping[str, Any],
    model: nn.Module,
    optimizer: Optimizers,
) -> dict[str, Any]:
    """Return a checkpoint whose state has the settings of this run where they were changed.

    What has not changed stays as it is, to the last bit.

    Args:
        checkpoint: Content of the checkpoint that the run resumes from; not changed.
        changes: What the config sets differently.
        cfg: Config of the run, as a dict.
        model: Model of the run.
        optimizer: Its optimizer as the config describes it, before the run is resumed.

    Raises:
        CheckpointError: The optimizer that the checkpoint was saved with cannot be built.
    """
    old = changes.old
    if old is None:
        return checkpoint
    checkpoint = {**checkpoint, "meta": dict(checkpoint["meta"])}
    factors = [lr_factor(each, data_rank_and_size()[1]) for each in (old, cfg)]
    is_rescaled = factors[0] != factors[1]
    touched = is_rescaled or changes.touch("optimizer", "lr_config", "momentum_config")
    if touched and checkpoint.get("optimizer"):
        try:
            before = build_optimizer(model, old["optimizer"])
            scale_lr(before, factors[0])
        except (CfgTrainError, LookupError) as error:
            raise CheckpointError(
                f"optimizer has changed, and that of the checkpoint's config cannot be built to compare them: {error}"
            ) from error
        checkpoint["optimizer"] = _optimizer_state(
            checkpoint["optimizer"], before, optimizer, _scheduled(changes, old, cfg)
        )
    hooks = {name: dict(state) for name, state in checkpoint.get("resume", {}).get("hooks", {}).items()}
    if is_rescaled or changes.touch("optimizer", "lr_config"):
        # The scheduler takes its steps again, with the settings of this run.
        hooks.pop("TorchLrUpdaterHook", None)
    if changes.touch("optimizer_config", "fp16", "precision"):
        _change_loss_scale([*hooks.values(), checkpoint["meta"].get("fp16") or {}], old, cfg)
    _forget_scores(hooks, checkpoint["meta"], changes)
    if "resume" in checkpoint:
        checkpoint["resume"] = {**checkpoint["resume"], "hooks": hooks}
    return checkpoint


def _scheduled(changes: Changes, old: Mapping[str, Any], cfg: Mapping[str, Any]) -> set[str]:
    """Return the entries of parameter groups whose schedule has changed: it begins with the config's values."""
    policies = [str((each.get("lr_config") or {}).get("policy")).lower() for each in (old, cfg)]
    scheduled: set[str] = set()
    if changes.touch("lr_config"):
        scheduled.add("lr")
    if changes.touch("momentum_config") or (changes.touch("lr_config") and "torch" in policies):
        scheduled.update(_MOMENTUM)  # schedulers of PyTorch may change both
    return scheduled


def _optimizer_state(saved: Any, before: Any, now: Any, scheduled: set[str]) -> Any:
    """Return the saved state of an optimizer, or of several by name, for the optimizer of this run."""
    several = [isinstance(each, Mapping) for each in (before, now)]
    if all(several):
        known = [name for name in now if name in before and name in saved]
        return {**saved, **{n: _optimizer_state(saved[n], before[n], now[n], scheduled) for n in known}}
    if any(several) or _sizes(saved) != _sizes(before.state_dict()):
        return saved  # it does not fit, which the runner reports
    # The groups may be others now, so each parameter is found by what it is.
    at = {
        id(parameter): (index, saved_group, group)
        for saved_group, group in zip(saved["param_groups"], before.param_groups, strict=True)
        for index, parameter in zip(saved_group["params"], group["params"], strict=True)
    }
    state, groups, count = {}, [], 0
    for group in now.param_groups:
        indices = list(range(count, count + len(group["params"])))
        count += len(indices)
        settings = {key: value for key, value in group.items() if key != "params"}
        for index, parameter in zip(indices, group["params"], strict=True):
            if id(parameter) not in at:
                continue
            saved_index, saved_group, old_group = at[id(parameter)]
            if saved_index in saved["state"]:
                state[index] = saved["state"][saved_index]
            if index == indices[0]:
                settings = _group_settings(saved_group, old_group, group, scheduled)
        groups.append({**settings, "params": indices})
    return {**saved, "state": state, "param_groups": groups}


def _sizes(state: Mapping[str, Any]) -> list[int]:
    return [len(group["params"]) for group in state["param_groups"]]


def _group_settings(
    saved: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any], scheduled: set[str]
) -> dict[str, Any]:
    """Return the settings of a parameter group: those of the checkpoint, except what has changed."""
    settings = {key: value for key, value in saved.items() if key != "params"}
    for key, value in new.items():
        if key in settings and key != "params" and (value != old.get(key) or key in scheduled):
            settings[key] = value
            for base in _BASES.get(key, ()):
                settings.pop(base, None)
    return settings


def _change_loss_scale(states: list[dict[str, Any]], old: Mapping[str, Any], cfg: Mapping[str, Any]) -> None:
    before, now = _scaler_state(old), _scaler_state(cfg)
    changed = {key: value for key, value in now.items() if before.get(key, value) != value}
    if "scale" in changed:
        changed["_growth_tracker"] = 0
    for state in states:
        if changed and state.get("loss_scaler"):
            state["loss_scaler"] = {**state["loss_scaler"], **changed}


def _scaler_state(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of the loss scale at the start of a run with this config; empty without one."""
    for hook, _ in hooks_for("optimizer_config", optimizer_settings(cfg)):
        if isinstance(hook, OptimizerHook) and hook.loss_scale is not None:
            return torch.amp.GradScaler("cpu", **scaler_settings(hook.loss_scale)).state_dict()
    return {}


def _forget_scores(hooks: dict[str, dict[str, Any]], meta: dict[str, Any], changes: Changes) -> None:
    """Remove best scores that are not comparable with those of this run, because they are of another score."""
    other_best = changes.touch_within("evaluation", "save_best", "rule")
    if other_best:
        messages = meta.get("hook_msgs", {})
        meta["hook_msgs"] = {k: v for k, v in messages.items() if k not in ("best_score", "best_ckpt")}
    if other_best or changes.touch_within("custom_hooks", "monitor", "rule"):
        for name in hooks:
            if name.split("#")[0] == "EarlyStoppingHook":
                hooks[name].update(best=None, waited=0)
    if other_best or changes.touch_within("lr_config", "monitor", "rule", "policy"):
        for name in hooks:
            if name == "ReduceOnPlateauLrUpdaterHook":
                hooks[name].update(best=math.nan, bad=0)
