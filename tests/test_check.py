from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.check import check, find_problems
from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.data import DATASETS, PIPELINES
from cfgtrain.errors import BuildError, CheckError, ConfigKeyError, ConfigValueError, UnknownNameError
from cfgtrain.keys import KEYS
from cfgtrain.registries import HOOKS
from cfgtrain.registry import Registry
from cfgtrain.runner import Hook

RIGHT = """\
model = dict(
    type='ImageClassifier',
    backbone=dict(type='LeNet5', num_classes=10),
    loss=dict(type='torch.nn.CrossEntropyLoss'))
pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='ImageToTensor', keys=['img'])]
data = dict(
    samples_per_gpu=32,
    train=dict(type='Digits', split='train', pipeline=pipeline),
    val=dict(type='Digits', split='val', pipeline=[
        dict(type='Normalize', mean=78, std=96)]),
    val_dataloader=dict(samples_per_gpu=64))
optimizer = dict(type='SGD', lr=0.05, momentum=0.9)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[2, 3])
momentum_config = None
runner = dict(type='EpochBasedRunner', max_epochs=4)
checkpoint_config = dict(interval=1)
log_config = dict(interval=20, hooks=[
    dict(type='TextLoggerHook')])
evaluation = dict(interval=1, metric='accuracy')
custom_hooks = [
    dict(type='IterTimerHook', priority='LOW')]
workflow = [('train', 1), ('val', 1)]
log_level = 'INFO'
device = 'cpu'
seed = 0
"""

Load = Callable[..., Config]


@pytest.fixture
def load(write: Callable[[str, str], Path]) -> Load:
    """Load the correct config with some text replaced by other text."""

    def call(*replacements: tuple[str, str], text: str = RIGHT) -> Config:
        for old, new in replacements:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return Config.fromfile(write("cfg.py", text))

    return call


def test_a_correct_config_passes(load: Load) -> None:
    """A config without a mistake has no problems."""
    check(load())


@pytest.mark.parametrize("name", ["lenet5.py", "lenet5.yaml", "lenet5.json", "lenet5_iter.py"])
def test_packaged_configs_pass(configs: Path, name: str) -> None:
    """The configs of the repository have no problems, in all formats."""
    check(Config.fromfile(configs / "digits" / name))


