"""Hooks that write the log of a run."""

from typing import TYPE_CHECKING

from cfgtrain.runner.hooks.loggers import base, progress, text
from cfgtrain.runner.hooks.loggers.base import *
from cfgtrain.runner.hooks.loggers.progress import *
from cfgtrain.runner.hooks.loggers.text import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*base.__all__, *progress.__all__, *text.__all__]
