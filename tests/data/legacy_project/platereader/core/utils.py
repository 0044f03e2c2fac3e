from mmcv.runner import HOOKS
from mmcv.runner.hooks.lr_updater import LrUpdaterHook


@HOOKS.register_module()
class CyclicGlyphLrUpdaterHook(LrUpdaterHook):
    """Divide the learning rate by ``factor`` in every second step of ``period``."""

    def __init__(self, period, factor=2.0, **kwargs):
        self.period = period
        self.factor = factor
        super(CyclicGlyphLrUpdaterHook, self).__init__(**kwargs)

    def get_lr(self, runner, base_lr):
        progress = runner.epoch if self.by_epoch else runner.iter
        return base_lr / self.factor if (progress // self.period) % 2 else base_lr
