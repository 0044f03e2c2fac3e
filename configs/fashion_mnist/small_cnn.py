# A small CNN on Fashion-MNIST.
_base_ = [
    "../_base_/datasets/fashion_mnist.py",
    "../_base_/schedules/sgd_cosine_15e.py",
    "../_base_/default_runtime.py",
]

conv = dict(type="cfgtrain.cnn.ConvModule", kernel_size=3, padding=1, norm_cfg=dict(type="BN"))
pool = dict(type="torch.nn.MaxPool2d", kernel_size=2)
model = dict(
    type="SupervisedModel",
    net=[
        dict(**conv, in_channels=1, out_channels=32),  # 28x28
        pool,
        dict(**conv, in_channels=32, out_channels=64),  # 14x14
        dict(**conv, in_channels=64, out_channels=64),
        pool,
        dict(**conv, in_channels=64, out_channels=128),  # 7x7
        dict(**conv, in_channels=128, out_channels=128),
        dict(type="torch.nn.AdaptiveAvgPool2d", output_size=1),
        dict(type="torch.nn.Flatten"),
        dict(type="torch.nn.Linear", in_features=128, out_features=10),
    ],
    loss="CrossEntropyLoss",
)
runner = dict(max_epochs=10)
log_config = dict(interval=100)
