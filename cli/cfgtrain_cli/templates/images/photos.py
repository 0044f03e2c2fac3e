# For photographs in color: larger pictures, and a larger network. Train it with `cfgtrain train photos.py`.
_base_ = "config.py"

model = dict(
    _delete_=True,
    type="SupervisedModel",
    net=[
        dict(type="ResNet", depth=18, out_indices=(3,)),
        dict(type="torch.nn.AdaptiveAvgPool2d", output_size=1),
        dict(type="torch.nn.Flatten"),
        dict(type="torch.nn.Linear", in_features=512, out_features=10),  # the number of classes
    ],
    loss="CrossEntropyLoss",
)
normalize = dict(type="Normalize", mean=[104, 117, 124], std=[57, 57, 58])  # blue, green, red
end = [dict(type="ImageToTensor", keys=["img"]), dict(type="Collect", keys=["img", "gt_label"])]
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", size=128),
    dict(type="RandomFlip", flip_ratio=0.5),
    normalize,
    *end,
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(146, 146)),
    dict(type="CenterCrop", size=128),
    normalize,
    *end,
]
data = dict(
    train=dict(pipeline=train_pipeline), val=dict(pipeline=test_pipeline), test=dict(pipeline=test_pipeline)
)
