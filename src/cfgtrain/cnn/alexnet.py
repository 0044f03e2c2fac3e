"""AlexNet."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cfgtrain.cnn.network import Network
from cfgtrain.registries import MODELS

__all__ = ["AlexNet"]


@MODELS.register_module()
class AlexNet(Network):
    """AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014).

    The parameters have the same names as in torchvision and MMCV, so that their checkpoints can be loaded.

    Args:
        num_classes: Number of classes. With -1, the network has no classifier and returns features.
        init_cfg: Config of the weight initialization; by default PyTorch's own.

    Attributes:
        feat_dim: Number of channels of the features.
    """

    def __init__(self, num_classes: int = -1, *, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.feat_dim = 256
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Dropout(),
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Linear(4096, num_classes),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute class scores, or features.

        Args:
            x: (B, 3, 224, 224) float images; without a classifier, (B, 3, H, W).

        Returns:
            (B, num_classes) scores before softmax, or (B, 256, 6, 6) features if there is no classifier.
        """
        x = self.features(x)  # (B, 256, 6, 6)
        if self.num_classes > 0:
            x = self.classifier(x.flatten(1))  # (B, num_classes)
        return x
