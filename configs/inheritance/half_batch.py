# Level 3: half the batch size and half the learning rate. Lists are replaced, so the whole pipeline is repeated.
_base_ = "lenet5.py"

optimizer = dict(lr={{_base_.lr}} / 2)
data = dict(
    samples_per_gpu=32,
    train=dict(
        pipeline=[
            dict(type="Resize", scale=(32, 32)),
            dict(type="RandomCrop", size=34, padding=3),
            dict(type="RandomCrop", size=32, padding=2),
            dict(type="Normalize", mean=78, std=90),
            dict(type="ImageToTensor", keys=["img"]),
            dict(type="Collect", keys=["img", "gt_label"]),
        ]
    ),
)
