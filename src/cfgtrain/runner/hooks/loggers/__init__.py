"""Hooks that write the log of a run."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.runner.hooks.loggers.base import *
from cfgtrain.runner.hooks.loggers.clearml import *
from cfgtrain.runner.hooks.loggers.dvclive import *
from cfgtrain.runner.hooks.loggers.mlflow import *
from cfgtrain.runner.hooks.loggers.neptune import *
from cfgtrain.runner.hooks.loggers.pavi import *
from cfgtrain.runner.hooks.loggers.progress import *
from cfgtrain.runner.hooks.loggers.segmind import *
from cfgtrain.runner.hooks.loggers.tensorboard import *
from cfgtrain.runner.hooks.loggers.text import *
from cfgtrain.runner.hooks.loggers.tracker import *
from cfgtrain.runner.hooks.loggers.wandb import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
