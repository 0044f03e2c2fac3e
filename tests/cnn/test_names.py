"""The names that code written for MMCV imports from ``cnn``, and the types that configs name."""

from __future__ import annotations

import importlib

import pytest

from cfgtrain import registries
from cfgtrain.registry.registry import Registry

REGISTRIES = (
    "CONV_LAYERS NORM_LAYERS ACTIVATION_LAYERS PADDING_LAYERS UPSAMPLE_LAYERS PLUGIN_LAYERS DROPOUT_LAYERS "
    "POSITIONAL_ENCODING ATTENTION FEEDFORWARD_NETWORK TRANSFORMER_LAYER TRANSFORMER_LAYER_SEQUENCE"
)
TRANSFORMERS = (
    "build_positional_encoding build_attention build_feedforward_network build_transformer_layer "
    "build_transformer_layer_sequence MultiheadAttention FFN BaseTransformerLayer TransformerLayerSequence "
    "PatchEmbed PatchMerging AdaptivePadding SinePositionalEncoding LearnedPositionalEncoding"
)
BRICKS = (
    f"{REGISTRIES} {TRANSFORMERS} "
    "build_conv_layer build_norm_layer build_activation_layer build_padding_layer build_plugin_layer "
    "build_upsample_layer build_dropout is_norm infer_abbr conv_ws_2d drop_path "
    "Conv2d Conv3d ConvTranspose2d ConvTranspose3d MaxPool2d MaxPool3d Linear ConvWS2d ConvAWS2d "
    "Conv2dAdaptivePadding ConvModule DepthwiseSeparableConvModule HSigmoid HSwish Swish Clamp Scale Dropout "
    "DropPath PixelShufflePack CARAFEPack ContextBlock GeneralizedAttention NonLocal1d NonLocal2d NonLocal3d "
    "CrissCrossAttention make_res_layer make_vgg_layer flops_to_string params_to_string"
)
TOOLS = "fuse_conv_bn revert_sync_batchnorm get_model_complexity_info flops_to_string params_to_string freeze"
INIT = (
    "INITIALIZERS initialize update_init_info constant_init xavier_init normal_init trunc_normal_init uniform_init "
    "kaiming_init caffe2_xavier_init bias_init_with_prob ConstantInit XavierInit NormalInit TruncNormalInit "
    "UniformInit KaimingInit Caffe2XavierInit PretrainedInit"
)
NETWORKS = (
    "MODELS build_model_from_cfg LeNet5 AlexNet VGG make_vgg_layer ResNet make_res_layer VisionTransformer"
)
MODULES = "BaseModule Sequential ModuleList ModuleDict"

PLACES = {
    "cfgtrain.cnn": f"{BRICKS} {TOOLS} {INIT} {NETWORKS} {MODULES}",
    "cfgtrain.cnn.bricks": BRICKS,
    "cfgtrain.cnn.bricks.registry": REGISTRIES,
    "cfgtrain.cnn.bricks.transformer": TRANSFORMERS,
    "cfgtrain.cnn.tools": TOOLS,
    "cfgtrain.cnn.init": INIT,
    "cfgtrain.runner": MODULES,
    "cfgtrain.ops": "CARAFEPack CrissCrossAttention carafe criss_cross_attention",
}
TYPES = {
    "CONV_LAYERS": "Conv1d Conv2d Conv3d Conv ConvWS ConvAWS Conv2dAdaptivePadding deconv ConvTranspose2d deconv3d "
    "ConvTranspose3d",
    "NORM_LAYERS": "BN BN1d BN2d BN3d SyncBN GN LN IN IN1d IN2d IN3d",
    "ACTIVATION_LAYERS": "ReLU LeakyReLU PReLU RReLU ReLU6 ELU Sigmoid Tanh GELU SiLU Mish Hardswish Swish HSigmoid "
    "HSwish Clamp Clip",
    "PADDING_LAYERS": "zero reflect replicate",
    "UPSAMPLE_LAYERS": "nearest bilinear deconv deconv3d pixel_shuffle carafe",
    "PLUGIN_LAYERS": "ConvModule ContextBlock GeneralizedAttention NonLocal1d NonLocal2d NonLocal3d CrissCrossAttention",
    "DROPOUT_LAYERS": "Dropout DropPath",
    "POSITIONAL_ENCODING": "SinePositionalEncoding LearnedPositionalEncoding",
    "ATTENTION": "MultiheadAttention",
    "FEEDFORWARD_NETWORK": "FFN",
    "TRANSFORMER_LAYER": "BaseTransformerLayer",
    "TRANSFORMER_LAYER_SEQUENCE": "TransformerLayerSequence",
    "INITIALIZERS": "Constant Xavier Normal TruncNormal Uniform Kaiming Caffe2Xavier Pretrained",
    "MODELS": "LeNet5 AlexNet VGG ResNet VisionTransformer",
}


@pytest.mark.parametrize("place", PLACES)
def test_names_can_be_imported(place: str) -> None:
    """Each name can be imported from each place where MMCV has it, or where it belongs."""
    module = importlib.import_module(place)
    names = PLACES[place].split()
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_one_object(place: str) -> None:
    """A name that can be imported from several places is the same object everywhere."""
    module, whole = importlib.import_module(place), importlib.import_module("cfgtrain.cnn")
    names = [name for name in PLACES[place].split() if hasattr(whole, name)]
    assert [name for name in names if getattr(module, name) is not getattr(whole, name)] == []


@pytest.mark.parametrize("name", TYPES)
def test_types_are_registered(name: str) -> None:
    """Each type is in its registry."""
    registry: Registry = getattr(registries, name)
    assert [each for each in TYPES[name].split() if each not in registry] == []
