"""Hooks: what happens at the stages of a run."""

from typing import TYPE_CHECKING

from cfgtrain.registries import HOOKS as HOOKS
from cfgtrain.runner.hooks import (
    checkpoint,
    closure,
    ema,
    empty_cache,
    evaluation,
    hook,
    loggers,
    nan_guard,
    optimizer,
    priority,
    profiler,
    sampler_seed,
    schedules,
    sync_buffers,
    timer,
)
from cfgtrain.runner.hooks.checkpoint import *
from cfgtrain.runner.hooks.closure import *
from cfgtrain.runner.hooks.ema import *
from cfgtrain.runner.hooks.empty_cache import *
from cfgtrain.runner.hooks.evaluation import *
from cfgtrain.runner.hooks.hook import *
from cfgtrain.runner.hooks.loggers import *
from cfgtrain.runner.hooks.nan_guard import *
from cfgtrain.runner.hooks.optimizer import *
from cfgtrain.runner.hooks.priority import *
from cfgtrain.runner.hooks.profiler import *
from cfgtrain.runner.hooks.sampler_seed import *
from cfgtrain.runner.hooks.schedules import *
from cfgtrain.runner.hooks.sync_buffers import *
from cfgtrain.runner.hooks.timer import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        "HOOKS",
        *checkpoint.__all__,
        *closure.__all__,
        *ema.__all__,
        *empty_cache.__all__,
        *evaluation.__all__,
        *hook.__all__,
        *loggers.__all__,
        *nan_guard.__all__,
        *optimizer.__all__,
        *priority.__all__,
        *profiler.__all__,
        *sampler_seed.__all__,
        *schedules.__all__,
        *sync_buffers.__all__,
        *timer.__all__,
    ]
