# Nothing is random after the weights: no shuffling and no augmentation.
_base_ = './glyph_net_2e.py'
train_pipeline = [
    dict(type='LoadGlyphFromFile'),
    dict(type='GlyphResize', size=(8, 8)),
    dict(type='GlyphNormalize', **{{ _base_.img_norm_cfg }}),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_label'])
]
data = dict(train=dict(pipeline=train_pipeline), train_dataloader=dict(shuffle=False))
seed = 7