# old text, new text, class of the error, key path, part of the message
WRONG: list[tuple[str, str, type[Exception], str, str]] = [
    # top level
    ("lr_config =", "lr_confg =", ConfigKeyError, "lr_confg", "Did you mean 'lr_config'? A variable of your own"),
    ("seed = 0", "sed = 0", ConfigKeyError, "sed", "Did you mean 'seed'?"),
    # names
    ("type='ImageClassifier'", "type='ImageClasifier'", UnknownNameError, "model.type", "Did you mean 'ImageClassifier'"),
    ("type='LeNet5'", "type='LeNet6'", UnknownNameError, "model.backbone.type", "Did you mean 'LeNet5'"),
    ("type='Resize'", "type='Resise'", UnknownNameError, "data.train.pipeline[0].type", "Did you mean 'Resize'"),
    ("type='Normalize'", "type='normalise'", UnknownNameError, "data.val.pipeline[0].type", "Did you mean 'Normalize'"),
    ("type='Digits', split='train'", "type='Digit', split='train'", UnknownNameError, "data.train.type", "Did you mean 'Digits'"),
    ("type='SGD'", "type='SDG'", UnknownNameError, "optimizer.type", "Did you mean 'SGD'"),
    # initial weights
    ("num_classes=10)", "num_classes=10), init_cfg=dict(type='Kaimin', layer='Conv2d')", UnknownNameError, "model.init_cfg.type", "Did you mean 'Kaiming'"),
    ("num_classes=10)", "num_classes=10), init_cfg=[dict(type='Constant', vl=1)]", BuildError, "model.init_cfg[0].vl", "Did you mean 'val'"),
    ("num_classes=10)", "num_classes=10), init_cfg=dict(type='Xavier', distribution='gauss')", ConfigValueError, "model.init_cfg.distribution", "'uniform' or 'normal'"),
    ("num_classes=10)", "num_classes=10), init_cfg=dict(type='Normal', override=dict(type='Constnt', name='loss', val=0))", UnknownNameError, "model.init_cfg.override.type", "Did you mean 'Constant'"),
    ("num_classes=10)", "num_classes=10), init_cfg=[dict(type='Pretrained', checkpoint='nothing.pth')]", ConfigValueError, "model.init_cfg[0].checkpoint", "'nothing.pth' is not there"),
    # the optimizer
    ("lr=0.05, momentum=0.9)", "lr=-0.05, momentum=0.9)", ConfigValueError, "optimizer.lr", "SGD does not accept lr=-0.05: Invalid learning rate: -0.05."),
    ("momentum=0.9)", "momentum=0.9, fused=True, foreach=True)", ConfigValueError, "optimizer.fused", "cannot be `True` together"),
    ("dict(type='SGD', lr=0.05, momentum=0.9)", "dict(backbone=dict(type='Adam', lr=1, betas=(0.9, 2.0)))", ConfigValueError, "optimizer.backbone.betas", "Invalid beta parameter at index 1: 2.0"),
    ("momentum=0.9)", "momentum=0.9, paramwise_cfg=dict(bias_lr_mul=2))", ConfigValueError, "optimizer.paramwise_cfg.bias_lr_mul", "Did you mean 'bias_lr_mult'"),
    ("momentum=0.9)", "paramwise_cfg=dict(norm_decay_mult=0))", ConfigValueError, "optimizer.paramwise_cfg.norm_decay_mult", "multiplies weight_decay, which the optimizer is not given"),
    ("momentum=0.9)", "paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mul=2))))", ConfigValueError, "optimizer.paramwise_cfg.custom_keys.head.lr_mul", "Did you mean 'lr_mult'?"),
    ("momentum=0.9)", "paramwise_cfg='bias')", ConfigValueError, "optimizer.paramwise_cfg", "must be a dict or None"),
    ("momentum=0.9)", "constructor='DefaultOptimiserConstructor')", ConfigValueError, "optimizer.constructor", "Did you mean 'DefaultOptimizerConstructor'"),
    ("dict(type='SGD', lr=0.05, momentum=0.9)", "dict(backbone=dict(type='SGD', lr=1, momentun=0.9))", BuildError, "optimizer.backbone.momentun", "Did you mean 'momentum'"),
    ("grad_clip=None", "grad_clip=dict(max_nrm=1)", ConfigValueError, "optimizer_config.grad_clip.max_nrm", "Did you mean 'max_norm'"),
    ("grad_clip=None", "dtype='float8'", ConfigValueError, "optimizer_config.dtype", "'float16' or 'bfloat16'"),
    ("seed = 0", "fp16 = 512", ConfigValueError, "fp16", "fp16 must be a dict such as"),
    ("seed = 0", "fp16 = dict(loss_scale='dynamc')", ConfigValueError, "fp16.loss_scale", "loss_scale must be a positive number, 'dynamic'"),
    ("seed = 0", "fp16 = dict(loss_scale=dict(init_scal=8.0))", ConfigValueError, "fp16.loss_scale.init_scal", "Did you mean 'init_scale'"),
    ("seed = 0", "fp16 = dict(loss_scale=dict(init_scale='8'))", ConfigValueError, "fp16.loss_scale.init_scale", "init_scale of GradScaler must be a float, not '8'"),
    ("seed = 0", "fp16 = dict(los_scale=8.0)", BuildError, "fp16.los_scale", "Did you mean 'loss_scale'"),
    # precision and speed
    ("seed = 0", "precision = 'bf61'", ConfigValueError, "precision", "precision must be 'fp32', 'bf16' or 'fp16', not 'bf61'. Did you mean 'bf16'?"),
    ("seed = 0", "precision = 16", ConfigValueError, "precision", "precision must be 'fp32', 'bf16' or 'fp16', not 16"),
    ("seed = 0", "precison = 'bf16'", ConfigKeyError, "precison", "Did you mean 'precision'?"),
    ("seed = 0", "precision = 'fp16'; fp16 = dict()", ConfigValueError, "precision", "cfg.py:28) both set the precision: only one of them can be given"),
    ("grad_clip=None)", "dtype='bfloat16'); precision = 'bf16'", ConfigValueError, "precision", "precision and optimizer_config.dtype ("),
    ("grad_clip=None)", "type='Fp16OptimizerHook'); precision = 'fp32'", ConfigValueError, "precision", "precision and Fp16OptimizerHook in optimizer_config.type ("),
    ("optimizer_config = dict(grad_clip=None)", "optimizer_config = None; precision = 'bf16'", ConfigValueError, "precision", "the model steps its optimizers itself"),
    ("seed = 0", "tf32 = 'yes'", ConfigValueError, "tf32", "tf32 must be True, False or None, not 'yes'"),
    ("seed = 0", "tf_32 = True", ConfigKeyError, "tf_32", "Did you mean 'tf32'?"),
    ("seed = 0", "channels_last = 1", ConfigValueError, "channels_last", "channels_last must be True or False, not 1"),
    ("seed = 0", "channel_last = True", ConfigKeyError, "channel_last", "Did you mean 'channels_last'?"),
    ("seed = 0", "compile = 'inductor'", ConfigValueError, "compile", "compile must be True, False or a dict"),
    ("seed = 0", "compile = dict(backnd='eager')", ConfigValueError, "compile.backnd", "compile has no setting 'backnd'"),
    ("seed = 0", "compile = dict(mode='reduce-overhed')", ConfigValueError, "compile.mode", "Did you mean 'reduce-overhead'?"),
    ("seed = 0", "compile = dict(backend='aot_eagr')", ConfigValueError, "compile.backend", "Did you mean 'aot_eager' or"),
    ("seed = 0", "compile = dict(backend='eager'); activation_checkpointing = ['backbone']", ConfigValueError, "compile.backend", "The backend 'eager' cannot compile modules of activation_checkpointing"),
    ("device = 'cpu'", "device = 'cpu'; optimizer = dict(type='Adam', fused=True); device = 'meta'", ConfigValueError, "optimizer.fused", "Adam has no fused implementation for the device meta: `fused=True` requires"),
    ("seed = 0", "activation_checkpointing = 'backbone'", ConfigValueError, "activation_checkpointing", "must be a list of names of modules"),
    ("seed = 0", "auto_scale_lr = 256", ConfigValueError, "auto_scale_lr", "must be a dict such as dict(base_batch_size=256)"),
    ("seed = 0", "auto_scale_lr = dict()", ConfigKeyError, "auto_scale_lr", "auto_scale_lr needs base_batch_size"),
    ("seed = 0", "auto_scale_lr = dict(base_batch_size=0)", ConfigValueError, "auto_scale_lr.base_batch_size", "base_batch_size must be at least 1, not 0"),
    ("seed = 0", "auto_scale_lr = dict(base_batch_size=8, enabled=True)", ConfigKeyError, "auto_scale_lr.enabled", "Did you mean 'enable'?"),
    ("seed = 0", "auto_scale_lr = dict(base_batch_size=8, enable=1)", ConfigValueError, "auto_scale_lr.enable", "enable must be True or False, not 1"),
    ("type='SGD', lr=0.05, momentum=0.9", "type='SGD', lr=0.05, fused=True, foreach=True", ConfigValueError, "optimizer.fused", "`fused` and `foreach` cannot be `True` together"),
    ("type='SGD', lr=0.05, momentum=0.9", "type='RMSprop', lr=0.05, fused=True", BuildError, "optimizer.fused", "takes no argument 'fused'"),
    ("checkpoint_config = dict(interval=1)", "checkpoint_config = dict(interval=-2)", ConfigValueError, "checkpoint_config.interval", "interval must be a positive int, or -1 to save only at the end, not -2"),
    ("checkpoint_config = dict(interval=1)", "checkpoint_config = dict(max_keep_ckpts=0)", ConfigValueError, "checkpoint_config.max_keep_ckpts", "positive int, or -1 to keep all, not 0"),
    ("checkpoint_config = dict(interval=1)", "checkpoint_config = dict(max_keep_ckpts=-2)", ConfigValueError, "checkpoint_config.max_keep_ckpts", "positive int, or -1 to keep all, not -2"),
    ("interval=20, hooks", "interval=-2, hooks", ConfigValueError, "log_config.interval", "interval must be a positive int, or -1 for no log of the training, not -2"),
    ("dict(type='TextLoggerHook')", "dict(type='TextLoggerHook', interval=-5)", ConfigValueError, "log_config.hooks[0].interval", "not -5"),
    ("grad_clip=None", "cumulative_iters=0", ConfigValueError, "optimizer_config.cumulative_iters", "cumulative_iters must be at least 1, not 0"),
    ("grad_clip=None", "grad_clip=dict(max_norm='1')", ConfigValueError, "optimizer_config.grad_clip.max_norm", "max_norm of clip_grad_norm_ must be a float, not '1'"),
    ("interval=20, hooks", "interval='20', hooks", ConfigValueError, "log_config.interval", "interval of TextLoggerHook must be an int, not '20'"),
    ("step=[2, 3]", "step=[0, 3]", ConfigValueError, "lr_config.step", "step must be at least 1, not 0"),
    ("step=[2, 3]", "step=[2, 'a']", ConfigValueError, "lr_config.step", "must be an int or a Sequence of int, not [2, 'a']"),
    ("step=[2, 3]", "step=[2, 3], warmup='linear', warmup_iters=0", ConfigValueError, "lr_config.warmup_iters", "warmup_iters must be positive and finite, not 0"),
    ("policy='step', step=[2, 3]", "policy='CosineAnnealing', min_lr=0, min_lr_ratio=0.1", ConfigValueError, "lr_config.min_lr", "needs exactly one target"),
    ("policy='step', step=[2, 3]", "policy='Torch', scheduler=dict(type='StepLR', step=1)", ConfigValueError, "lr_config.scheduler.step", "Did you mean 'step_size'"),
    ("momentum_config = None", "momentum_config = dict(policy='cyclic', cyclic_times=0)", ConfigValueError, "momentum_config.cyclic_times", "cyclic_times must be at least 1, not 0"),
    ("checkpoint_config = dict(interval=1)", "checkpoint_config = dict(interval=1, filename_tmpl='last.pth.{x}')", ConfigValueError, "checkpoint_config.filename_tmpl", "filename_tmpl must be a name"),
    ("dict(type='IterTimerHook', priority='LOW')", "dict(type='EMAHook', momentum=2)", ConfigValueError, "custom_hooks[0].momentum", "above 0 and below 1, not 2"),
    ("mean=78, std=96", "mean=78, std=0", ConfigValueError, "data.val.pipeline[0].std", "std must be positive"),
    # schedules
    ("policy='step', step=[2, 3]", "policy='CosineRestart', periods=[3], min_lr=0", ConfigValueError, "lr_config.periods", "the periods [3] end at 3, but the run ends at 4"),
    ("policy='step', step=[2, 3]", "policy='Torch', scheduler=dict(type='StepLr')", ConfigValueError, "lr_config.scheduler.type", "Did you mean 'StepLR'"),
    ("evaluation = dict(interval=1, metric='accuracy')", "lr_config = dict(policy='ReduceOnPlateau')", ConfigValueError, "lr_config", "there is no evaluation"),
    # scores
    ("dict(type='IterTimerHook', priority='LOW')", "dict(type='EarlyStoppingHook', monitor='acuracy')", ConfigValueError, "custom_hooks[0].monitor", "EarlyStoppingHook uses the score 'acuracy', and the scores are accuracy, loss. Did you mean 'accuracy'?"),
    ("policy='step', step=[2, 3]", "policy='ReduceOnPlateau', monitor='los'", ConfigValueError, "lr_config.monitor", "uses the score 'los', and the scores are accuracy, loss. Did you mean 'loss'?"),
    ("metric='accuracy')", "metric='accuracy', save_best='acc')", ConfigValueError, "evaluation.save_best", "save_best uses the score 'acc', and the scores are accuracy"),
    ("metric='accuracy'", "metric='acuracy'", ConfigValueError, "evaluation.metric", "metric must be 'accuracy', not 'acuracy'. Did you mean 'accuracy'?"),
    ("policy='step', step=[2, 3]", "policy='poly', pwer=2", BuildError, "lr_config.pwer", "Did you mean 'power'"),
    ("policy='step', step=[2, 3]", "policy='OneCycle', max_lr=1, by_epoch=True", ConfigValueError, "lr_config.by_epoch", "counts iterations"),
    ("momentum_config = None", "momentum_config = dict(policy='poly')", UnknownNameError, "momentum_config.policy", "known are CosineAnnealing, Cyclic"),
    ("type='EpochBasedRunner'", "type='EpochRunner'", UnknownNameError, "runner.type", "'EpochBasedRunner'"),
    ("policy='step'", "policy='stp'", UnknownNameError, "lr_config.policy", "Did you mean 'Step'"),
    ("type='TextLoggerHook'", "type='TxtLoggerHook'", UnknownNameError, "log_config.hooks[0].type", "'TextLoggerHook'"),
    ("type='IterTimerHook'", "type='TimerHook'", UnknownNameError, "custom_hooks[0].type", "'IterTimerHook'"),
    # a type that is missing
    ("type='SGD', ", "", UnknownNameError, "optimizer", 'must contain the key "type"'),
    ("dict(type='SGD', lr=0.05", "dict(tyep='SGD', lr=0.05", UnknownNameError, "optimizer.tyep", "Did you mean 'type' instead of 'tyep'?"),
    ("type='LeNet5'", "typ='LeNet5'", UnknownNameError, "model.backbone.typ", "Did you mean 'type' instead of 'typ'?"),
    ("policy='step'", "polciy='step'", UnknownNameError, "lr_config.polciy", "Did you mean 'policy' instead of 'polciy'?"),
    ("policy='step', ", "", UnknownNameError, "lr_config", "lr_config needs a policy, such as policy='step', or the type of a hook."),
    ("dict(type='TextLoggerHook')", "dict(Type='TextLoggerHook')", UnknownNameError, "log_config.hooks[0].Type", "Did you mean 'type'"),
    # keys that are not arguments
    ("priority='LOW'", "prioritty='LOW'", BuildError, "custom_hooks[0].prioritty", "Did you mean 'priority'?"),
    ("momentum=0.9)", "momentum=0.9, paramwise_cgf=dict())", BuildError, "optimizer.paramwise_cgf", "Did you mean 'paramwise_cfg' or"),
    ("max_epochs=4", "max_epochs=4, constructr='X'", BuildError, "runner.constructr", "Did you mean 'constructor'?"),
    ("num_classes=10)", "num_classes=10), init_cfg=dict(type='Constant', val=1, layer='Conv2d', overide=dict(name='loss'))", BuildError, "model.init_cfg.overide", "Did you mean 'override'?"),
    # arguments
    ("num_classes=10", "num_clases=10", BuildError, "model.backbone.num_clases", "Did you mean 'num_classes'"),
    ("scale=(32, 32)", "scales=(32, 32)", BuildError, "data.train.pipeline[0].scales", "Did you mean 'scale'"),
    ("momentum=0.9", "momentun=0.9", BuildError, "optimizer.momentun", "Did you mean 'momentum'"),
    ("max_epochs=4", "max_epoch=4", BuildError, "runner.max_epoch", "Did you mean 'max_epochs'"),
    ("grad_clip=None", "grad_clp=None", BuildError, "optimizer_config.grad_clp", "Did you mean 'grad_clip'"),
    ("step=[2, 3]", "step=[2, 3], gama=0.1", BuildError, "lr_config.gama", "Did you mean 'gamma'"),
    ("checkpoint_config = dict(interval=1)", "checkpoint_config = dict(intervall=1)", BuildError, "checkpoint_config.intervall", "Did you mean 'interval'"),
    ("metric='accuracy'", "metrc='accuracy'", BuildError, "evaluation.metrc", "Did you mean 'metric'"),
    ("metric='accuracy'", "metrics='accuracy'", ConfigValueError, "evaluation.metrics", "metrics must be a list such as ['Accuracy'], not 'accuracy'"),
    ("metric='accuracy'", "metrics=[]", ConfigValueError, "evaluation.metrics", "metrics is empty"),
    ("metric='accuracy'", "metrics=['F1', 'Acuracy']", UnknownNameError, "evaluation.metrics", "Did you mean 'Accuracy'"),
    ("metric='accuracy'", "metrics=[dict(type='Acuracy')]", UnknownNameError, "evaluation.metrics[0].type", "Did you mean 'Accuracy'"),
    ("metric='accuracy'", "metrics=[dict(type='F1', averge=None)]", BuildError, "evaluation.metrics[0].averge", "Did you mean 'average'"),
    ("metric='accuracy'", "metrics=[dict(type='F1', average='marco')]", ConfigValueError, "evaluation.metrics[0].average", "must be 'macro' or 'micro' or None, not 'marco'"),
    ("metric='accuracy'", "metrics=[dict(type='Accuracy', topk=[1, 0])]", ConfigValueError, "evaluation.metrics[0].topk", "topk must be at least 1, not 0"),
    ("metric='accuracy'", "metrics=['F1', 'F1']", ConfigValueError, "evaluation.metrics", "Two metrics have a score with the name 'f1'"),
    ("metric='accuracy'", "metrics=['F1'], save_best='f2'", ConfigValueError, "evaluation.save_best", "save_best uses the score 'f2', and the scores are f1, loss"),
    ("evaluation = dict(interval=1", "evaluation = dict(intervl=1", BuildError, "evaluation.intervl", "Did you mean 'interval'"),
    ("samples_per_gpu=32", "sample_per_gpu=32", ConfigKeyError, "data.sample_per_gpu", "Did you mean 'samples_per_gpu'"),
    ("samples_per_gpu=64", "sample_per_gpu=64", BuildError, "data.val_dataloader.sample_per_gpu", "Did you mean 'samples_per_gpu'"),
    ("log_config = dict(interval=20", "log_config = dict(intervals=20", ConfigKeyError, "log_config.intervals", "Did you mean 'interval'"),
    ("dict(type='TextLoggerHook')", "dict(type='TextLoggerHook', out_dir='s4://bucket')", ConfigValueError, "log_config.hooks[0].out_dir", "No file backend reads s4://"),
    # an argument that is missing
    ("step=[2, 3]", "", BuildError, "lr_config", "needs the argument 'step'"),
    ("mean=78, std=96", "mean=78", BuildError, "data.val.pipeline[0]", "needs the argument 'std'"),
    # types of values
    ("num_classes=10", "num_classes='10'", ConfigValueError, "model.backbone.num_classes", "not '10'"),
    ("lr=0.05", "lr='0.05'", ConfigValueError, "optimizer.lr", "not '0.05'"),
    ("max_epochs=4", "max_epochs=4, constructor='DefaultRunnerConstruktor'", ConfigValueError, "runner.constructor", "Did you mean 'DefaultRunnerConstructor'"),
    ("max_epochs=4", "max_epochs=4.5", ConfigValueError, "runner.max_epochs", "not 4.5"),
    ("samples_per_gpu=32", "samples_per_gpu=0", ConfigValueError, "data.samples_per_gpu", "samples_per_gpu must be at least 1, not 0"),
    ("samples_per_gpu=64", "samples_per_gpu=0", ConfigValueError, "data.val_dataloader.samples_per_gpu", "samples_per_gpu must be at least 1, not 0"),
    ("samples_per_gpu=32", "workers_per_gpu=-1", ConfigValueError, "data.workers_per_gpu", "workers_per_gpu must be at least 0, not -1"),
    ("samples_per_gpu=64", "workers_per_gpu=-1", ConfigValueError, "data.val_dataloader.workers_per_gpu", "workers_per_gpu must be at least 0, not -1"),
    ("samples_per_gpu=32", "workers_per_gpu=True", ConfigValueError, "data.workers_per_gpu", "must be an int, not True"),
    ("samples_per_gpu=64", "workers_per_gpu=True", ConfigValueError, "data.val_dataloader.workers_per_gpu", "must be an int, not True"),
    ("samples_per_gpu=32", "prefetch_factor=0", ConfigValueError, "data.prefetch_factor", "prefetch_factor must be at least 1, not 0"),
    ("samples_per_gpu=64", "prefetch_factor=0", ConfigValueError, "data.val_dataloader.prefetch_factor", "prefetch_factor must be at least 1, not 0"),
    ("samples_per_gpu=32", "prefetch_factor=-2", ConfigValueError, "data.prefetch_factor", "prefetch_factor must be at least 1, not -2"),
    ("samples_per_gpu=64", "prefetch_factor=-2", ConfigValueError, "data.val_dataloader.prefetch_factor", "prefetch_factor must be at least 1, not -2"),
    ("samples_per_gpu=32", "prefetch_factor=None", ConfigValueError, "data.prefetch_factor", "prefetch_factor of build_dataloader must be an int, not None"),
    ("samples_per_gpu=64", "prefetch_factor=None", ConfigValueError, "data.val_dataloader.prefetch_factor", "prefetch_factor of build_dataloader must be an int, not None"),
    ("samples_per_gpu=32", "pin_memory=1", ConfigValueError, "data.pin_memory", "pin_memory of build_dataloader must be a bool or None, not 1"),
    ("samples_per_gpu=64", "pin_memory=1", ConfigValueError, "data.val_dataloader.pin_memory", "pin_memory of build_dataloader must be a bool or None, not 1"),
    ("samples_per_gpu=32", "persistent_workers='no'", ConfigValueError, "data.persistent_workers", "persistent_workers of build_dataloader must be a bool, not 'no'"),
    ("samples_per_gpu=64", "persistent_workers='no'", ConfigValueError, "data.val_dataloader.persistent_workers", "persistent_workers of build_dataloader must be a bool, not 'no'"),
    ("samples_per_gpu=32", "drop_last=0", ConfigValueError, "data.drop_last", "drop_last of build_dataloader must be a bool, not 0"),
    ("samples_per_gpu=64", "drop_last=0", ConfigValueError, "data.val_dataloader.drop_last", "drop_last of build_dataloader must be a bool, not 0"),
    ("samples_per_gpu=32", "timeout=-1", ConfigValueError, "data.timeout", "timeout must be a number of seconds, or 0 for no limit, not -1"),
    ("samples_per_gpu=64", "timeout=-1", ConfigValueError, "data.val_dataloader.timeout", "timeout must be a number of seconds, or 0 for no limit, not -1"),
    ("samples_per_gpu=32", "timeout='5'", ConfigValueError, "data.timeout", "not '5'"),
    ("samples_per_gpu=32", "time_out=5", ConfigKeyError, "data.time_out", "data has no setting 'time_out'. Did you mean 'timeout'?"),
    ("samples_per_gpu=64", "time_out=5", BuildError, "data.val_dataloader.time_out", "no argument 'time_out'. Did you mean 'timeout'?"),
    ("samples_per_gpu=32", "batch_size=0", ConfigValueError, "data.batch_size", "batch_size must be at least 1, not 0"),
    ("samples_per_gpu=64", "batch_size='4'", ConfigValueError, "data.val_dataloader.batch_size", "batch_size must be an int, not '4'"),
    ("samples_per_gpu=64", "num_workers=-1", ConfigValueError, "data.val_dataloader.num_workers", "num_workers must be at least 0, not -1"),
    ("samples_per_gpu=32", "samples_per_gpu=32, batch_size=32", ConfigKeyError, "data.batch_size", "batch_size and samples_per_gpu are the same setting"),
    ("samples_per_gpu=64", "workers_per_gpu=1, num_workers=1", ConfigKeyError, "data.val_dataloader.num_workers", "num_workers and workers_per_gpu are the same setting"),
    ("samples_per_gpu=32", "batch_sise=4", ConfigKeyError, "data.batch_sise", "Did you mean 'batch_size'?"),
    ("samples_per_gpu=64", "batch_sise=4", BuildError, "data.val_dataloader.batch_sise", "Did you mean 'batch_size'?"),
    ("samples_per_gpu=32", "on_error='skp'", ConfigValueError, "data.on_error", "on_error must be 'raise' or 'skip', not 'skp'"),
    ("samples_per_gpu=64", "on_error='skip'", ConfigValueError, "data.val_dataloader.on_error", "Only samples of the train dataset can be skipped"),
    ("samples_per_gpu=32", "max_skipped=-1", ConfigValueError, "data.max_skipped", "max_skipped must be at least 0, not -1"),
    ("samples_per_gpu=32", "collate_fn='colate'", ConfigValueError, "data.collate_fn", "Did you mean 'collate'?"),
    ("samples_per_gpu=32", "collate_fn='torch.utils.data.default_colate'", ConfigValueError, "data.collate_fn", "'torch.utils.data' has no 'default_colate'"),
    ("samples_per_gpu=64", "collate_fn=3", ConfigValueError, "data.val_dataloader.collate_fn", "collate_fn must be the name of a function"),
    ("samples_per_gpu=32", "collate_fn=dict(type='collate', samples_per_gpus=2)", BuildError, "data.collate_fn.samples_per_gpus", "Did you mean 'samples_per_gpu'?"),
    ("samples_per_gpu=64", "device='cpu'", ConfigKeyError, "data.val_dataloader.device", "determined by the run"),
    ("samples_per_gpu=32", "deadline=-1", ConfigKeyError, "data.deadline", "data has no setting 'deadline'"),
    ("samples_per_gpu=64", "deadline=-1", BuildError, "data.val_dataloader.deadline", "takes no argument 'deadline'"),
    ("samples_per_gpu=64", "seed=3", ConfigKeyError, "data.val_dataloader.seed", "'seed' is not a setting of a loader"),
    ("samples_per_gpu=64", "world_size=2", ConfigKeyError, "data.val_dataloader.world_size", "determined by the run"),
    ("samples_per_gpu=32", "samples_per_gpu='all'", ConfigValueError, "data.samples_per_gpu", "not 'all'"),
    ("split='val'", "split='vall'", ConfigValueError, "data.val.split", "'train' or 'val' or 'test'"),
    ("optimizer = dict(type='SGD', lr=0.05, momentum=0.9)", "optimizer = 'SGD'", ConfigValueError, "optimizer", "a dict with a type, not 'SGD'"),
    # plain settings
    ("workflow = [('train', 1), ('val', 1)]", "workflow = ['train']", ConfigValueError, "workflow", "such as [('train', 1)]"),
    ("workflow = [('train', 1), ('val', 1)]", "workflow = [('train', 1), ('val', 0)]", ConfigValueError, "workflow", "A flow runs at least once, not 0 times, as 'val'"),
    ("metric='accuracy')", "metric='accuracy', save_best='acuracy')", ConfigValueError, "evaluation.save_best", "the scores are accuracy, loss. Did you mean 'accuracy'?"),
    ("seed = 0", "seed = -1", ConfigValueError, "seed", "seed must be from 0 to 9223372036854775807, not -1"),
    ("seed = 0", "seed = True", ConfigValueError, "seed", "seed must be an integer, not True"),
    ("log_level = 'INFO'", "log_level = 'LOUD'", ConfigValueError, "log_level", "log_level must be DEBUG, INFO, WARNING or ERROR, not 'LOUD'"),
    ("device = 'cpu'", "device = 'gpu'", ConfigValueError, "device", "'gpu' is not a device"),
    ("device = 'cpu'", "device = 'cuda:77'", ConfigValueError, "device", "'cuda:77' is not available"),
    ("seed = 0", "load_from = 'nothing.pth'", ConfigValueError, "load_from", "'nothing.pth' is not there"),
    ("seed = 0", "resume_from = 'nothing.pth'", ConfigValueError, "resume_from", "'nothing.pth' is not there"),
    ("priority='LOW'", "priority='LOWW'", ConfigValueError, "custom_hooks[0].priority", "Did you mean 'LOW'"),
    ("priority='LOW'", "priority=101", ConfigValueError, "custom_hooks[0].priority", "from 0 to 100, not 101"),
    ("log_config = dict(interval=20, hooks=[\n    dict(type='TextLoggerHook')])", "log_config = []", ConfigValueError, "log_config", "dict(interval=..., hooks=[...])"),
    ("evaluation = dict(interval=1, metric='accuracy')", "evaluation = True", ConfigValueError, "evaluation", "a dict, not True"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "error", "key", "text"), WRONG)
