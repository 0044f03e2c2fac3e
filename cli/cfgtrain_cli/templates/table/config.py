_base_ = "cfgtrain::_base_/default_runtime.py"

# area, rooms and age are one input each, and each of the 4 districts is one.
model = dict(
    type="SupervisedModel",
    net=[
        dict(type="torch.nn.Linear", in_features=7, out_features=64),
        dict(type="torch.nn.ReLU"),
        dict(type="torch.nn.Linear", in_features=64, out_features=1),
    ],
    loss="MSELoss",
)

table = dict(
    type="Table",
    path="data/houses.csv",
    targets="price",
    one_hot=True,
    fractions=dict(train=0.8, val=0.1, test=0.1),  # of the rows
)
data = dict(
    samples_per_gpu=50,
    workers_per_gpu=0,
    train=dict(**table, split="train"),
    val=dict(**table, split="val"),
    test=dict(**table, split="test"),
)
evaluation = dict(interval=1, metric="mae", save_best="mae")

optimizer = dict(type="Adam", lr=0.01)
lr_config = dict(policy="CosineAnnealing", min_lr=0)
runner = dict(type="EpochBasedRunner", max_epochs=20)
checkpoint_config = dict(interval=1, max_keep_ckpts=3)
