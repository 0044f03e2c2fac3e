_base_ = "cfgtrain::_base_/default_runtime.py"

# The folders in data/train are the classes, and num_classes is their number. For pictures in color, see photos.py.
model = dict(type="ImageClassifier", backbone=dict(type="LeNet5", num_classes=10))

test_pipeline = [
    dict(type="LoadImageFromFile", color_type="grayscale"),
    dict(type="Resize", scale=(32, 32)),
    dict(type="Normalize", mean=78, std=96),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"]),
]
train_pipeline = [
    *test_pipeline[:2],
    dict(type="RandomCrop", size=32, padding=2),
    *test_pipeline[2:],
]
train_or_val = dict(type="ImageFolder", root="data/train", fractions=dict(train=0.8, val=0.2))
data = dict(
    samples_per_gpu=32,
    workers_per_gpu=0,  # processes that load pictures; use 2 or more for large ones
    train=dict(**train_or_val, split="train", pipeline=train_pipeline),
    val=dict(**train_or_val, split="val", pipeline=test_pipeline),
    test=dict(type="ImageFolder", root="data/test", pipeline=test_pipeline),
)
evaluation = dict(interval=1, metric="accuracy", save_best="accuracy")

optimizer = dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=0.0005)
lr_config = dict(policy="CosineAnnealing", min_lr=0, warmup="linear", warmup_iters=20, warmup_ratio=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=20)
checkpoint_config = dict(interval=1, max_keep_ckpts=3)
