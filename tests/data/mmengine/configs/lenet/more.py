from mmengine.config import read_base
import torch.nn as nn
with read_base():
    from .._base_.digits import *
    from .._base_.digits import train_pipeline as pipe
    from .._base_.sgd import *
extra = pipe
extra[0].update(scale=(40, 40))
extra.insert(1, dict(type=nn.Flatten))
train_dataloader.update(dataset=dict(pipeline=extra, split='all'), batch_size=8)
val_dataloader.merge(dict(sampler=dict(_delete_=True, type='X')))
optim_wrapper.optimizer = dict(type=SGD, lr=1)
root = "a"
test_dataloader = val_dataloader
test_dataloader.dataset.split = 't'
del train_cfg['type']
val_cfg = dict()
for i in range(2):
    train_dataloader[f'k{i}'] = i
