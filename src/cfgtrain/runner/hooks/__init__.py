"""Hooks: what happens at the stages of a run."""

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.adaptive import ReduceOnPlateauLrUpdaterHook, TorchLrUpdaterHook
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.hooks.dist_evaluation import DistEvalHook
from cfgtrain.runner.hooks.early_stopping import EarlyStoppingHook
from cfgtrain.runner.hooks.ema import EMAHook
from cfgtrain.runner.hooks.evaluation import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.logger import LoggerHook
from cfgtrain.runner.hooks.nan_guard import NaNGuardHook
from cfgtrain.runner.hooks.optimizer import (
    Fp16OptimizerHook,
    GradientCumulativeFp16OptimizerHook,
    GradientCumulativeOptimizerHook,
    OptimizerHook,
)
from cfgtrain.runner.hooks.policies import (
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
from cfgtrain.runner.hooks.priority import Priority, get_priority
from cfgtrain.runner.hooks.profiler import ProfilerHook
from cfgtrain.runner.hooks.progress import ProgressHook
from cfgtrain.runner.hooks.schedule import (
    LrUpdaterHook,
    MomentumUpdaterHook,
    ScheduleHook,
)
from cfgtrain.runner.hooks.text_logger import TextLoggerHook
from cfgtrain.runner.hooks.timer import IterTimerHook
from cfgtrain.runner.hooks.upkeep import ClosureHook, DistSamplerSeedHook, EmptyCacheHook, SyncBuffersHook

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
