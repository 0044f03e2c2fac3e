"""Layers of networks, the registries that contain them, and how to build them from configs."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.bricks import (
    activation,
    context_block,
    conv,
    conv2d_adaptive_padding,
    conv_module,
    conv_ws,
    criss_cross_attention,
    depthwise_separable_conv_module,
    drop,
    generalized_attention,
    non_local,
    norm,
    padding,
    plugin,
    registry,
    scale,
    transformer,
    upsample,
    wrappers,
)
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

# Not layers, so not in __all__, but importable from here as well.
from cfgtrain.cnn.resnet import make_res_layer as make_res_layer
from cfgtrain.cnn.tools.complexity import flops_to_string as flops_to_string
from cfgtrain.cnn.tools.complexity import params_to_string as params_to_string
from cfgtrain.cnn.vgg import make_vgg_layer as make_vgg_layer

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        *activation.__all__,
        *context_block.__all__,
        *conv.__all__,
        *conv2d_adaptive_padding.__all__,
        *conv_module.__all__,
        *conv_ws.__all__,
        *criss_cross_attention.__all__,
        *depthwise_separable_conv_module.__all__,
        *drop.__all__,
        *generalized_attention.__all__,
        *non_local.__all__,
        *norm.__all__,
        *padding.__all__,
        *plugin.__all__,
        *registry.__all__,
        *scale.__all__,
        *transformer.__all__,
        *upsample.__all__,
        *wrappers.__all__,
    ]
