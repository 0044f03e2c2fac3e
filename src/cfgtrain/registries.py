"""Every registry."""

from cfgtrain.registry.registry import Registry

# Networks and their layers. The build function needs torch: its import path is resolved when it is first used.
MODELS = Registry(
    "model",
    build_func="cfgtrain.cnn.builder.build_model_from_cfg",
    scope="cfgtrain",
    home="cfgtrain.models",
)

# What goes through the data: data sets, the transforms of a pipeline, the order of samples.
DATASETS = Registry("dataset", scope="cfgtrain", home="cfgtrain.data")
PIPELINES = Registry("pipeline", scope="cfgtrain", home="cfgtrain.data")
SAMPLERS = Registry("sampler", scope="cfgtrain", home="cfgtrain.data")

# What runs the training.
RUNNERS = Registry("runner", scope="cfgtrain", home="cfgtrain.runner")
RUNNER_BUILDERS = Registry("runner builder", scope="cfgtrain", home="cfgtrain.runner")
HOOKS = Registry("hook", scope="cfgtrain", home="cfgtrain.runner.hooks")

# Every optimizer of torch.optim, and those of projects.
OPTIMIZERS = Registry("optimizer", scope="cfgtrain", home="cfgtrain.optim")

# The schedulers of torch.optim.lr_scheduler.
TORCH_SCHEDULERS = Registry(
    "torch scheduler", scope="cfgtrain", home="cfgtrain.runner.hooks.schedules.torch_scheduler"
)

# What decides which parameters an optimizer gets, and with which settings.
OPTIMIZER_BUILDERS = Registry("optimizer builder", scope="cfgtrain", home="cfgtrain.optim")

# Initial weights, by the type of an init_cfg.
INITIALIZERS = Registry("weight initializer", scope="cfgtrain", home="cfgtrain.cnn.init.initializers")
