_base_ = "cfgtrain::_base_/default_runtime.py"
custom_imports = dict(imports=["custom"])

model = dict(type="SpiralNet", width=64)
pipeline = [dict(type="Collect", keys=["point", "gt_label"])]
data = dict(
    samples_per_gpu=50,
    workers_per_gpu=0,
    train=dict(type="Spirals", count=1000, seed=0, pipeline=[dict(type="Jitter", std=0.02), *pipeline]),
    val=dict(type="Spirals", count=400, seed=1, pipeline=pipeline),
    test=dict(type="Spirals", count=400, seed=2, pipeline=pipeline),
)
evaluation = dict(
    interval=1, metrics=[dict(type="Accuracy"), dict(type="WorstClassAccuracy")], save_best="worst_class"
)

optimizer = dict(type="Adam", lr=0.01)
lr_config = dict(policy="CosineAnnealing", min_lr=0)
runner = dict(type="EpochBasedRunner", max_epochs=20)
log_config = dict(interval=10)
custom_hooks = [dict(type="WeightNorm", interval=10)]
