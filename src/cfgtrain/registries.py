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

# Transforms of whole batches, which a model performs in training.
BATCH_TRANSFORMS = Registry("batch transform", scope="cfgtrain", home="cfgtrain.data")

# Functions that merge samples into a batch.
COLLATE_FUNCTIONS = Registry("collate function", scope="cfgtrain", home="cfgtrain.parallel")

# Wrappers around models, which have the model as their attribute ``module``.
MODULE_WRAPPERS = Registry("module wrapper", scope="cfgtrain", home="cfgtrain.parallel")

# What scores predictions, batch by batch.
METRICS = Registry("metric", scope="cfgtrain", home="cfgtrain.metrics")

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

# The layers of networks. Each has a builder in cfgtrain.cnn.bricks, such as build_conv_layer.
CONV_LAYERS = Registry("conv layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
NORM_LAYERS = Registry("norm layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
ACTIVATION_LAYERS = Registry("activation layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
PADDING_LAYERS = Registry("padding layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
UPSAMPLE_LAYERS = Registry("upsample layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
PLUGIN_LAYERS = Registry("plugin layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")
DROPOUT_LAYERS = Registry("dropout layer", scope="cfgtrain", home="cfgtrain.cnn.bricks")

# The parts of transformers.
POSITIONAL_ENCODING = Registry(
    "positional encoding", scope="cfgtrain", home="cfgtrain.cnn.bricks.transformer"
)
ATTENTION = Registry("attention", scope="cfgtrain", home="cfgtrain.cnn.bricks.transformer")
FEEDFORWARD_NETWORK = Registry(
    "feed-forward network", scope="cfgtrain", home="cfgtrain.cnn.bricks.transformer"
)
TRANSFORMER_LAYER = Registry("transformer layer", scope="cfgtrain", home="cfgtrain.cnn.bricks.transformer")
TRANSFORMER_LAYER_SEQUENCE = Registry(
    "transformer layer sequence", scope="cfgtrain", home="cfgtrain.cnn.bricks.transformer"
)
