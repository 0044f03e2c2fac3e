"""LeNet-5."""

from __future__ import annotations

from torch import Tensor, nn

from cfgtrain.registries import MODELS

__all__ = ["LeNet5"]


@MODELS.register_module()
class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998).

    With tanh, average pooling and a linear output, as MMCV 1.x has it; parameters are named
    as there, so that its checkpoints load.

    Args:
        num_classes: Length of the output; -1 leaves the classifier out.
    """

    def __init__(self, num_classes: int = -1) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5),
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
        """Map images to class scores.

        Args:
            x: (B, 1, 32, 32) float.

        Returns:
            (B, num_classes) scores before softmax, or (B, 120, 1, 1) features without a classifier.
        """
        x = self.features(x)  # (B, 120, 1, 1)
        if self.num_classes > 0:
            x = self.classifier(x.flatten(1))  # (B, num_classes)
        return x
