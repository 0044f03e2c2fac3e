import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_plugin_layer, normal_init
from mmcv.runner import BaseModule, auto_fp16, force_fp32

from ..builder import HEADS, build_loss


@HEADS.register_module()
class GlyphHead(BaseModule):
    """Classify the features of one glyph.

    Args:
        in_channels (int): Channels of the features.
        num_classes (int): Number of classes.
        plugin (dict | None): A plugin layer before the pooling.
        loss (dict): Config of the loss.
    """

    def __init__(self, in_channels, num_classes, plugin=None, loss=dict(type='SmoothLoss'), init_cfg=None):
        super(GlyphHead, self).__init__(init_cfg)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.fp16_enabled = False
        self.reduce = ConvModule(in_channels, in_channels, 1, norm_cfg=dict(type='BN'), act_cfg=dict(type='LeakyReLU'))
        self.with_plugin = plugin is not None
        if self.with_plugin:
            self.plugin_name, layer = build_plugin_layer(plugin, in_channels=in_channels)
            self.add_module(self.plugin_name, layer)
        self.fc = nn.Linear(in_channels, num_classes)
        self.compute_loss = build_loss(loss)

    def init_weights(self):
        super(GlyphHead, self).init_weights()
        normal_init(self.fc, mean=0, std=0.01, bias=0)

    @auto_fp16()
    def forward(self, feats):
        x = self.reduce(feats[-1])
        if self.with_plugin:
            x = getattr(self, self.plugin_name)(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.fc(x)

    @force_fp32(apply_to=('cls_score', ))
    def loss(self, cls_score, gt_label):
        losses = dict(loss_cls=self.compute_loss(cls_score, gt_label))
        with torch.no_grad():
            losses['acc'] = (cls_score.argmax(1) == gt_label).float().mean()
        return losses

    def forward_train(self, feats, gt_label):
        return self.loss(self(feats), gt_label)

    def simple_test(self, feats):
        scores = F.softmax(self(feats).float(), dim=1)
        return list(scores.detach().cpu().numpy())
