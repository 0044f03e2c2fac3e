"""What MMCV 1.7.2 has and cfgtrain does not, each with the reason, and what to do."""

from __future__ import annotations

from functools import cache
from typing import Any

from cfgtrain.errors import CompatError

__all__ = ["MISSING_MODULES", "MISSING_NAMES", "stand_in"]

_IS_COMPILED = "It is a compiled operator, and cfgtrain has only those that plain PyTorch does well."
_COMPILED = (
    _IS_COMPILED + " Use an implementation of another package: a config can name it by import path, such as "
    "type='package.module.Class'."
)
_TORCHVISION = (
    _IS_COMPILED + " torchvision has it with other arguments: {0}, which a config can name as type='{0}'."
)
_SAMPLING = (
    "It is plain PyTorch code that cfgtrain does not have; torch.nn.functional.grid_sample does the work."
)
_PLAIN = (
    "It is plain PyTorch code that cfgtrain does not have: put such a class into the project and register it."
)
_BUILD = (
    "cfgtrain has no compiled operators, and so no compiler that built them; cfgtrain env prints versions."
)
_DEVICE = (
    "It is for a device that cfgtrain does not support. Set device in the config, or --device, to one that PyTorch "
    "supports, such as 'cuda', 'mps' or 'cpu'."
)
_EXPORT = "cfgtrain has no export of its own; torch.onnx.export exports a model."
_INTERNAL = "It is internal to a compiled operator of MMCV, and cfgtrain has no compiled operators."
_SEARCH = (
    "cfgtrain has no search for receptive fields (RF-Next). Train with the dilations that an earlier search found, as "
    "arguments dilation of the layers, and without the hook."
)
_FLOPS = "It is internal to MMCV's counter of operations; use mmcv.cnn.get_model_complexity_info."


