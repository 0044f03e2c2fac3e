"""Hooks that write the log of a run."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.runner.hooks.loggers.base import *
from cfgtrain.runner.hooks.loggers.progress import *
from cfgtrain.runner.hooks.loggers.text import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
