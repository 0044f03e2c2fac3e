"""Hooks that write the log of a run."""

from typing import TYPE_CHECKING

from cfgtrain.runner.hooks.loggers import (
    base,
    clearml,
    dvclive,
    mlflow,
    neptune,
    pavi,
    progress,
    segmind,
    tensorboard,
    text,
    tracker,
    wandb,
)
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

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        *base.__all__,
        *clearml.__all__,
        *dvclive.__all__,
        *mlflow.__all__,
        *neptune.__all__,
        *pavi.__all__,
        *progress.__all__,
        *segmind.__all__,
        *tensorboard.__all__,
        *text.__all__,
        *tracker.__all__,
        *wandb.__all__,
    ]
