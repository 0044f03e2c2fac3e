# For photographs in color: larger pictures, and a larger network. Train it with `cfgtrain train photos.py`.
_base_ = "config.py"

model = dict(
    backbone=dict(_delete_=True, type="ResNet", depth=18, out_indices=(3,)),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=10),
)
normalize = dict(type="Normalize", mean=[104, 117, 124], std=[57, 57, 58])  # blue, green, red
end = [dict(type="ImageToTensor", keys=["img"]), dict(type="Collect", keys=["img", "gt_label"])]
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", size=128),
    dict(type="RandomFlip", prob=0.5),
    normalize,
    *end,
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(144, 144)),
    dict(type="CenterCrop", size=128),
    normalize,
    *end,
]
data = dict(
    train=dict(pipeline=train_pipeline), val=dict(pipeline=test_pipeline), test=dict(pipeline=test_pipeline)
)
