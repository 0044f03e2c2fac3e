"""Models that a runner can train: they have ``train_step`` and ``val_step``."""

import typing

from cfgtrain.cnn.lenet import LeNet5 as LeNet5
from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.models.classifier import *
from cfgtrain.models.heads import *
from cfgtrain.models.losses import *
from cfgtrain.models.supervised import *
from cfgtrain.models.transformer import *
from cfgtrain.registries import MODELS as MODELS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
