"""Hooks that set learning rates and momenta."""

from typing import TYPE_CHECKING

from cfgtrain.runner.hooks.schedules import base, plateau, policies, torch_scheduler
from cfgtrain.runner.hooks.schedules.base import *
from cfgtrain.runner.hooks.schedules.plateau import *
from cfgtrain.runner.hooks.schedules.policies import *
from cfgtrain.runner.hooks.schedules.torch_scheduler import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*base.__all__, *plateau.__all__, *policies.__all__, *torch_scheduler.__all__]
