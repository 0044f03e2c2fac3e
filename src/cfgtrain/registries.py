"""All registries of cfgtrain."""

from cfgtrain.registry.registry import Registry

# Networks and their layers. The build function needs torch, so it is imported when it is first used.
MODELS = Registry(
    "model",
    build_func="cfgtrain.cnn.builder.build_model_from_cfg",
    scope="cfgtrain",
    home="cfgtrain.models",
)

# Data sets, the transforms of a pipeline, and samplers.
DATASETS = Registry("dataset", scope="cfgtrain", home="cfgtrain.data")
PIPELINES = Registry("pipeline", scope="cfgtrain", home="cfgtrain.data")
SAMPLERS = Registry("sampler", scope="cfgtrain", home="cfgtrain.data")

# Runners, the classes that build them, and hooks.
RUNNERS = Registry("runner", scope="cfgtrain", home="cfgtrain.runner")
RUNNER_BUILDERS = Registry("runner builder", scope="cfgtrain", home="cfgtrain.runner")
HOOKS = Registry("hook", scope="cfgtrain", home="cfgtrain.runner.hooks")

# The optimizers of torch.optim, and those of projects.
OPTIMIZERS = Registry("optimizer", scope="cfgtrain", home="cfgtrain.optim")

# The schedulers of torch.optim.lr_scheduler.
TORCH_SCHEDULERS = Registry(
    "torch scheduler", scope="cfgtrain", home="cfgtrain.runner.hooks.schedules.torch_scheduler"
)

# Optimizer constructors, which decide on the parameters and settings of an optimizer.
OPTIMIZER_BUILDERS = Registry("optimizer builder", scope="cfgtrain", home="cfgtrain.optim")

# Weight initializers, the types of an init_cfg.
INITIALIZERS = Registry("weight initializer", scope="cfgtrain", home="cfgtrain.cnn.init.initializers")
