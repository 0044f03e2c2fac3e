"""Layers of networks, the registries that contain them, and how to build them from configs."""

import typing

from cfgtrain.cnn.bricks.activation import *
from cfgtrain.cnn.bricks.context_block import *
from cfgtrain.cnn.bricks.conv import *
from cfgtrain.cnn.bricks.conv2d_adaptive_padding import *
from cfgtrain.cnn.bricks.conv_module import *
from cfgtrain.cnn.bricks.conv_ws import *
from cfgtrain.cnn.bricks.criss_cross_attention import *
from cfgtrain.cnn.bricks.depthwise_separable_conv_module import *
from cfgtrain.cnn.bricks.drop import *
from cfgtrain.cnn.bricks.generalized_attention import *
from cfgtrain.cnn.bricks.non_local import *
from cfgtrain.cnn.bricks.norm import *
from cfgtrain.cnn.bricks.padding import *
from cfgtrain.cnn.bricks.plugin import *
from cfgtrain.cnn.bricks.registry import *
from cfgtrain.cnn.bricks.scale import *
from cfgtrain.cnn.bricks.transformer import *
from cfgtrain.cnn.bricks.upsample import *
from cfgtrain.cnn.bricks.wrappers import *

# not layers, but importable from here as well
from cfgtrain.cnn.resnet import make_res_layer as make_res_layer
from cfgtrain.cnn.tools.complexity import flops_to_string as flops_to_string
from cfgtrain.cnn.tools.complexity import params_to_string as params_to_string
from cfgtrain.cnn.vgg import make_vgg_layer as make_vgg_layer
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
