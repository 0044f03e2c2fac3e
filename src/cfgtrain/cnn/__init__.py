"""Layers, networks, weight initialization, and tools for whole models."""

from typing import TYPE_CHECKING

from cfgtrain.cnn import alexnet, bricks, builder, init, lenet, module, resnet, tools, vgg, vit
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
from cfgtrain.registries import MODELS as MODELS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        "MODELS",
        *alexnet.__all__,
        *bricks.__all__,
        *builder.__all__,
        *init.__all__,
        *lenet.__all__,
        *module.__all__,
        *resnet.__all__,
        *tools.__all__,
        *vgg.__all__,
        *vit.__all__,
    ]
