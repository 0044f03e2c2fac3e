import torch.nn as nn
import torch.nn.functional as F

from ..builder import LOSSES


@LOSSES.register_module(name=['SmoothLoss', 'SmoothCrossEntropyLoss'])
class SmoothLoss(nn.Module):
    """Cross entropy with smoothed labels.

    Args:
        smooth (float): Weight of the uniform distribution.
        reduction (str): Options are "none", "mean" and "sum".
        loss_weight (float): Weight of the loss.
    """

    def __init__(self, smooth=0.0, reduction='mean', loss_weight=1.0):
        super(SmoothLoss, self).__init__()
        self.smooth = smooth
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, cls_score, label, reduction_override=None):
        assert reduction_override in (None, 'none', 'mean', 'sum')
        reduction = reduction_override if reduction_override else self.reduction
        loss = F.cross_entropy(cls_score, label, reduction=reduction, label_smoothing=self.smooth)
        return self.loss_weight * loss
