from mmengine.config import read_base

with read_base():
    from .._base_.digits import *
    from .._base_.lenet5 import *
    from .._base_.sgd import *

from mmengine.hooks import EMAHook

optim_wrapper.update(dict(optimizer=dict(lr=0.05)))
train_cfg.max_epochs = 20
model.backbone.num_classes = 11
tta_model = dict(type=EMAHook)
