"""Layers, networks, weight initialization, and tools for whole models."""

import typing

from cfgtrain.cnn.alexnet import *
from cfgtrain.cnn.bricks import *
from cfgtrain.cnn.builder import *
from cfgtrain.cnn.init import *
from cfgtrain.cnn.lenet import *
from cfgtrain.cnn.module import *
from cfgtrain.cnn.resnet import *
from cfgtrain.cnn.tools import *
from cfgtrain.cnn.vgg import *
from cfgtrain.cnn.vit import *
from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.registries import MODELS as MODELS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