def test_every_mistake_is_found_with_its_place(
    load: Load, old: str, new: str, error: type[Exception], key: str, text: str
) -> None:
    """One mistake is one error with the key, file and line of the mistake, and a suggestion."""
    cfg = load((old, new))
    with pytest.raises(error) as caught:
        check(cfg)
    problem: Any = caught.value
    message = str(problem)
    lines = Path("cfg.py").read_text().splitlines()
    first = new.split("\n", 1)[0] or key
    line = 1 + next((i for i, words in enumerate(lines) if first in words), 0)
    assert text in message
    assert f"at {key} ({Path('cfg.py').absolute()}:" in message
    assert (problem.file, problem.key) == (str(Path("cfg.py").absolute()), key)
    assert f"cfg.py:{problem.line})" in message
    assert "Did you mean" not in problem.message
    assert "\n" not in problem.message + problem.hint
    if new:
        assert problem.line == line


@pytest.mark.parametrize("key", ["load_from", "model.init_cfg"])
def test_checkpoints_may_be_missing_if_files_are_not_checked(load: Load, key: str) -> None:
    """``files=False`` accepts a config whose checkpoints do not exist; a URL is never checked."""
    cfg = load()
    file: Any = "nothing.pth" if key == "load_from" else {"type": "Pretrained", "checkpoint": "nothing.pth"}
    cfg.merge_from_dict({key: file})
    check(cfg, files=False)
    with pytest.raises(ConfigValueError, match=r"'nothing\.pth' is not there"):
        check(cfg)
    if key != "load_from":
        cfg.model.init_cfg.checkpoint = "https://example.org/nothing.pth"
        check(cfg)


