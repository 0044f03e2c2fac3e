"""Hooks that set learning rates and momenta."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.runner.hooks.schedules.base import *
from cfgtrain.runner.hooks.schedules.plateau import *
from cfgtrain.runner.hooks.schedules.policies import *
from cfgtrain.runner.hooks.schedules.torch_scheduler import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
