import torch.nn as nn
import torch.utils.checkpoint as cp
from mmcv.cnn import ConvModule, build_activation_layer, build_conv_layer, build_norm_layer
from mmcv.runner import BaseModule, ModuleList, Sequential
from mmcv.utils.parrots_wrapper import _BatchNorm

from ..builder import BACKBONES


class GlyphBlock(BaseModule):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, channels, conv_cfg=None, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU', inplace=True),
                 with_cp=False, init_cfg=None):
        super(GlyphBlock, self).__init__(init_cfg)
        self.with_cp = with_cp
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, channels, postfix=1)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, channels, postfix=2)
        self.conv1 = build_conv_layer(conv_cfg, channels, channels, 3, padding=1, bias=False)
        self.add_module(self.norm1_name, norm1)
        self.conv2 = build_conv_layer(conv_cfg, channels, channels, 3, padding=1, bias=False)
        self.add_module(self.norm2_name, norm2)
        self.relu = build_activation_layer(act_cfg)

    @property
    def norm1(self):
        return getattr(self, self.norm1_name)

    @property
    def norm2(self):
        return getattr(self, self.norm2_name)

    def forward(self, x):

        def _inner_forward(x):
            out = self.relu(self.norm1(self.conv1(x)))
            return self.norm2(self.conv2(out)) + x

        if self.with_cp and x.requires_grad:
            out = cp.checkpoint(_inner_forward, x, use_reentrant=False)
        else:
            out = _inner_forward(x)
        return self.relu(out)


@BACKBONES.register_module()
class GlyphNet(BaseModule):
    """A small network for glyphs.

    Args:
        in_channels (int): Number of input channels.
        stem_channels (int): Channels of the first stage; each further stage doubles them.
        depths (Sequence[int]): Residual blocks per stage.
        out_indices (Sequence[int]): Stages to output.
        frozen_stages (int): Stages to freeze; -1 freezes none.
        norm_eval (bool): Whether norm layers stay in eval mode.
    """

    def __init__(self,
                 in_channels=1,
                 stem_channels=8,
                 depths=(1, 1),
                 out_indices=(1, ),
                 frozen_stages=-1,
                 conv_cfg=None,
                 norm_cfg=dict(type='BN', requires_grad=True),
                 norm_eval=False,
                 with_cp=False,
                 pretrained=None,
                 init_cfg=None):
        super(GlyphNet, self).__init__(init_cfg)
        assert not (init_cfg and pretrained), 'init_cfg and pretrained cannot be specified at the same time'
        if isinstance(pretrained, str):
            self.init_cfg = dict(type='Pretrained', checkpoint=pretrained)
        elif init_cfg is None:
            self.init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
            ]
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.stages = ModuleList()
        channels = in_channels
        for i, depth in enumerate(depths):
            width = stem_channels * 2**i
            layers = [ConvModule(channels, width, 3, stride=2 if i else 1, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg)]
            layers += [GlyphBlock(width, conv_cfg, norm_cfg, with_cp=with_cp) for _ in range(depth)]
            self.stages.append(Sequential(*layers))
            channels = width
        self.feat_channels = channels
        self._freeze_stages()

    def _freeze_stages(self):
        for i in range(self.frozen_stages + 1):
            self.stages[i].eval()
            for param in self.stages[i].parameters():
                param.requires_grad = False

    def forward(self, x):
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode=True):
        super(GlyphNet, self).train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for m in self.modules():
                if isinstance(m, (_BatchNorm, nn.GroupNorm)):
                    m.eval()
