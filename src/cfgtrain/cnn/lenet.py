"""LeNet-5."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.network import Network
from cfgtrain.registries import MODELS

__all__ = ["LeNet5"]


@MODELS.register_module()
class LeNet5(Network):
    """LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998).

    As in MMCV 1.x, it uses tanh, average pooling and a linear output. The parameters have the same names, so
    that checkpoints of MMCV can be loaded.

    Args:
        num_classes: Number of classes. With -1, the network has no classifier and returns features.
        in_channels: Number of channels of the images, such as 3 for colors.
        init_cfg: Config of the weight initialization; by default PyTorch's own.

    Attributes:
        feat_dim: Number of channels of the features.
    """

    def __init__(self, num_classes: int = -1, *, in_channels: int = 1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        check_integer("in_channels", in_channels, minimum=1)
        self.num_classes = num_classes
        self.feat_dim = 120
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(16, 120, kernel_size=5),
            nn.Tanh(),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Compute class scores, or features.

        Args:
            x: (B, in_channels, 32, 32) float images.

        Returns:
            (B, num_classes) scores before softmax, or (B, 120, 1, 1) features if there is no classifier.
        """
        x = self.features(x)  # (B, 120, 1, 1)
        if self.num_classes > 0:
            x = self.classifier(x.flatten(1))  # (B, num_classes)
        return x
