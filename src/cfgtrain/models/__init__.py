"""Models that a runner can train: they have ``train_step`` and ``val_step``."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.lenet import LeNet5 as LeNet5
from cfgtrain.models import classifier
from cfgtrain.models.classifier import *
from cfgtrain.registries import MODELS as MODELS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = ["LeNet5", "MODELS", *classifier.__all__]
