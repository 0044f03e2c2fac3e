# 1,797 handwritten digits that are included in cfgtrain; nothing is downloaded.
train_pipeline = [
    dict(type="Resize", scale=(32, 32)),
    dict(type="RandomCrop", size=32, padding=2),
    dict(type="Normalize", mean=78, std=96),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"]),
]
test_pipeline = [
    dict(type="Resize", scale=(32, 32)),
    dict(type="Normalize", mean=78, std=96),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"]),
]
data = dict(
    samples_per_gpu=64,
    workers_per_gpu=0,
    train=dict(type="Digits", split="train", pipeline=train_pipeline),
    val=dict(type="Digits", split="val", pipeline=test_pipeline),
    test=dict(type="Digits", split="test", pipeline=test_pipeline),
)
# Evaluate on the val dataset after each epoch and keep the best checkpoint.
evaluation = dict(interval=1, metric="accuracy", save_best="accuracy")
