from mmengine.optim import MultiStepLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, ValLoop
from torch.optim import SGD

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1, momentum=0.9))
param_scheduler = dict(type=MultiStepLR, by_epoch=True, milestones=[6, 8], gamma=0.1)
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=10, val_interval=1)
val_cfg = dict(type=ValLoop)
