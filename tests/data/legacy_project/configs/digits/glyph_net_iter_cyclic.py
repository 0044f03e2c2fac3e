_base_ = './glyph_net_2e.py'
runner = dict(_delete_=True, type='IterBasedRunner', max_iters=12)
lr_config = dict(_delete_=True, policy='CyclicGlyph', period=4, by_epoch=False)
checkpoint_config = dict(interval=6, max_keep_ckpts=2)
evaluation = dict(interval=6, metric=['accuracy', 'confusion'])
momentum_config = dict(policy='cyclic', target_ratio=(0.9, 1.0), cyclic_times=1, step_ratio_up=0.5)
