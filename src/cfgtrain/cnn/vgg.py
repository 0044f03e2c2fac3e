"""VGG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.network import Network, default_init_cfg, freeze_layers, set_norm_layers
from cfgtrain.cnn.stages import check_depth, output_stages, per_stage, unwrap_single
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import MODELS

__all__ = ["VGG", "make_vgg_layer"]

_ALL_STAGES = (0, 1, 2, 3, 4)
_DILATIONS = (1, 1, 1, 1, 1)


def make_vgg_layer(
    inplanes: int,
    planes: int,
    num_blocks: int,
    dilation: int = 1,
    with_bn: bool = False,
    ceil_mode: bool = False,
) -> list[nn.Module]:
    """Return the layers of one stage of a VGG: 3x3 convolutions and a max pooling that halves the size.

    Args:
        inplanes: Number of input channels.
        planes: Number of output channels.
        num_blocks: Number of convolutions.
        dilation: Dilation of the convolutions.
        with_bn: Whether batch normalization follows each convolution.
        ceil_mode: Whether the pooling rounds odd sizes up.
    """
    layers: list[nn.Module] = []
    for block in range(num_blocks):
        channels = inplanes if block == 0 else planes
        layers.append(nn.Conv2d(channels, planes, kernel_size=3, padding=dilation, dilation=dilation))
        if with_bn:
            layers.append(nn.BatchNorm2d(planes))
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=ceil_mode))
    return layers


@MODELS.register_module()
class VGG(Network):
    """VGG (Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014).

    The parameters have the same names as in torchvision and MMCV, so that their checkpoints can be loaded.

    Args:
        depth: Number of layers with weights: 11, 13, 16 or 19.
        with_bn: Whether batch normalization follows each convolution.
        num_classes: Number of classes. With -1, the network has no classifier.
        num_stages: Number of stages, 1 to 5; with a classifier 5.
        dilations: Dilation of the convolutions of each stage.
        out_indices: 0-based indices of the stages whose outputs are returned; by default all.
        frozen_stages: Number of stages, from the first, that are not trained; -1 and 0: none.
        bn_eval: Whether batch normalizations use their running statistics, even in training mode.
        bn_frozen: Whether the weights and biases of batch normalizations are not trained.
        ceil_mode: Whether the poolings round odd sizes up.
        with_last_pool: Whether the last stage ends with a pooling.
        init_cfg: Config of the weight initialization; by default convolutions as by ``kaiming_init``, batch
            normalizations 1 and linear layers from a normal distribution with a standard deviation of 0.01.

    Attributes:
        feat_dim: Number of channels of the last stage.

    Raises:
        ArgumentError: An argument is out of range; an unknown depth is a KeyError too.
    """

    arch_settings: ClassVar[dict[int, tuple[int, ...]]] = {  # convolutions of each stage, by depth
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }

    def __init__(
        self,
        depth: int,
        with_bn: bool = False,
        num_classes: int = -1,
        num_stages: int = 5,
        dilations: Sequence[int] = _DILATIONS,
        out_indices: Sequence[int] = _ALL_STAGES,
        frozen_stages: int = -1,
        bn_eval: bool = True,
        bn_frozen: bool = False,
        ceil_mode: bool = False,
        with_last_pool: bool = True,
        *,
        init_cfg: Any = None,
    ) -> None:
        linear = {"type": "Normal", "std": 0.01, "layer": "Linear"}
        super().__init__(default_init_cfg(init_cfg, *[linear] * (num_classes > 0)))
        check_depth("VGG", depth, self.arch_settings)
        check_integer("num_stages", num_stages, 1, 5)
        if num_classes > 0 and num_stages < 5:
            raise ArgumentError(
                f"num_stages must be 5 with a classifier, not {num_stages}.",
                hint="Leave out num_classes to get the features of the stages.",
                argument="num_stages",
            )
        dilations = per_stage("dilations", dilations, num_stages, _DILATIONS)
        check_integer("frozen_stages", frozen_stages, -1, num_stages)
        self.num_classes = num_classes
        self.out_indices = output_stages(out_indices, num_stages, _ALL_STAGES, num_classes <= 0)
        self.frozen_stages = frozen_stages
        self.bn_eval = bn_eval
        self.bn_frozen = bn_frozen
        self.inplanes = 3
        layers: list[nn.Module] = []
        self.range_sub_modules: list[list[int]] = []  # of each stage, [first, last + 1] in features
        for i, num_blocks in enumerate(self.arch_settings[depth][:num_stages]):
            planes = min(64 * 2**i, 512)
            stage = make_vgg_layer(self.inplanes, planes, num_blocks, dilations[i], with_bn, ceil_mode)
            if i == num_stages - 1 and not with_last_pool:
                stage.pop()
            self.range_sub_modules.append([len(layers), len(layers) + len(stage)])
            layers += stage
            self.inplanes = planes
        self.feat_dim = self.inplanes
        self.module_name = "features"
        self.features = nn.Sequential(*layers)
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, num_classes),
            )
        self._set_frozen()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the outputs of the stages in ``out_indices``, and class scores if there is a classifier.

        Args:
            x: (B, 3, H, W) float images; with a classifier, H and W are 224.

        Returns:
            A tuple of (B, C, H / 2^(i + 1), W / 2^(i + 1)) features of each stage i, and the (B, num_classes)
            scores before softmax last. A single output is returned without a tuple.
        """
        outs: list[Tensor] = []
        for i, (first, end) in enumerate(self.range_sub_modules):
            for j in range(first, end):
                x = self.features[j](x)  # (B, C, H, W)
            if i in self.out_indices:
                outs.append(x)
        if self.num_classes > 0:
            outs.append(self.classifier(x.flatten(1)))  # (B, num_classes)
        return unwrap_single(outs)

    def _set_frozen(self) -> None:
        set_norm_layers(self, self.bn_eval, self.bn_frozen)
        for first, end in self.range_sub_modules[: max(self.frozen_stages, 0)]:
            freeze_layers(*list(self.features)[first:end])
