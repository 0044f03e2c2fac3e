"""Hooks: what happens at the stages of a run."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.registries import HOOKS as HOOKS
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

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
