"""Runners, and the hooks that give them something to do."""

from cfgtrain.checkpoint import load_checkpoint, load_state_dict, save_checkpoint, weights_to_cpu
from cfgtrain.optim import OPTIMIZERS, build_optimizer
from cfgtrain.random_state import set_random_seed
from cfgtrain.registries import HOOKS, RUNNERS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.epoch_based import EpochBasedRunner
from cfgtrain.runner.hooks import (
    CheckpointHook,
    CosineAnnealingLrUpdaterHook,
    CosineAnnealingMomentumUpdaterHook,
    EvalHook,
    FixedLrUpdaterHook,
    GradientCumulativeOptimizerHook,
    Hook,
    IterTimerHook,
    LoggerHook,
    LrUpdaterHook,
    MomentumUpdaterHook,
    OptimizerHook,
    Priority,
    ProgressHook,
    ScheduleHook,
    StepLrUpdaterHook,
    StepMomentumUpdaterHook,
    TextLoggerHook,
    get_priority,
)
from cfgtrain.runner.iter_based import IterBasedRunner, IterLoader
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.protocol import RunnerView

__all__ = [
    "HOOKS",
    "OPTIMIZERS",
    "RUNNERS",
    "BaseRunner",
    "CheckpointHook",
    "CosineAnnealingLrUpdaterHook",
    "CosineAnnealingMomentumUpdaterHook",
    "EpochBasedRunner",
    "EvalHook",
    "FixedLrUpdaterHook",
    "GradientCumulativeOptimizerHook",
    "Hook",
    "IterBasedRunner",
    "IterLoader",
    "IterTimerHook",
    "LogBuffer",
    "LoggerHook",
    "LrUpdaterHook",
    "MomentumUpdaterHook",
    "OptimizerHook",
    "Priority",
    "ProgressHook",
    "RunnerView",
    "ScheduleHook",
    "StepLrUpdaterHook",
    "StepMomentumUpdaterHook",
    "TextLoggerHook",
    "build_optimizer",
    "build_runner",
    "get_priority",
    "load_checkpoint",
    "load_state_dict",
    "save_checkpoint",
    "set_random_seed",
    "weights_to_cpu",
]
