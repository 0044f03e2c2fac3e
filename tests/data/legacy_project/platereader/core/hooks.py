import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook, get_dist_info, master_only


@HOOKS.register_module()
class CheckInvalidLossHook(Hook):
    """Check at intervals that the loss is finite."""

    def __init__(self, interval=50):
        self.interval = interval

    def after_train_iter(self, runner):
        if self.every_n_iters(runner, self.interval):
            assert torch.isfinite(runner.outputs['loss']), runner.logger.info('loss become infinite or NaN!')


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Check that the head has a score for each class of the dataset, and give the model their names."""

    def before_train_epoch(self, runner):
        model = runner.model
        if is_module_wrapper(model):
            model = model.module
        dataset = runner.data_loader.dataset
        classes = getattr(dataset, 'CLASSES', None)
        if classes is None:
            runner.logger.warning(f'Please set `CLASSES` in the {dataset.__class__.__name__}')
            return
        for name, module in model.named_modules():
            if hasattr(module, 'num_classes'):
                assert module.num_classes == len(classes), name
        model.CLASSES = classes


@HOOKS.register_module()
class StepCounterHook(Hook):
    """Count the batches of each rank, and log them after each epoch."""

    def __init__(self):
        self.count = 0

    def before_run(self, runner):
        self.rank, self.world_size = get_dist_info()

    def after_train_iter(self, runner):
        self.count += 1
        runner.log_buffer.update(dict(steps=self.count), 1)

    def after_train_epoch(self, runner):
        self._report(runner)

    @master_only
    def _report(self, runner):
        runner.logger.info(f'epoch {runner.epoch + 1}: {self.count} steps of rank {self.rank} of {self.world_size}')


@HOOKS.register_module()
class WeightDriftHook(Hook):
    """Log how far the weights are from those before the training."""

    def before_run(self, runner):
        self.initial = [p.detach().clone() for p in runner.model.parameters()]

    def after_train_epoch(self, runner):
        with torch.no_grad():
            drift = sum(((p - q)**2).sum() for p, q in zip(runner.model.parameters(), self.initial))**0.5
        runner.log_buffer.output['drift'] = float(drift)
