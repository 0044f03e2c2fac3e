norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='DigitReader',
    pretrained=None,
    backbone=dict(type='GlyphNet', in_channels=1, stem_channels=8, depths=(1, 1), out_indices=(1, ), norm_cfg=norm_cfg),
    head=dict(
        type='GlyphHead',
        in_channels=16,
        num_classes=10,
        plugin=dict(type='ContextBlock', ratio=1. / 4),
        loss=dict(type='SmoothLoss', smooth=0.05, loss_weight=1.0)),
    train_cfg=None,
    test_cfg=None)
