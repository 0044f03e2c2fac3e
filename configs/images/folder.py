# A class per folder.
steps = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=64),
    dict(type="Normalize", mean=128, std=64),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"]),
]
folder = dict(type="ImageFolder", root="data/pictures", pipeline=steps)
data = dict(
    batch_size=32,
    train=dict(**folder, split="train"),
    val=dict(**folder, split="val"),
    test=dict(**folder, split="test"),
)
model = dict(
    type="ImageClassifier",
    backbone=dict(type="ResNet", depth=18),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=10),
)
optimizer = dict(type="AdamW", lr=0.001)
runner = dict(type="EpochBasedRunner", max_epochs=10)
evaluation = dict(metrics=["Accuracy"], save_best="accuracy")
