from __future__ import annotations

import pytest

import cfgtrain
import cfgtrain.video
import cfgtrain.visualization

VIDEO = [
    "Cache", "VideoReader", "frames2video", "convert_video", "resize_video", "cut_video", "concat_video", "flowread",
    "flowwrite", "quantize_flow", "dequantize_flow", "flow_warp", "flow_from_bytes", "sparse_flow_from_bytes",
]  # fmt: skip
VISUALIZATION = [
    "Color", "color_val", "imshow", "imshow_bboxes", "imshow_det_bboxes", "flowshow", "flow2rgb", "make_color_wheel",
]  # fmt: skip


@pytest.mark.parametrize("name", VIDEO)
def test_video(name: str) -> None:
    """The names of MMCV's video package are in ours, and in the root."""
    assert name in cfgtrain.video.__all__
    assert getattr(cfgtrain, name) is getattr(cfgtrain.video, name)


@pytest.mark.parametrize("name", VISUALIZATION)
def test_visualization(name: str) -> None:
    """The names of MMCV's visualization package are in ours, and in the root."""
    assert name in cfgtrain.visualization.__all__
    assert getattr(cfgtrain, name) is getattr(cfgtrain.visualization, name)