@pytest.mark.parametrize("key", ["model", "data", "optimizer", "runner"])
def test_a_missing_required_key_is_found(load: Load, key: str) -> None:
    """A config without a required key is an error that names the file."""
    cfg = load()
    del cfg[key]
    (problem, *_rest) = [p for p in find_problems(cfg) if f"no {key!r}" in str(p)]
    assert isinstance(problem, ConfigKeyError)
    assert str(Path("cfg.py").absolute()) in str(problem)


def test_data_needs_a_train_part(load: Load) -> None:
    """``data`` without ``train`` is an error."""
    with pytest.raises(ConfigKeyError, match="data has no 'train'"):
        check(load(("    train=dict(type='Digits', split='train', pipeline=pipeline),\n", "")))


def test_evaluation_needs_data(load: Load) -> None:
    """An evaluation without ``data.val`` is an error."""
    text = RIGHT.replace(
        "val=dict(type='Digits', split='val', pipeline=[\n        dict(type='Normalize', mean=78, std=96)]),\n",
        "",
    )
    problems = [str(problem) for problem in find_problems(load(text=text))]
    assert ["no data.val to evaluate on" in problems[0], "runs 'val'" in problems[1]] == [True, True]


def test_data_is_a_dict(load: Load) -> None:
    """``data`` that is not a dict is one error."""
    text = RIGHT[: RIGHT.index("data =")] + "data = 3\n" + RIGHT[RIGHT.index("optimizer =") :]
    problems = list(find_problems(load(text=text.replace("evaluation =", "_evaluation ="))))
    assert [p.key for p in problems] == ["data"]


