"""Models that a runner can train: they have ``train_step`` and ``val_step``."""

from cfgtrain.cnn import MODELS, LeNet5
from cfgtrain.models.classifier import ImageClassifier

__all__ = ["MODELS", "ImageClassifier", "LeNet5"]
