_base_ = './glyph_net_2e.py'
fp16 = dict(loss_scale=512.)
