# yapf:disable
checkpoint_config = dict(interval=1)
log_config = dict(
    interval=5,
    hooks=[
        dict(type='TextLoggerHook'),
        # dict(type='TensorboardLoggerHook')
    ])
# yapf:enable
custom_imports = dict(
    imports=['platereader.models', 'platereader.datasets', 'platereader.core'], allow_failed_imports=False)
custom_hooks = [dict(type='ClassNamesHook')]

dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]

opencv_num_threads = 0
mp_start_method = 'fork'
cudnn_benchmark = True