def test_all_mistakes_are_reported_at_once(load: Load) -> None:
    """Several mistakes are one error that lists them and holds each as ``errors``."""
    cfg = load(
        ("type='SGD'", "type='SDG'"), ("num_classes=10", "num_clases=10"), ("seed = 0", "seed = -1"),
    )  # fmt: skip
    with pytest.raises(CheckError, match="There are 3 problems with the config") as caught:
        check(cfg)
    assert [type(error) for error in caught.value.errors] == [BuildError, UnknownNameError, ConfigValueError]
    for i, error in enumerate(caught.value.errors, 1):
        assert f"\n{i}. {error}" in str(caught.value)
    assert caught.value.exit_code == 2


class Trap(Hook):
    """Cannot be built."""

    def __init__(self, size: int = 1) -> None:
        raise AssertionError("built")


def test_nothing_is_built(load: Load) -> None:
    """Checking calls no constructor of models, datasets, and custom transforms and hooks."""
    for registry in (MODELS, DATASETS, PIPELINES, HOOKS):
        registry.register_module(name="Trap", module=Trap)
    cfg = load(
        ("type='LeNet5', num_classes=10", "type='Trap', size=2"),
        ("type='Resize', scale=(32, 32)", "type='Trap'"),
        ("type='Digits', split='train'", "type='Digits', split='test'"),
        ("type='IterTimerHook'", "type='Trap'"),
    )
    check(cfg)


