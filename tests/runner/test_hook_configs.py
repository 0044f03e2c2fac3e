from __future__ import annotations

import copy
from typing import Any

import pytest
from tiny import make_runner

from cfgtrain.config import ConfigDict
from cfgtrain.errors import BuildError, UnknownNameError
from cfgtrain.runner import hook_configs

POLICIES = [
    ("lr_config", "fixed", {}, "FixedLrUpdaterHook"),
    ("lr_config", "Step", {"step": 1}, "StepLrUpdaterHook"),
    ("lr_config", "step", {"step": 1}, "StepLrUpdaterHook"),
    ("lr_config", "CosineAnnealing", {"min_lr": 0}, "CosineAnnealingLrUpdaterHook"),
    ("lr_config", "cosineannealing", {"min_lr": 0}, "CosineAnnealingLrUpdaterHook"),
    ("lr_config", "COSINEANNEALING", {"min_lr": 0}, "CosineAnnealingLrUpdaterHook"),
    ("momentum_config", "step", {"step": 1}, "StepMomentumUpdaterHook"),
    ("momentum_config", "cosineAnnealing", {"min_momentum": 0}, "CosineAnnealingMomentumUpdaterHook"),
]


@pytest.mark.parametrize(("key", "policy", "args", "name"), POLICIES)
def test_policy_names_a_hook_in_any_case(key: str, policy: str, args: dict[str, Any], name: str) -> None:
    """The policy of a schedule is found in upper or lower case."""
    ((hook, _),) = hook_configs.hooks_for(key, {"policy": policy, **args})
    assert type(hook).__name__ == name


def test_unknown_policy_is_refused() -> None:
    """An unknown policy is an error that lists the known ones and suggests the nearest."""
    with pytest.raises(
        UnknownNameError, match=r"no policy 'stpe'.*CosineAnnealing, .*Fixed, .*Step.*Did you mean 'Step'"
    ):
        list(hook_configs.hooks_for("lr_config", {"policy": "stpe", "step": 1}))


def test_policy_is_a_str() -> None:
    """A policy that is not a str is refused."""
    with pytest.raises(UnknownNameError, match="no policy 3"):
        list(hook_configs.hooks_for("lr_config", {"policy": 3}))


def test_schedule_needs_a_policy() -> None:
    """A config without ``policy`` or ``type`` is an error."""
    with pytest.raises(KeyError, match="type"):
        list(hook_configs.hooks_for("lr_config", {"step": 1}))


def test_schedule_may_name_its_type() -> None:
    """``type`` can be given instead of ``policy``."""
    ((hook, priority),) = hook_configs.hooks_for("lr_config", {"type": "FixedLrUpdaterHook"})
    assert (type(hook).__name__, priority) == ("FixedLrUpdaterHook", "VERY_HIGH")


CONFIGS: dict[str, Any] = {
    "lr_config": {"policy": "step", "step": [1, 2]},
    "momentum_config": {"policy": "step", "step": 1},
    "optimizer_config": {"grad_clip": {"max_norm": 1}, "priority": 3},
    "checkpoint_config": {"interval": 2},
    "timer_config": {"type": "IterTimerHook"},
    "log_config": {
        "interval": 3,
        "hooks": [{"type": "TextLoggerHook"}, {"type": "TextLoggerHook", "interval": 7}],
    },
    "custom_hooks": [{"type": "IterTimerHook", "priority": "LOWEST"}],
}


@pytest.mark.parametrize("make", [dict, ConfigDict])
@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize("key", CONFIGS)
def test_config_is_never_changed(key: str, kind: str, make: Any) -> None:
    """Building hooks does not change the configs."""
    cfg = ConfigDict(CONFIGS)[key] if make is ConfigDict else copy.deepcopy(CONFIGS[key])
    before = copy.deepcopy(cfg)
    for _ in range(2):
        make_runner(kind, 1).register_config_hooks(key, cfg)
    assert cfg == before


def test_interval_is_the_default_of_the_loggers() -> None:
    """``interval`` of ``log_config`` applies to each logger without one."""
    hooks = [hook for hook, _ in hook_configs.hooks_for("log_config", CONFIGS["log_config"])]
    assert [hook.interval for hook in hooks] == [3, 7]


