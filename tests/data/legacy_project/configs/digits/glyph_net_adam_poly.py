_base_ = ['./glyph_net_2e.py']
optimizer = dict(_delete_=True, type='Adam', lr=0.003, betas=(0.9, 0.99))
optimizer_config = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=2, grad_clip=None)
lr_config = dict(_delete_=True, policy='poly', power=0.9, min_lr=1e-4, by_epoch=False)
custom_hooks = [
    dict(type='ClassNamesHook', priority='VERY_LOW'),
    dict(type='CheckInvalidLossHook', interval=1, priority='ABOVE_NORMAL'),
    dict(type='StepCounterHook', priority=49),
    dict(type='WeightDriftHook', priority='NORMAL'),
]
runner = None
total_epochs = 2
experiment = '{{ fileBasenameNoExtension }}'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}'
config_folder = '{{ fileDirname }}'
