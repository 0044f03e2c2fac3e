from mmpretrain.models import ImageClassifier, LeNet5
from torch.nn import CrossEntropyLoss

model = dict(
    type=ImageClassifier,
    backbone=dict(type=LeNet5, num_classes=10),
    loss=dict(type=CrossEntropyLoss))
