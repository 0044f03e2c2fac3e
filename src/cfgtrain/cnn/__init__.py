"""Building blocks of networks, small networks, and weight initialization."""

from cfgtrain.cnn.builder import MODELS, build_model_from_cfg
from cfgtrain.cnn.init.functions import (
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from cfgtrain.cnn.init.initializers import (
    INITIALIZERS,
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    PretrainedInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
    initialize,
)
from cfgtrain.cnn.init.record import update_init_info
from cfgtrain.cnn.lenet import LeNet5

__all__ = [
    "INITIALIZERS",
    "MODELS",
    "Caffe2XavierInit",
    "ConstantInit",
    "KaimingInit",
    "LeNet5",
    "NormalInit",
    "PretrainedInit",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "bias_init_with_prob",
    "build_model_from_cfg",
    "caffe2_xavier_init",
    "constant_init",
    "initialize",
    "kaiming_init",
    "normal_init",
    "trunc_normal_init",
    "uniform_init",
    "update_init_info",
    "xavier_init",
]
