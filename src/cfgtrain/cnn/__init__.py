"""Building blocks of networks, small networks, and weight initialization."""

from typing import TYPE_CHECKING

from cfgtrain.cnn import bricks, builder, init, lenet
from cfgtrain.cnn.bricks import *
from cfgtrain.cnn.builder import *
from cfgtrain.cnn.init import *
from cfgtrain.cnn.lenet import *
from cfgtrain.registries import MODELS as MODELS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = ["MODELS", *bricks.__all__, *builder.__all__, *init.__all__, *lenet.__all__]