def test_text_log_is_the_default() -> None:
    """A ``log_config`` without ``hooks`` uses the default hooks; an empty list of them logs nothing."""
    ((hook, priority),) = hook_configs.hooks_for("log_config", {"interval": 3})
    assert (type(hook).__name__, hook.interval, priority) == ("TextLoggerHook", 3, "VERY_LOW")
    assert not list(hook_configs.hooks_for("log_config", {"interval": 3, "hooks": []}))


@pytest.mark.parametrize("key", ["lr_config", "momentum_config", "checkpoint_config", "log_config"])
@pytest.mark.parametrize("by_epoch", [True, False])
def test_hooks_count_in_the_unit_of_the_runner(key: str, by_epoch: bool) -> None:
    """Schedules, checkpoints and loggers of an iteration runner count iterations."""
    hooks = [hook for hook, _ in hook_configs.hooks_for(key, CONFIGS[key], by_epoch)]
    assert {hook.by_epoch for hook in hooks} == {by_epoch}


def test_by_epoch_can_be_set() -> None:
    """``by_epoch`` of a config takes precedence over the runner."""
    ((hook, _),) = hook_configs.hooks_for("checkpoint_config", {"by_epoch": True}, by_epoch=False)
    assert hook.by_epoch is True


def test_default_types() -> None:
    """Optimizer, checkpoint and timer configs need no ``type``."""
    types = {
        key: [type(hook).__name__ for hook, _ in hook_configs.hooks_for(key, {})]
        for key in ("optimizer_config", "checkpoint_config", "timer_config")
    }
    assert types == {
        "optimizer_config": ["OptimizerHook"],
        "checkpoint_config": ["CheckpointHook"],
        "timer_config": ["IterTimerHook"],
    }


def test_priority_can_be_set() -> None:
    """A config can change the priority of its hook."""
    assert [priority for _, priority in hook_configs.hooks_for("optimizer_config", {"priority": 3})] == [3]


@pytest.mark.parametrize("key", ["lr_config", "optimizer_config", "custom_hooks"])
def test_other_values_are_refused(key: str) -> None:
    """A value that is neither a dict nor a Hook is a TypeError that names the key."""
    with pytest.raises(TypeError, match=f"{key} must be a dict or a Hook, not 'step'"):
        list(hook_configs.hooks_for(key, ["step"]))


def test_wrong_argument_is_named_with_its_place() -> None:
    """An unknown argument is an error with its origin and a suggestion."""
    with pytest.raises(BuildError, match=r"no argument 'intervall'. Did you mean 'interval'"):
        list(hook_configs.hooks_for("checkpoint_config", {"intervall": 1}))


@pytest.mark.parametrize(
    ("cfg", "settings"),
    [
        ({}, {}),
        ({"optimizer_config": None, "fp16": {"loss_scale": 8.0}}, None),
        ({"precision": "bf16"}, {"dtype": "bfloat16"}),
        (
            {"precision": "fp16", "optimizer_config": {"loss_scale": 8.0}},
            {"dtype": "float16", "loss_scale": 8.0},
        ),
        ({"precision": "fp32"}, {}),
        ({"optimizer_config": None, "precision": "fp32"}, None),
        ({"fp16": {"loss_scale": 8.0}}, {"type": "Fp16OptimizerHook", "loss_scale": 8.0}),
        (
            {
                "fp16": {},
                "optimizer_config": {"type": "GradientCumulativeFp16OptimizerHook", "cumulative_iters": 2},
            },
            {"type": "GradientCumulativeFp16OptimizerHook", "cumulative_iters": 2},
        ),
    ],
)
def test_precision_of_a_config(cfg: dict[str, Any], settings: Any) -> None:
    """``fp16`` or ``precision`` next to ``optimizer_config`` enables mixed precision, and neither is changed."""
    before = repr(cfg)
    assert hook_configs.optimizer_settings(cfg) == settings
    assert repr(cfg) == before


@pytest.mark.parametrize(
    ("cfg", "dtype"),
    [
        ({}, None),
        ({"precision": "fp32"}, None),
        ({"precision": "bf16"}, "bfloat16"),
        ({"fp16": {}}, "float16"),
        ({"fp16": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"fp16": {}, "optimizer_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"optimizer_config": {"dtype": "bfloat16"}}, None),
        ({"optimizer_config": None, "fp16": {}}, None),
    ],
)
def test_precision_of_evaluations(cfg: dict[str, Any], dtype: str | None) -> None:
    """That of the training steps, if ``precision`` or ``fp16`` sets it."""
    assert hook_configs.mixed_precision(cfg) == dtype
