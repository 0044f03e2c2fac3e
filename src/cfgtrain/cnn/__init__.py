"""Network parts and small networks."""

from cfgtrain.cnn.builder import MODELS, build_model_from_cfg
from cfgtrain.cnn.lenet import LeNet5

__all__ = ["MODELS", "LeNet5", "build_model_from_cfg"]
