# optimizer
optimizer = dict(
    type='SGD', lr=0.05, momentum=0.9, weight_decay=0.0001, paramwise_cfg=dict(norm_decay_mult=0., bias_lr_mult=2.))
optimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))
# learning policy
lr_config = dict(policy='step', warmup='linear', warmup_iters=5, warmup_ratio=0.1, step=[1])
runner = dict(type='EpochBasedRunner', max_epochs=2)
