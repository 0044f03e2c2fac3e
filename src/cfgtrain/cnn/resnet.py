"""ResNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.cnn.network import Network, default_init_cfg, freeze_layers, set_norm_layers
from cfgtrain.cnn.stages import check_depth, output_stages, per_stage, unwrap_single
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import MODELS

__all__ = ["ResNet", "make_res_layer"]

Style = Literal["pytorch", "caffe"]
_STRIDES = (1, 2, 2, 2)
_DILATIONS = (1, 1, 1, 1)
_ALL_STAGES = (0, 1, 2, 3)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        inplanes: Number of input channels.
        planes: Number of output channels.
        stride: Stride of the first convolution.
        dilation: Dilation of the first convolution, as in MMCV; the second one has none.
        downsample: Applied to the shortcut where the shape changes.
        style: Unused; see ``Bottleneck``.
        with_cp: Not supported.

    Raises:
        ArgumentError: ``with_cp`` is set.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if with_cp:
            raise ArgumentError(
                "with_cp is only for the bottleneck blocks of depth 50, 101 and 152.", argument="with_cp"
            )
        check_choice("style", style, ("pytorch", "caffe"))
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: (B, inplanes, H, W) features.

        Returns:
            (B, planes, H / stride, W / stride) features.
        """
        out = self.relu(self.bn1(self.conv1(x)))  # (B, planes, H / stride, W / stride)
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, and a shortcut.

    Args:
        inplanes: Number of input channels.
        planes: Number of channels of the 3x3 convolution; the output has four times as many.
        stride: Stride of the block.
        dilation: Dilation of the 3x3 convolution.
        downsample: Applied to the shortcut where the shape changes.
        style: ``"pytorch"``: the 3x3 convolution has the stride; ``"caffe"``: the first 1x1 convolution.
        with_cp: Whether training saves memory by computing the block again in the backward pass.

    Raises:
        ArgumentError: The style is unknown.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        check_choice("style", style, ("pytorch", "caffe"))
        strides = (1, stride) if style == "pytorch" else (stride, 1)
        self.conv1 = nn.Conv2d(inplanes, planes, 1, strides[0], bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, strides[1], padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride
        self.dilation = dilation
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: (B, inplanes, H, W) features.

        Returns:
            (B, 4 * planes, H / stride, W / stride) features.
        """
        if self.with_cp and self.training and x.requires_grad:
            out: Tensor = checkpoint(self._residual, x, use_reentrant=False)
        else:
            out = self._residual(x)
        return self.relu(out)  # type: ignore[no-any-return]

    def _residual(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.bn1(self.conv1(x)))  # (B, planes, H, W)
        out = self.relu(self.bn2(self.conv2(out)))  # (B, planes, H / stride, W / stride)
        out = self.bn3(self.conv3(out))  # (B, 4 * planes, H / stride, W / stride)
        out += x if self.downsample is None else self.downsample(x)
        return out


def make_res_layer(
    block: type[BasicBlock | Bottleneck],
    inplanes: int,
    planes: int,
    blocks: int,
    stride: int = 1,
    dilation: int = 1,
    style: Style = "pytorch",
    with_cp: bool = False,
) -> nn.Sequential:
    """Return one stage of a ResNet.

    Args:
        block: Class of the blocks.
        inplanes: Number of input channels.
        planes: Number of channels of the blocks; the output has ``planes * block.expansion``.
        blocks: Number of blocks.
        stride: Stride of the first block.
        dilation: Dilation of the blocks.
        style: See ``Bottleneck``.
        with_cp: See ``Bottleneck``.
    """
    outplanes = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != outplanes:
        downsample = nn.Sequential(
            nn.Conv2d(inplanes, outplanes, 1, stride, bias=False), nn.BatchNorm2d(outplanes)
        )
    first = block(inplanes, planes, stride, dilation, downsample, style, with_cp)
    others = [block(outplanes, planes, 1, dilation, None, style, with_cp) for _ in range(1, blocks)]
    return nn.Sequential(first, *others)


@MODELS.register_module()
class ResNet(Network):
    """ResNet (He et al., "Deep residual learning for image recognition", 2015), without a classifier.

    The parameters have the same names as in torchvision and MMCV, so that their checkpoints can be loaded.

    Args:
        depth: Number of layers with weights, counting the classifier: 18, 34, 50, 101 or 152.
        num_stages: Number of stages, 1 to 4.
        strides: Stride of the first block of each stage.
        dilations: Dilation of the blocks of each stage.
        out_indices: 0-based indices of the stages whose outputs are returned.
        style: ``"pytorch"`` or ``"caffe"``: where bottleneck blocks have their stride, in the 3x3 or in the
            first 1x1 convolution.
        frozen_stages: Number of stages, from the first, that are not trained; with 0 the first convolution and
            its batch normalization, which are always included. -1: none.
        bn_eval: Whether batch normalizations use their running statistics, even in training mode.
        bn_frozen: Whether the weights and biases of batch normalizations are not trained.
        with_cp: Whether training saves memory by computing the blocks again in the backward pass; only for
            a depth of 50 or more.
        init_cfg: Config of the weight initialization; by default convolutions as by ``kaiming_init`` and batch
            normalizations 1.

    Attributes:
        feat_dim: Number of channels of the last stage.
        res_layers: Names of the stages: ``["layer1", ...]``.

    Raises:
        ArgumentError: An argument is out of range; an unknown depth is a KeyError too.
    """

    arch_settings: ClassVar[dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]]] = {
        # block and number of blocks of each stage, by depth
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        num_stages: int = 4,
        strides: Sequence[int] = _STRIDES,
        dilations: Sequence[int] = _DILATIONS,
        out_indices: Sequence[int] = _ALL_STAGES,
        style: Style = "pytorch",
        frozen_stages: int = -1,
        bn_eval: bool = True,
        bn_frozen: bool = False,
        with_cp: bool = False,
        *,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(default_init_cfg(init_cfg))
        check_depth("ResNet", depth, self.arch_settings)
        block, stage_blocks = self.arch_settings[depth]
        check_integer("num_stages", num_stages, 1, 4)
        strides = per_stage("strides", strides, num_stages, _STRIDES)
        dilations = per_stage("dilations", dilations, num_stages, _DILATIONS)
        check_integer("frozen_stages", frozen_stages, -1, num_stages)
        self.out_indices = output_stages(out_indices, num_stages, _ALL_STAGES)
        self.style = style
        self.frozen_stages = frozen_stages
        self.bn_eval = bn_eval
        self.bn_frozen = bn_frozen
        self.with_cp = with_cp

        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.res_layers: list[str] = []
        for i, num_blocks in enumerate(stage_blocks[:num_stages]):
            planes = 64 * 2**i
            stage = make_res_layer(
                block, self.inplanes, planes, num_blocks, strides[i], dilations[i], style, with_cp
            )
            self.inplanes = planes * block.expansion
            self.add_module(f"layer{i + 1}", stage)
            self.res_layers.append(f"layer{i + 1}")
        self.feat_dim = self.inplanes
        self._set_frozen()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the outputs of the stages in ``out_indices``.

        Args:
            x: (B, 3, H, W) float images.

        Returns:
            A tuple of (B, C, H / 2^(i + 2), W / 2^(i + 2)) features of each stage i, with the default strides. A
            single output is returned without a tuple.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H / 4, W / 4)
        outs: list[Tensor] = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)  # (B, C, H, W)
            if i in self.out_indices:
                outs.append(x)
        return unwrap_single(outs)

    def _set_frozen(self) -> None:
        set_norm_layers(self, self.bn_eval, self.bn_frozen)
        if self.frozen_stages >= 0:
            stages = [getattr(self, name) for name in self.res_layers[: self.frozen_stages]]
            freeze_layers(self.conv1, self.bn1, *stages)
