# Level 1: the training schedule. Values that are computed from `lr` are computed once, when this file is read.
lr = 0.1
optimizer = dict(type="SGD", lr=lr, momentum=0.9, weight_decay=0.0005)
lr_config = dict(policy="CosineAnnealing", min_lr=lr / 100, warmup="linear", warmup_iters=20)
runner = dict(type="EpochBasedRunner", max_epochs=15)
