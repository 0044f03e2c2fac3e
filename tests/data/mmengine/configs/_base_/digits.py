from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import Digits, Resize, Normalize
from mmpretrain.evaluation import Accuracy
import mmpretrain.datasets.transforms as T

train_pipeline = [
    dict(type=Resize, scale=(32, 32)),
    dict(type=Normalize, mean=78, std=96),
    dict(type=T.ImageToTensor, keys=['img']),
    dict(type='Collect', keys=['img', 'gt_label']),
]
train_dataloader = dict(
    batch_size=64, num_workers=0,
    dataset=dict(type=Digits, split='train', pipeline=train_pipeline),
    sampler=dict(type=DefaultSampler, shuffle=True))
val_dataloader = dict(
    batch_size=128, num_workers=0,
    dataset=dict(type=Digits, split='val', pipeline=train_pipeline),
    sampler=dict(type=DefaultSampler, shuffle=False))
val_evaluator = dict(type=Accuracy, topk=(1, 5))
