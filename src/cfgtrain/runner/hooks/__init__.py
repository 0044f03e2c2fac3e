"""Hooks: what happens at the stages of a run."""

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.hooks.evaluation import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.logger import LoggerHook
from cfgtrain.runner.hooks.optimizer import GradientCumulativeOptimizerHook, OptimizerHook
from cfgtrain.runner.hooks.priority import Priority, get_priority
from cfgtrain.runner.hooks.progress import ProgressHook
from cfgtrain.runner.hooks.schedule import (
    CosineAnnealingLrUpdaterHook,
    CosineAnnealingMomentumUpdaterHook,
    FixedLrUpdaterHook,
    LrUpdaterHook,
    MomentumUpdaterHook,
    ScheduleHook,
    StepLrUpdaterHook,
    StepMomentumUpdaterHook,
)
from cfgtrain.runner.hooks.text_logger import TextLoggerHook
from cfgtrain.runner.hooks.timer import IterTimerHook

__all__ = [
    "HOOKS",
    "CheckpointHook",
    "CosineAnnealingLrUpdaterHook",
    "CosineAnnealingMomentumUpdaterHook",
    "EvalHook",
    "FixedLrUpdaterHook",
    "GradientCumulativeOptimizerHook",
    "Hook",
    "IterTimerHook",
    "LoggerHook",
    "LrUpdaterHook",
    "MomentumUpdaterHook",
    "OptimizerHook",
    "Priority",
    "ProgressHook",
    "ScheduleHook",
    "StepLrUpdaterHook",
    "StepMomentumUpdaterHook",
    "TextLoggerHook",
    "get_priority",
]
