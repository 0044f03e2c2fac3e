_base_ = [
    '../_base_/models/glyph_net.py', '../_base_/datasets/digits.py', '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py'
]
