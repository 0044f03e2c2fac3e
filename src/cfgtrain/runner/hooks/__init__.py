"""Hooks: what happens at the stages of a run."""

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.hooks.closure import ClosureHook
from cfgtrain.runner.hooks.ema import EMAHook
from cfgtrain.runner.hooks.empty_cache import EmptyCacheHook
from cfgtrain.runner.hooks.evaluation.dist_eval_hook import DistEvalHook
from cfgtrain.runner.hooks.evaluation.early_stopping import EarlyStoppingHook
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.hooks.loggers.text import TextLoggerHook
from cfgtrain.runner.hooks.nan_guard import NaNGuardHook
from cfgtrain.runner.hooks.optimizer import (
    Fp16OptimizerHook,
    GradientCumulativeFp16OptimizerHook,
    GradientCumulativeOptimizerHook,
    OptimizerHook,
)
from cfgtrain.runner.hooks.priority import Priority, get_priority
from cfgtrain.runner.hooks.profiler import ProfilerHook
from cfgtrain.runner.hooks.sampler_seed import DistSamplerSeedHook
from cfgtrain.runner.hooks.schedules.base import LrUpdaterHook, MomentumUpdaterHook, ScheduleHook
from cfgtrain.runner.hooks.schedules.plateau import ReduceOnPlateauLrUpdaterHook
from cfgtrain.runner.hooks.schedules.policies import (
    CosineAnnealingLrUpdaterHook,
    CosineAnnealingMomentumUpdaterHook,
    CosineRestartLrUpdaterHook,
    CyclicLrUpdaterHook,
    CyclicMomentumUpdaterHook,
    ExpLrUpdaterHook,
    FixedLrUpdaterHook,
    FlatCosineAnnealingLrUpdaterHook,
    InvLrUpdaterHook,
    LinearAnnealingLrUpdaterHook,
    LinearAnnealingMomentumUpdaterHook,
    OneCycleLrUpdaterHook,
    OneCycleMomentumUpdaterHook,
    PolyLrUpdaterHook,
    StepLrUpdaterHook,
    StepMomentumUpdaterHook,
)
from cfgtrain.runner.hooks.schedules.torch_scheduler import TorchLrUpdaterHook
from cfgtrain.runner.hooks.sync_buffers import SyncBuffersHook
from cfgtrain.runner.hooks.timer import IterTimerHook

__all__ = [
    "EMAHook",
    "EarlyStoppingHook",
    "NaNGuardHook",
    "ProfilerHook",
    "ClosureHook",
    "DistEvalHook",
    "DistSamplerSeedHook",
    "EmptyCacheHook",
    "SyncBuffersHook",
    "HOOKS",
    "CheckpointHook",
    "CosineAnnealingLrUpdaterHook",
    "CosineAnnealingMomentumUpdaterHook",
    "CosineRestartLrUpdaterHook",
    "CyclicLrUpdaterHook",
    "CyclicMomentumUpdaterHook",
    "EvalHook",
    "ExpLrUpdaterHook",
    "FixedLrUpdaterHook",
    "FlatCosineAnnealingLrUpdaterHook",
    "Fp16OptimizerHook",
    "GradientCumulativeFp16OptimizerHook",
    "GradientCumulativeOptimizerHook",
    "Hook",
    "InvLrUpdaterHook",
    "IterTimerHook",
    "LinearAnnealingLrUpdaterHook",
    "LinearAnnealingMomentumUpdaterHook",
    "LoggerHook",
    "LrUpdaterHook",
    "MomentumUpdaterHook",
    "OneCycleLrUpdaterHook",
    "OneCycleMomentumUpdaterHook",
    "OptimizerHook",
    "PolyLrUpdaterHook",
    "Priority",
    "ProgressHook",
    "ReduceOnPlateauLrUpdaterHook",
    "ScheduleHook",
    "StepLrUpdaterHook",
    "StepMomentumUpdaterHook",
    "TextLoggerHook",
    "TorchLrUpdaterHook",
    "get_priority",
]
