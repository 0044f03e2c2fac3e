"""Where the names of MMCV 1.7.2 are in cfgtrain: plain data.

A module of MMCV has the names of one or more modules of cfgtrain, in the order in which they are searched. Those that
import least come first. What is neither in ``UNCHANGED`` nor in ``MOVED`` is no module of MMCV.
"""

from __future__ import annotations

__all__ = ["IMPORTED", "MOVED", "NAMED_LIKE_MODULES", "UNCHANGED"]

# Modules that have the same path below cfgtrain.
UNCHANGED = (
    "arraymisc",
    "cnn",
    "cnn.alexnet",
    "cnn.bricks",
    "cnn.bricks.conv",
    "cnn.bricks.conv2d_adaptive_padding",
    "cnn.bricks.conv_module",
    "cnn.bricks.conv_ws",
    "cnn.bricks.depthwise_separable_conv_module",
    "cnn.bricks.drop",
    "cnn.bricks.generalized_attention",
    "cnn.bricks.non_local",
    "cnn.bricks.norm",
    "cnn.bricks.padding",
    "cnn.bricks.scale",
    "cnn.bricks.transformer",
    "cnn.bricks.upsample",
    "engine",
    "fileio",
    "fileio.handlers",
    "fileio.parse",
    "image",
    "parallel",
    "runner",
    "runner.hooks",
    "runner.hooks.checkpoint",
    "runner.hooks.closure",
    "runner.hooks.ema",
    "runner.hooks.optimizer",
    "runner.hooks.profiler",
    "runner.hooks.sampler_seed",
    "runner.log_buffer",
    "video",
    "video.io",
    "video.optflow",
    "video.processing",
    "visualization",
    "visualization.color",
)

_WITHOUT_TORCH = (
    "cfgtrain.utils",
    "cfgtrain.fileio",
    "cfgtrain.image",
    "cfgtrain.video",
    "cfgtrain.visualization",
    "cfgtrain.arraymisc",
)

_WRAPPERS = ("Conv2d", "ConvTranspose2d", "Linear", "MaxPool2d")

