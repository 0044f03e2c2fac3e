"""Every registry but MODELS, which lives beside its build function in ``cfgtrain.cnn``."""

from cfgtrain.registry.registry import Registry

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

# What decides which parameters an optimizer gets, and with which settings.
OPTIMIZER_BUILDERS = Registry("optimizer builder", scope="cfgtrain", home="cfgtrain.optim")

# Initial weights, by the type of an init_cfg.
INITIALIZERS = Registry("weight initializer", scope="cfgtrain", home="cfgtrain.cnn.init.initializers")
