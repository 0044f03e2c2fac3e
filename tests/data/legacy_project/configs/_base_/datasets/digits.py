dataset_type = 'GlyphDataset'
data_root = 'data/digits/'
img_norm_cfg = dict(mean=[78.], std=[96.], to_rgb=False)
train_pipeline = [
    dict(type='LoadGlyphFromFile'),
    dict(type='GlyphResize', size=(8, 8)),
    dict(type='GlyphJitter', brightness=0.2, shift=1),
    dict(type='GlyphNormalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_label'])
]
test_pipeline = [
    dict(type='LoadGlyphFromFile'),
    dict(type='GlyphResize', size=(8, 8)),
    dict(type='GlyphNormalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img'])
]
data = dict(
    samples_per_gpu=16,
    workers_per_gpu=0,
    train=dict(
        type=dataset_type, data_root=data_root, ann_file='train.txt', img_prefix='train', pipeline=train_pipeline),
    val=dict(type=dataset_type, data_root=data_root, ann_file='val.txt', img_prefix='val', pipeline=test_pipeline),
    test=dict(type=dataset_type, data_root=data_root, ann_file='test.txt', img_prefix='test', pipeline=test_pipeline))
evaluation = dict(interval=1, metric='accuracy', save_best='accuracy_top-1')
