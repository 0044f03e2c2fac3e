# Prices of houses, from a csv file.
table = dict(type="Table", path="data/houses.csv", targets="price", one_hot=True)
data = dict(
    batch_size=32,
    train=dict(**table, split="train"),
    val=dict(**table, split="val"),
    test=dict(**table, split="test"),
)
layers = [
    dict(type="torch.nn.LazyLinear", out_features=32),
    dict(type="torch.nn.ReLU"),
    dict(type="torch.nn.LazyLinear", out_features=1),
]
model = dict(type="SupervisedModel", net=layers, loss="MSELoss")
optimizer = dict(type="Adam", lr=0.01)
runner = dict(type="EpochBasedRunner", max_epochs=20)
evaluation = dict(save_best="rmse")