def test_config_is_not_changed(load: Load) -> None:
    """Checking does not change the config."""
    cfg, twin = load(), load()
    check(cfg)
    assert cfg._cfg_dict == twin._cfg_dict


def test_the_random_state_is_not_changed(load: Load) -> None:
    """Checking draws no random number."""
    before = torch.get_rng_state()
    check(load())
    assert torch.equal(torch.get_rng_state(), before)


CUSTOM = [
    "train_pipeline = []",
    "img_norm_cfg = dict(mean=0)",
    "num_classes = 10",
    "dataset_type = 'Digits'",
    "models = [1]",
    "runners = 3",
    "_seeed = 3",
    "work_dirs = 'a'",
]


@pytest.mark.parametrize("line", CUSTOM)
def test_custom_variables_are_allowed(load: Load, line: str) -> None:
    """A config may have other variables; one similar to a setting is allowed if that is set too."""
    check(load(text=f"{RIGHT}work_dir = None\n{line}\n"))


@pytest.mark.parametrize("key", KEYS)
def test_known_keys_are_not_misspellings(key: str) -> None:
    """No known key is reported as a misspelling of another."""
    problems = find_problems(Config({key: None}))
    assert not any("There is no setting" in str(problem) for problem in problems)


def test_dicts_for_unknown_registries_are_not_checked(load: Load) -> None:
    """A dict that a component builds from a custom registry, or uses as plain data, is not an error."""

    @MODELS.register_module()
    class Wrapper(nn.Module):
        def __init__(self, backbone: Any, neck: Any = None, test_cfg: Any = None) -> None:
            super().__init__()

        def train_step(self, batch: Any, optimizer: Any) -> Any:
            raise AssertionError("It is only checked.")

    nested = (
        "type='Wrapper', neck=dict(type='SomeoneElses', a=1), test_cfg=dict(nms=dict(type='nms', iou=0.5))"
    )
    check(
        load(
            ("    type='ImageClassifier',", f"    {nested},"),
            ("    loss=dict(type='torch.nn.CrossEntropyLoss'))", ")"),
        )
    )


