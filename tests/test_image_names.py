"""The names of MMCV 1.x for images and videos."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import cfgtrain

NAMES = {
    "image": """
        imread imfrombytes imwrite use_backend supported_backends imconvert bgr2gray rgb2gray
        gray2bgr gray2rgb bgr2rgb rgb2bgr bgr2hsv hsv2bgr bgr2hls hls2bgr rgb2ycbcr bgr2ycbcr
        ycbcr2rgb ycbcr2bgr imresize imresize_to_multiple imresize_like imrescale rescale_size
        imrotate imflip imflip_ imcrop impad impad_to_multiple bbox_clip bbox_scaling imshear
        imtranslate cutout imnormalize imnormalize_ imdenormalize iminvert posterize solarize
        adjust_color adjust_brightness adjust_contrast adjust_sharpness adjust_hue
        adjust_lighting auto_contrast imequalize lut_transform clahe tensor2imgs
    """,
    "arraymisc": """
        quantize dequantize
    """,
    "visualization": """
        imshow imshow_bboxes imshow_det_bboxes color_val Color flowshow flow2rgb
        make_color_wheel
    """,
    "video": """
        VideoReader frames2video cut_video concat_video resize_video convert_video flowread
        flowwrite quantize_flow dequantize_flow flow_warp flow_from_bytes sparse_flow_from_bytes
        Cache
    """,
}
PAGE = Path(__file__).parent.parent / "docs" / "image-functions.md"


@pytest.mark.parametrize("package", NAMES)
def test_mmcv_names_exist(package: str) -> None:
    """Each function is importable from its package and from the root, has a docstring, and is on the page."""
    module = importlib.import_module(f"cfgtrain.{package}")
    page = PAGE.read_text()
    for name in NAMES[package].split():
        assert name in module.__all__
        assert getattr(cfgtrain, name) is getattr(module, name)
        assert getattr(module, name).__doc__
        assert f"`{name}`" in page
