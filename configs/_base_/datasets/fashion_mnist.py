# Fashion-MNIST: 60,000 training and 10,000 test images of ten kinds of clothes, 28x28 pixels in gray. On Debian and
# Ubuntu, `apt-get install dataset-fashion-mnist` installs it. The environment variable FASHION_MNIST names another
# folder that contains its four files.
data_root = "{{$FASHION_MNIST:/usr/share/datasets/fashion-mnist}}"

to_input = [
    dict(type="Normalize", mean=73, std=90),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"]),
]
# A tenth of the training images is for validation.
train_files = dict(
    type="IdxImages",
    images=f"{data_root}/train-images-idx3-ubyte.gz",
    labels=f"{data_root}/train-labels-idx1-ubyte.gz",
    fractions=dict(train=0.9, val=0.1),
)
data = dict(
    samples_per_gpu=128,
    workers_per_gpu=0,
    train=dict(
        **train_files,
        split="train",
        classes=[
            "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ],
        pipeline=[
            dict(type="RandomCrop", size=28, padding=2),
            dict(type="RandomFlip", prob=0.5),
            *to_input,
        ],
    ),
    val=dict(**train_files, split="val", pipeline=to_input),
    test=dict(
        type="IdxImages",
        images=f"{data_root}/t10k-images-idx3-ubyte.gz",
        labels=f"{data_root}/t10k-labels-idx1-ubyte.gz",
        pipeline=to_input,
    ),
)  # fmt: skip
evaluation = dict(interval=1, metric="accuracy", save_best="accuracy")