# Modules whose names are elsewhere in cfgtrain. An entry "module:name" is one name, and "module:name=old" has
# another name in MMCV.
MOVED: dict[str, tuple[str, ...]] = {
    "": (*_WITHOUT_TORCH, "cfgtrain.compat.mmcv.version", "cfgtrain.compat.mmcv.build", "cfgtrain"),
    "arraymisc.quantization": ("cfgtrain.arraymisc",),
    "cnn.bricks.activation": (
        "cfgtrain.cnn.bricks.activation",
        "torch.nn:GELU",
        "torch.nn:SiLU",
        "cfgtrain.registries",
    ),
    "cnn.bricks.context_block": ("cfgtrain.cnn.bricks.context_block", "cfgtrain.compat.mmcv.layers:last_zero_init"),
    "cnn.bricks.hsigmoid": ("cfgtrain.cnn.bricks.activation:HSigmoid",),
    "cnn.bricks.hswish": ("cfgtrain.cnn.bricks.activation:HSwish",),
    "cnn.bricks.plugin": ("cfgtrain.cnn.bricks.plugin", "cfgtrain.cnn.bricks.norm:infer_abbr"),
    "cnn.bricks.registry": ("cfgtrain.registries",),
    "cnn.bricks.swish": ("cfgtrain.cnn.bricks.activation:Swish",),
    "cnn.bricks.wrappers": (
        "cfgtrain.cnn.bricks.wrappers",
        "cfgtrain.compat.mmcv.build:TORCH_VERSION",
        "cfgtrain.compat.mmcv.layers:NewEmptyTensorOp",
        "cfgtrain.compat.mmcv.layers:obsolete_torch_version",
    ),
    "cnn.builder": ("cfgtrain.cnn.builder", "cfgtrain.registries"),
    "cnn.resnet": (
        "cfgtrain.cnn.resnet",
        "cfgtrain.cnn.resnet:BasicBlock",
        "cfgtrain.cnn.resnet:Bottleneck",
        "cfgtrain.compat.mmcv.layers:conv3x3",
    ),
    "cnn.rfsearch": (),
    "cnn.rfsearch.operator": (),
    "cnn.rfsearch.search": (),
    "cnn.rfsearch.utils": (),
    "cnn.utils": ("cfgtrain.cnn.init", "cfgtrain.cnn.tools", "cfgtrain.registries:INITIALIZERS"),
    "cnn.utils.flops_counter": (
        "cfgtrain.cnn.tools.complexity",
        "cfgtrain.compat.mmcv.layers:get_model_parameters_number",
    ),
    "cnn.utils.fuse_conv_bn": ("cfgtrain.cnn.tools.fusing",),
    "cnn.utils.sync_bn": ("cfgtrain.cnn.tools.sync_bn",),
    "cnn.utils.weight_init": (
        "cfgtrain.cnn.init.initializers",
        "cfgtrain.cnn.init.initializers:BaseInit",
        "cfgtrain.cnn.init.functions",
        "cfgtrain.cnn.init.record",
        "cfgtrain.registries:INITIALIZERS",
        "torch.nn.init:trunc_normal_",
    ),
    "cnn.vgg": ("cfgtrain.cnn.vgg", "cfgtrain.compat.mmcv.layers:dilated_conv3x3=conv3x3"),
    "device": (
        "cfgtrain.compat.mmcv.devices:get_device",
        "cfgtrain.parallel.scatter_gather:scatter",
        "cfgtrain.parallel.scatter_gather:scatter_kwargs",
    ),
    "device.ipu": (),
    "device.mlu": (),
    "device.mps": (),
    "device.npu": (),
    "device.scatter_gather": ("cfgtrain.parallel.scatter_gather",),
    "device.utils": ("cfgtrain.compat.mmcv.devices:get_device",),
    "engine.test": ("cfgtrain.evaluation.inference", "cfgtrain.evaluation.collect"),
    "fileio.file_client": (
        "cfgtrain.fileio.client",
        "cfgtrain.fileio.backends.base",
        "cfgtrain.fileio.backends.disk",
        "cfgtrain.fileio.backends.http",
        "cfgtrain.fileio.backends.key_value",
        "cfgtrain.fileio.backends.object_store",
    ),
    "fileio.handlers.base": ("cfgtrain.fileio.handlers:BaseFileHandler",),
    "fileio.handlers.json_handler": (
        "cfgtrain.fileio.handlers:JsonHandler",
        "cfgtrain.compat.mmcv.arrays:set_default",
    ),
    "fileio.handlers.pickle_handler": ("cfgtrain.fileio.handlers:PickleHandler",),
    "fileio.handlers.yaml_handler": ("cfgtrain.fileio.handlers:YamlHandler",),
    "fileio.io": (
        "cfgtrain.fileio.io",
        "cfgtrain.fileio.handlers",
        "cfgtrain.compat.mmcv.arrays:FileLikeObject",
    ),
    "image.colorspace": ("cfgtrain.image.colorspace", "cfgtrain.compat.mmcv.arrays:convert_color_factory"),
    "image.geometric": (
        "cfgtrain.image.boxes",
        "cfgtrain.image.crop",
        "cfgtrain.image.erase",
        "cfgtrain.image.flip",
        "cfgtrain.image.pad",
        "cfgtrain.image.rescale",
        "cfgtrain.image.resize",
        "cfgtrain.image.warp",
    ),
    "image.io": ("cfgtrain.image.io", "cfgtrain.image.backends"),
    "image.misc": ("cfgtrain.image.tensors",),
    "image.photometric": (
        "cfgtrain.image.photometric",
        "cfgtrain.image.point_operations",
        "cfgtrain.image.normalize",
    ),
    "onnx": (),
    "ops": ("cfgtrain.ops", *(f"cfgtrain.cnn.bricks.wrappers:{name}" for name in _WRAPPERS)),
    "ops.bbox": ("cfgtrain.ops.boxes",),
    "ops.carafe": ("cfgtrain.ops:CARAFEPack", "cfgtrain.ops.reassembly"),
    "ops.cc_attention": ("cfgtrain.ops:CrissCrossAttention",),
    "ops.deprecated_wrappers": tuple(
        f"cfgtrain.cnn.bricks.wrappers:{name}={name}_deprecated" for name in _WRAPPERS
    ),
    "ops.focal_loss": ("cfgtrain.ops.focal_loss",),
    "ops.nms": ("cfgtrain.ops.suppression",),
    "ops.sync_bn": ("torch.nn:SyncBatchNorm",),
    "parallel._functions": (
        "cfgtrain.parallel.scatter_gather",
        "cfgtrain.compat.mmcv.devices:synchronize_stream",
    ),
    "parallel.collate": ("cfgtrain.parallel.data_container",),
    "parallel.data_container": (
        "cfgtrain.parallel.data_container",
        "cfgtrain.compat.mmcv.arrays:assert_tensor_type",
    ),
    "parallel.data_parallel": ("cfgtrain.parallel.wrappers",),
    "parallel.distributed": ("cfgtrain.parallel.wrappers",),
    "parallel.distributed_deprecated": ("cfgtrain.parallel.wrappers",),
    "parallel.registry": ("cfgtrain.registries:MODULE_WRAPPERS",),
    "parallel.scatter_gather": (
        "cfgtrain.parallel.scatter_gather",
        "cfgtrain.compat.mmcv.devices:ScatterInputs",
    ),
    "parallel.utils": ("cfgtrain.parallel.wrappers",),
    "runner.base_module": ("cfgtrain.cnn.module",),
    "runner.base_runner": ("cfgtrain.runner.base",),
    "runner.builder": ("cfgtrain.runner.builder", "cfgtrain.registries"),
    # The modules that use the names come first, so that a patched name has an effect.
    "runner.checkpoint": (
        "cfgtrain.checkpoint.load",
        "cfgtrain.checkpoint.save",
        "cfgtrain.checkpoint.state_dict",
        "cfgtrain.checkpoint.schemes",
        "cfgtrain.checkpoint.model_zoo",
        "cfgtrain.runner.checkpoint",
    ),
    "runner.default_constructor": ("cfgtrain.runner.builder",),
    "runner.dist_utils": ("cfgtrain.parallel.dist",),
    "runner.epoch_based_runner": ("cfgtrain.runner.epoch_based",),
    "runner.fp16_utils": ("cfgtrain.runner.fp16_utils", "cfgtrain.amp"),
    "runner.hooks.hook": ("cfgtrain.runner.hooks.hook", "cfgtrain.registries:HOOKS"),
    "runner.hooks.evaluation": (
        "cfgtrain.runner.hooks.evaluation",
        "cfgtrain.runner.hooks.evaluation.eval_hook",
        "cfgtrain.runner.hooks.evaluation.dist_eval_hook",
    ),
    "runner.hooks.iter_timer": ("cfgtrain.runner.hooks.timer",),
    "runner.hooks.logger": ("cfgtrain.runner.hooks.loggers",),
    **{
        f"runner.hooks.logger.{name}": (f"cfgtrain.runner.hooks.loggers.{name}",)
        for name in (
            "base", "clearml", "dvclive", "mlflow", "neptune", "pavi", "segmind", "tensorboard", "text", "wandb",
        )
    },
    "runner.hooks.lr_updater": (
        "cfgtrain.runner.hooks.schedules.base",
        "cfgtrain.runner.hooks.schedules.policies",
        "cfgtrain.compat.mmcv.annealing",
    ),
    "runner.hooks.memory": ("cfgtrain.runner.hooks.empty_cache",),
    "runner.hooks.momentum_updater": (
        "cfgtrain.runner.hooks.schedules.base",
        "cfgtrain.runner.hooks.schedules.policies",
    ),
    "runner.hooks.sync_buffer": ("cfgtrain.runner.hooks.sync_buffers",),
    "runner.iter_based_runner": ("cfgtrain.runner.iter_based",),
    "runner.optimizer": (
        "cfgtrain.optim.builder:build_optimizer",
        "cfgtrain.optim.builder:build_optimizer_constructor",
        "cfgtrain.optim.paramwise:DefaultOptimizerConstructor",
        "cfgtrain.registries:OPTIMIZERS",
        "cfgtrain.registries:OPTIMIZER_BUILDERS",
    ),
    "runner.optimizer.builder": (
        "cfgtrain.optim.builder",
        "cfgtrain.optim.builder:_register_torch_optimizers=register_torch_optimizers",
        "cfgtrain.registries",
    ),
    "runner.optimizer.default_constructor": ("cfgtrain.optim.paramwise",),
    "runner.priority": ("cfgtrain.runner.hooks.priority",),
    "runner.utils": ("cfgtrain.runner.utils",),
    "tensorrt": (),
    "utils": ("cfgtrain.utils", "cfgtrain.compat.mmcv.build"),
    "utils.config": (
        "cfgtrain.config.config",
        "cfgtrain.config.dict",
        "cfgtrain.config.options",
        "cfgtrain.config.argparser",
        "cfgtrain.config.bases:BASE=BASE_KEY",
        "cfgtrain.config.dict:DELETE=DELETE_KEY",
        "cfgtrain.config.bases:DEPRECATION=DEPRECATION_KEY",
    ),
    "utils.device_type": ("cfgtrain.compat.mmcv.devices",),
    "utils.env": ("cfgtrain.environment",),
    "utils.ext_loader": ("cfgtrain.compat.mmcv.extensions",),
    "utils.logging": ("cfgtrain.utils.logging", "cfgtrain.compat.mmcv.loggers"),
    "utils.hub": ("cfgtrain.checkpoint.url",),
    "utils.misc": (
        "cfgtrain.utils.checks",
        "cfgtrain.utils.deprecation",
        "cfgtrain.utils.imports",
        "cfgtrain.utils.prerequisites",
        "cfgtrain.utils.sequences",
    ),
    "utils.parrots_jit": ("cfgtrain.compat.mmcv.build:jit", "cfgtrain.compat.mmcv.build:skip_no_elena"),
    "utils.parrots_wrapper": ("cfgtrain.compat.mmcv.build",),
    "utils.path": ("cfgtrain.utils.paths",),
    "utils.progressbar": ("cfgtrain.utils.progressbar", "cfgtrain.compat.mmcv.arrays:init_pool"),
    "utils.registry": ("cfgtrain.registry.registry",),
    "utils.seed": ("cfgtrain.random_state:worker_init_fn",),
    "utils.testing": ("cfgtrain.utils.testing", "cfgtrain.cnn.checks"),
    "utils.timer": ("cfgtrain.utils.timer", "cfgtrain.errors:TimerError"),
    "utils.torch_ops": ("cfgtrain.cnn.checks:torch_meshgrid",),
    "utils.trace": ("cfgtrain.cnn.checks:is_jit_tracing",),
    "utils.version_utils": ("cfgtrain.utils.versions",),
    "version": ("cfgtrain.compat.mmcv.version",),
    "visualization.image": (
        "cfgtrain.visualization.boxes",
        "cfgtrain.visualization.window",
        "cfgtrain.compat.mmcv.arrays:ColorType",
    ),
    "visualization.optflow": ("cfgtrain.visualization.optical_flow",),
}  # fmt: skip

