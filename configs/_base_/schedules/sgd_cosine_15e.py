optimizer = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.0005)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy="CosineAnnealing", min_lr=0, warmup="linear", warmup_iters=20, warmup_ratio=0.1)
momentum_config = None
runner = dict(type="EpochBasedRunner", max_epochs=15)
checkpoint_config = dict(interval=1, max_keep_ckpts=3)