def test_names_that_a_project_has_too_are_not_checked(load: Load) -> None:
    """A model of a project may build its parts from its own registry, whose names cfgtrain may have as well."""
    own = Registry("models", parent=MODELS, scope="shop")

    @own.register_module()
    class ShopModel(nn.Module):
        def __init__(self, head: Any) -> None:
            super().__init__()

        def train_step(self, batch: Any, optimizer: Any) -> Any:
            raise AssertionError("It is only checked.")

    @own.register_module()
    class LinearClsHead(nn.Module):
        def __init__(self, num_classes: int, cal_acc: bool) -> None:
            super().__init__()

    begin, end = RIGHT.index("model ="), RIGHT.index("pipeline =")
    for kind in ("ShopModel", "shop.ShopModel"):
        model = f"model = dict(type={kind!r}, head=dict(type='LinearClsHead', num_classes=4, cal_acc=True))\n"
        check(load(text=RIGHT[:begin] + model + RIGHT[end:]))


@pytest.mark.parametrize(
    "layer",
    [
        "type='BaseTransformerLayer', attn_cfgs=[]",  # looks like VisionTransformer
        "type='reflect'",  # looks like ResNet
        "type='nearest', scale_factor=2",
        "type='mmcv.BN'",
        "type='torch.nn.BatchNorm2d', requires_grad=False",  # build_norm_layer takes it
        "type='BaseTransformerLayr'",  # a mistake, but not one in the name of a model
    ],
)
def test_layers_of_other_registries_are_not_models(load: Load, layer: str) -> None:
    """A config inside a model may be for any registry, even if its type looks like the name of a model."""

    @MODELS.register_module()
    class WithLayer(nn.Module):
        def __init__(self, num_classes: int, layer: Any) -> None:
            super().__init__()

    check(load(("type='LeNet5', num_classes=10", f"type='WithLayer', num_classes=10, layer=dict({layer})")))