_HOOKS = ("cfgtrain.registries:HOOKS", "cfgtrain.runner.hooks.hook:Hook")
_TORCH = ("cfgtrain.compat.mmcv.build:TORCH_VERSION", "cfgtrain.utils.versions:digit_version")
_LOGGER = (
    "cfgtrain.registries:HOOKS",
    "cfgtrain.runner.hooks.loggers.base:LoggerHook",
    "cfgtrain.parallel.dist:master_only",
)
_HANDLER = ("cfgtrain.fileio.handlers:BaseFileHandler",)

# Names that a module of MMCV only imports, and that projects import from it. An entry "module:a b" is several names.
IMPORTED: dict[str, tuple[str, ...]] = {
    "cnn.bricks.activation": (*_TORCH, "cfgtrain.registry.registry:build_from_cfg"),
    "cnn.bricks.conv_module": ("cfgtrain.cnn:build_activation_layer build_conv_layer build_norm_layer "
                               "build_padding_layer constant_init kaiming_init",),
    "cnn.bricks.generalized_attention": ("cfgtrain.cnn:kaiming_init",),
    "cnn.bricks.hsigmoid": ("cfgtrain.registries:ACTIVATION_LAYERS",),
    "cnn.bricks.hswish": ("cfgtrain.registries:ACTIVATION_LAYERS",),
    "cnn.bricks.norm": ("cfgtrain.utils:is_tuple_of", "torch.nn:SyncBatchNorm"),
    "cnn.bricks.swish": ("cfgtrain.registries:ACTIVATION_LAYERS",),
    "cnn.bricks.transformer": (
        "cfgtrain.cnn.bricks.drop:build_dropout",
        "cfgtrain.cnn:build_activation_layer build_conv_layer build_norm_layer Linear",
        "cfgtrain.cnn.module:BaseModule ModuleList Sequential",
        "cfgtrain.registries:ATTENTION FEEDFORWARD_NETWORK POSITIONAL_ENCODING TRANSFORMER_LAYER "
        "TRANSFORMER_LAYER_SEQUENCE",
        "cfgtrain.registry.registry:build_from_cfg",
        "cfgtrain.config.dict:ConfigDict",
        "cfgtrain.utils:deprecated_api_warning to_2tuple",
    ),
    "cnn.resnet": ("cfgtrain.cnn:constant_init kaiming_init", "cfgtrain.checkpoint.load:load_checkpoint"),
    "cnn.utils.weight_init": ("cfgtrain.registry.registry:Registry build_from_cfg",
                              "cfgtrain.utils.logging:get_logger print_log"),
    "cnn.vgg": ("cfgtrain.cnn:constant_init kaiming_init normal_init", "cfgtrain.checkpoint.load:load_checkpoint"),
    "fileio.file_client": ("cfgtrain.utils:has_method is_filepath",),
    "fileio.handlers.json_handler": _HANDLER,
    "fileio.handlers.pickle_handler": _HANDLER,
    "fileio.handlers.yaml_handler": _HANDLER,
    "fileio.io": ("cfgtrain.utils:is_list_of is_str",),
    "image.geometric": ("cfgtrain.image.resize:CV2_INTERPOLATIONS=cv2_interp_codes", "cfgtrain.utils:to_2tuple"),
    "image.io": ("cfgtrain.utils:check_file_exist is_filepath is_str mkdir_or_exist",),
    "image.photometric": ("cfgtrain.image:bgr2gray bgr2hsv gray2bgr hsv2bgr", "cfgtrain.utils:is_tuple_of"),
    "ops.carafe": ("cfgtrain.cnn:normal_init xavier_init",),
    "ops.cc_attention": ("cfgtrain.registries:PLUGIN_LAYERS", "cfgtrain.cnn:Scale"),
    "parallel.data_parallel": ("cfgtrain.compat.mmcv.devices:ScatterInputs",),
    "parallel.distributed": (*_TORCH, "cfgtrain.utils.logging:print_log", "cfgtrain.compat.mmcv.devices:ScatterInputs"),
    "parallel.distributed_deprecated": _TORCH,
    "parallel.registry": ("cfgtrain.registry.registry:Registry", "torch.nn.parallel:DataParallel "
                          "DistributedDataParallel"),
    "runner": ("cfgtrain.amp:cast_tensor_type patch_norm_fp32",),
    "runner.base_module": ("cfgtrain.utils.logging:get_logger print_log", "cfgtrain.compat.mmcv.loggers:logger_initialized"),
    "runner.base_runner": ("cfgtrain.runner:get_priority", "cfgtrain.parallel:is_module_wrapper"),
    "runner.checkpoint": (*_TORCH, "cfgtrain.parallel.dist:get_dist_info"),
    "runner.epoch_based_runner": ("cfgtrain.runner:get_host_info save_checkpoint",),
    "runner.fp16_utils": _TORCH,
    "runner.hooks.checkpoint": ("cfgtrain.fileio:FileClient", "cfgtrain.parallel.dist:allreduce_params master_only"),
    "runner.hooks.ema": ("cfgtrain.parallel:is_module_wrapper",),
    "runner.hooks.evaluation": ("cfgtrain.fileio:FileClient", "cfgtrain.runner:LrUpdaterHook", "cfgtrain.utils:is_seq_of"),
    "runner.hooks.hook": ("cfgtrain.registry.registry:Registry", "cfgtrain.utils:is_method_overridden"),
    **{
        f"runner.hooks.logger.{name}": _LOGGER
        for name in (
            "clearml", "dvclive", "mlflow", "neptune", "pavi", "segmind", "tensorboard", "wandb",
        )
    },
    "runner.hooks.logger.text": (*_LOGGER, "cfgtrain.fileio:FileClient", "cfgtrain.utils:is_tuple_of scandir"),
    "runner.hooks.lr_updater": _HOOKS,
    "runner.hooks.momentum_updater": (*_HOOKS, "cfgtrain.compat.mmcv.annealing:annealing_cos annealing_linear "
                                      "format_param"),
    "runner.hooks.optimizer": (*_HOOKS, *_TORCH, "cfgtrain.amp:LossScaler", "cfgtrain.parallel.dist:allreduce_grads"),
    "runner.hooks.profiler": ("cfgtrain.parallel.dist:master_only",),
    "runner.hooks.sync_buffer": ("cfgtrain.parallel.dist:allreduce_params",),
    "runner.iter_based_runner": ("cfgtrain.runner:IterTimerHook get_host_info save_checkpoint",
                                 "cfgtrain.parallel.dist:get_dist_info"),
    "runner.optimizer.builder": ("cfgtrain.registry.registry:build_from_cfg",),
    "runner.optimizer.default_constructor": (
        "cfgtrain.registry.registry:build_from_cfg", "cfgtrain.utils:is_list_of",
        "cfgtrain.compat.mmcv.extensions:check_ops_exist",
    ),
    "utils.config": ("cfgtrain.utils:check_file_exist",),
    "utils.env": ("cfgtrain.compat.mmcv.build:get_build_config",),
    "utils.path": ("cfgtrain.utils:is_str",),
    "utils.registry": ("cfgtrain.utils:deprecated_api_warning is_seq_of",),
    "video.optflow": ("cfgtrain.arraymisc:dequantize quantize", "cfgtrain.utils:is_str"),
    "video.processing": ("cfgtrain.utils:requires_executable",),
    "visualization.color": ("cfgtrain.utils:is_str",),
    "visualization.image": ("cfgtrain.visualization.color:Color", "cfgtrain.utils:is_str"),
    "visualization.optflow": ("cfgtrain.image:rgb2bgr",),
}  # fmt: skip

# Functions that have the same name as the module that they are in: the attribute of the package is the function.
NAMED_LIKE_MODULES = ("cnn.utils.fuse_conv_bn", "ops.carafe", "ops.nms", "parallel.collate")