def _all(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


# The operators by module of mmcv.ops.
_OPS = {
    "active_rotated_filter": "active_rotated_filter",
    "assign_score_withk": "assign_score_withk",
    "ball_query": "ball_query",
    "bezier_align": "bezier_align BezierAlign",
    "bias_act": "bias_act filtered_lrelu",
    "border_align": "border_align BorderAlign",
    "box_iou_quadri": "box_iou_quadri",
    "box_iou_rotated": "box_iou_rotated",
    "chamfer_distance": "chamfer_distance",
    "contour_expand": "contour_expand",
    "conv2d_gradfix": "conv2d conv_transpose2d",
    "convex_iou": "convex_giou convex_iou",
    "corner_pool": "CornerPool",
    "correlation": "Correlation",
    "deform_conv": "DeformConv2d DeformConv2dPack deform_conv2d",
    "deform_roi_pool": "DeformRoIPool DeformRoIPoolPack ModulatedDeformRoIPoolPack deform_roi_pool",
    "diff_iou_rotated": "diff_iou_rotated_2d diff_iou_rotated_3d",
    "filtered_lrelu": "filtered_lrelu",
    "furthest_point_sample": "furthest_point_sample furthest_point_sample_with_dist",
    "fused_bias_leakyrelu": "FusedBiasLeakyReLU fused_bias_leakyrelu",
    "gather_points": "gather_points",
    "group_points": "GroupAll QueryAndGroup grouping_operation",
    "info": "get_compiler_version get_compiling_cuda_version get_onnxruntime_op_path",
    "iou3d": "boxes_iou3d boxes_overlap_bev boxes_iou_bev nms3d nms3d_normal nms_bev nms_normal_bev",
    "knn": "knn",
    "masked_conv": "MaskedConv2d masked_conv2d",
    "merge_cells": "BaseMergeCell ConcatCell GlobalPoolingCell SumCell",
    "min_area_polygons": "min_area_polygons",
    "modulated_deform_conv": "ModulatedDeformConv2d ModulatedDeformConv2dPack modulated_deform_conv2d",
    "multi_scale_deform_attn": "MultiScaleDeformableAttention",
    "pixel_group": "pixel_group",
    "point_sample": "SimpleRoIAlign point_sample rel_roi_point_to_rel_img_point",
    "points_in_boxes": "points_in_boxes_all points_in_boxes_cpu points_in_boxes_part",
    "points_in_polygons": "points_in_polygons",
    "points_sampler": "PointsSampler",
    "prroi_pool": "PrRoIPool prroi_pool",
    "psa_mask": "PSAMask",
    "riroi_align_rotated": "RiRoIAlignRotated riroi_align_rotated",
    "roi_align": "RoIAlign roi_align",
    "roi_align_rotated": "RoIAlignRotated roi_align_rotated",
    "roi_pool": "RoIPool roi_pool",
    "roiaware_pool3d": "RoIAwarePool3d",
    "roipoint_pool3d": "RoIPointPool3d",
    "rotated_feature_align": "rotated_feature_align",
    "saconv": "SAConv2d",
    "scatter_points": "DynamicScatter dynamic_scatter",
    "sparse_conv": "SparseConv2d SparseConv3d SparseConvTranspose2d SparseConvTranspose3d SparseInverseConv2d "
    "SparseInverseConv3d SubMConv2d SubMConv3d",
    "sparse_modules": "SparseModule SparseSequential",
    "sparse_pool": "SparseMaxPool2d SparseMaxPool3d",
    "sparse_structure": "SparseConvTensor scatter_nd",
    "three_interpolate": "three_interpolate",
    "three_nn": "three_nn",
    "tin_shift": "TINShift tin_shift",
    "upfirdn2d": "upfirdn2d",
    "voxelize": "Voxelization voxelization",
}
_IN_TORCHVISION = {
    "DeformConv2d": "torchvision.ops.DeformConv2d",
    "DeformConv2dPack": "torchvision.ops.DeformConv2d",
    "ModulatedDeformConv2d": "torchvision.ops.DeformConv2d",
    "ModulatedDeformConv2dPack": "torchvision.ops.DeformConv2d",
    "RoIAlign": "torchvision.ops.RoIAlign",
    "RoIPool": "torchvision.ops.RoIPool",
    "deform_conv2d": "torchvision.ops.deform_conv2d",
    "modulated_deform_conv2d": "torchvision.ops.deform_conv2d",
    "roi_align": "torchvision.ops.roi_align",
    "roi_pool": "torchvision.ops.roi_pool",
}
_OTHER_REASONS = {
    **_all("BaseMergeCell ConcatCell GlobalPoolingCell PointsSampler SAConv2d SumCell", _PLAIN),
    **_all("SimpleRoIAlign point_sample rel_roi_point_to_rel_img_point", _SAMPLING),
    **_all("get_compiler_version get_compiling_cuda_version get_onnxruntime_op_path", _BUILD),
    **_all("knn three_nn", _COMPILED + " torch.cdist and topk find nearest neighbors."),
    **_all("CARAFENaive carafe_naive", _IS_COMPILED + " CARAFE and carafe compute the same."),
    **_all("SoftmaxFocalLoss softmax_focal_loss", _COMPILED + " sigmoid_focal_loss is there."),
}
# Names of modules of mmcv.ops that the package does not have.
_INTERNAL_OPS = {
    "deform_conv": "DeformConv2dFunction",
    "focal_loss": "SigmoidFocalLossFunction SoftmaxFocalLossFunction",
    "modulated_deform_conv": "ModulatedDeformConv2dFunction",
    "multi_scale_deform_attn": "MultiScaleDeformableAttnFunction multi_scale_deformable_attn_pytorch",
    "nms": "NMSop SoftNMSop",
    "roi_align": "RoIAlignFunction",
    "roi_pool": "RoIPoolFunction",
}
_OTHER_OPS = {
    "carafe": "CARAFENaive carafe_naive",
    "focal_loss": "SoftmaxFocalLoss softmax_focal_loss",
    "nms": "nms_match nms_quadri nms_rotated",
}


def _op(name: str) -> str:
    if name in _OTHER_REASONS:
        return _OTHER_REASONS[name]
    found = _IN_TORCHVISION.get(name)
    return _TORCHVISION.format(found) if found else _COMPILED


def _ops() -> dict[str, dict[str, str]]:
    listed = {**_OPS, **_OTHER_OPS}
    by_module = {
        f"ops.{module}": {name: _op(name) for name in names.split()} for module, names in listed.items()
    }
    package = {name: reason for each in by_module.values() for name, reason in each.items()}
    for module, names in _INTERNAL_OPS.items():
        by_module[f"ops.{module}"] |= _all(names, _INTERNAL)
    return {**by_module, "ops": package}


# By module, what is in the modules below packages of which cfgtrain has nothing.
_BELOW = {
    "device.ipu.dataloader": "IPUDataLoader",
    "device.ipu.hook_wrapper": "IPUFp16OptimizerHook wrap_optimizer_hook",
    "device.ipu.runner": "IPUBaseRunner IPUEpochBasedRunner IPUIterBasedRunner",
    "device.ipu.utils": "build_from_cfg_with_wrapper cfg2options ipu_model_wrapper",
    "device.mlu.data_parallel": "MLUDataParallel",
    "device.mlu.distributed": "MLUDistributedDataParallel",
    "device.mps.data_parallel": "MPSDataParallel",
    "device.npu.data_parallel": "NPUDataParallel",
    "device.npu.distributed": "NPUDistributedDataParallel",
    "onnx.info": "is_custom_op_loaded",
    "onnx.symbolic": "register_extra_symbolics",
    "tensorrt.init_plugins": "is_tensorrt_plugin_loaded load_tensorrt_plugin",
    "tensorrt.preprocess": "preprocess_onnx",
    "tensorrt.tensorrt_utils": "TRTWraper TRTWrapper load_trt_engine onnx2trt save_trt_engine",
}

# Modules of which cfgtrain has no name.
MISSING_MODULES = (*(f"ops.{module}" for module in _OPS), *_BELOW)

# By module of MMCV, the names that it has and cfgtrain does not, with the reason.
MISSING_NAMES: dict[str, dict[str, str]] = {
    "cnn": _all("Conv2dRFSearchOp RFSearchHook", _SEARCH),
    "cnn.rfsearch": _all("BaseConvRFSearchOp Conv2dRFSearchOp RFSearchHook", _SEARCH),
    "cnn.rfsearch.operator": _all("BaseConvRFSearchOp Conv2dRFSearchOp", _SEARCH),
    "cnn.rfsearch.search": _all("RFSearchHook", _SEARCH),
    "cnn.rfsearch.utils": _all("expand_rates get_single_padding write_to_json", _SEARCH),
    "cnn.utils.flops_counter": _all(
        "add_batch_counter_hook_function add_batch_counter_variables_or_reset add_flops_counter_variable_or_reset "
        "add_flops_counting_methods batch_counter_hook compute_average_flops_cost conv_flops_counter_hook "
        "deconv_flops_counter_hook empty_flops_counter_hook get_modules_mapping is_supported_instance "
        "linear_flops_counter_hook norm_flops_counter_hook pool_flops_counter_hook print_model_with_flops "
        "relu_flops_counter_hook remove_batch_counter_hook_function remove_flops_counter_hook_function "
        "reset_flops_count start_flops_count stop_flops_count upsample_flops_counter_hook",
        _FLOPS,
    ),
    "device.ipu": _all("IPUDataLoader IPUFp16OptimizerHook build_from_cfg_with_wrapper cfg2options "
                       "ipu_model_wrapper wrap_optimizer_hook", _DEVICE),
    "device.mlu": _all("MLUDataParallel MLUDistributedDataParallel scatter scatter_kwargs", _DEVICE),
    "device.mps": _all("MPSDataParallel", _DEVICE + " MPS needs no wrapper: use MMDataParallel or device='mps'."),
    "device.npu": _all("NPUDataParallel NPUDistributedDataParallel", _DEVICE),
    "onnx": _all("is_custom_op_loaded register_extra_symbolics", _EXPORT),
    "runner.optimizer.builder": _all("register_torch_npu_optimizers", _DEVICE),
    **{module: _all(names, _DEVICE if module.startswith("device") else _EXPORT) for module, names in _BELOW.items()},
    "tensorrt": _all("TRTWraper TRTWrapper is_tensorrt_plugin_loaded load_tensorrt_plugin load_trt_engine onnx2trt "
                     "save_trt_engine", _EXPORT),
    **_ops(),
}  # fmt: skip


class _Missing(type):
    """The type of stand-ins: they can be imported and inherited from, and any use of them raises."""

    _reason: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise CompatError(cls._reason)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):  # what inspect, unittest.mock and pytest look for
            raise AttributeError(
                f"type object {cls.__name__!r} has no attribute {name!r}", name=name, obj=cls
            )
        raise CompatError(cls._reason)


@cache
def stand_in(name: str, reason: str) -> type:
    """Return what a program imports instead of a name that cfgtrain does not have.

    Args:
        name: Full name in MMCV, such as ``mmcv.ops.RoIAlign``; a name of several modules has one stand-in.
        reason: Why it is missing, and what to do.

    Returns:
        A class, so that it can be a base class and the second argument of ``isinstance``. To call it, or to read a
        public attribute, raises a CompatError, which is an ImportError.
    """
    module, _, own = name.rpartition(".")
    text = f"{name} is not in cfgtrain. {reason}"
    return _Missing(own, (), {"__module__": module, "__doc__": text, "_reason": text})