def test_an_argument_that_the_outer_object_adds_is_not_missing(load: Load) -> None:
    """The outer object may add arguments to a nested one; misspelled arguments are still found."""

    @MODELS.register_module()
    class Head(nn.Module):
        def __init__(self, in_channels: int, width: int = 1) -> None:
            super().__init__()

    check(load(("type='LeNet5', num_classes=10", "type='Head'")))
    with pytest.raises(BuildError, match="Did you mean 'width'"):
        check(load(("type='LeNet5', num_classes=10", "type='Head', widht=3")))


def test_any_argument_is_allowed_for_kwargs(load: Load) -> None:
    """A constructor with ``**kwargs`` accepts any argument."""

    @HOOKS.register_module()
    class Open(Hook):
        def __init__(self, **kwargs: Any) -> None:
            self.kwargs = kwargs

    check(load(("type='IterTimerHook'", "type='Open', anything=1")))


def test_classes_and_import_paths_are_allowed(load: Load) -> None:
    """A ``type`` may be the import path of a class."""
    cfg = load(
        ("log_level = 'INFO'", "from torch.optim import SGD\nlog_level = 'INFO'"),
        ("type='SGD'", "type='torch.optim.SGD'"),
    )
    check(cfg)


def test_wrapped_datasets_are_checked(load: Load) -> None:
    """A mistake in a dataset inside another is found with its key path."""

    @DATASETS.register_module()
    class Repeat:
        def __init__(self, dataset: Any, times: int) -> None:
            pass

    wrapped = (
        "train=dict(type='Repeat', times=2, dataset=dict(type='Digits', spilt='train', pipeline=pipeline))"
    )
    cfg = load(("train=dict(type='Digits', split='train', pipeline=pipeline)", wrapped))
    with pytest.raises(BuildError, match="Did you mean 'split'") as caught:
        check(cfg)
    assert "at data.train.dataset.spilt (" in str(caught.value)


def test_an_existing_checkpoint_is_accepted(load: Load) -> None:
    """``load_from`` may be an existing file."""
    torch.save({"weight": torch.ones(1)}, "w.pth")
    check(load(("seed = 0", "load_from = 'w.pth'")))


def test_losses_and_augmentations_of_a_classifier(load: Load) -> None:
    """A wrong name of a loss, and a wrong argument of an augmentation, are found at their places."""
    augments = (
        "    augments=[dict(type='Mixup', alfa=1), dict(type='CutMix', alpha=0)],\n    loss='FocalLos')"
    )
    cfg = load(("    loss=dict(type='torch.nn.CrossEntropyLoss'))", augments))
    first, third, second = sorted(find_problems(cfg), key=lambda problem: str(problem.key))
    assert (first.key, second.key) == ("model.augments[0].alfa", "model.loss")
    assert "Mixup takes no argument 'alfa'" in str(first)
    assert third.key == "model.augments[1].alpha"
    assert "alpha must be positive and finite, not 0" in str(third)
    assert "Did you mean 'FocalLoss'" in str(second)
