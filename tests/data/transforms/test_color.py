from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.data.transforms import ColorJitter, ImageToTensor, Normalize
from cfgtrain.errors import ArgumentError
from cfgtrain.image.photometric import adjust_color, adjust_hue
from cfgtrain.image.point_operations import adjust_brightness, adjust_contrast

IMG = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_normalize_bits(channels: int | None, dtype: Any) -> None:
    """Each value has the bits of the formula in float32, for one number and for one per channel."""
    shape = (37, 53) if channels is None else (37, 53, channels)
    img = np.random.default_rng(1).integers(0, 256, shape).astype(dtype)
    for mean, std in ((np.float32(118.3), np.float32(57.1)), (np.float32([7.7] * (channels or 1)), 31)):
        result = Normalize(mean, std)({"img": img})["img"]
        assert result.dtype == np.float32
        assert np.array_equal(result, (img.astype(np.float32) - mean) / np.float32(std))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_to_rgb(dtype: Any) -> None:
    """Channels are swapped before, so that the numbers are those of RGB; the fourth is kept, and gray images too."""
    img = IMG.astype(dtype)
    expected = (img[..., ::-1].astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
    results = Normalize(MEAN, STD, to_rgb=True)({"img": img, "ori_shape": img.shape})
    assert np.array_equal(results["img"], expected)
    assert results["img_norm_cfg"]["to_rgb"] is True
    assert results["img_norm_cfg"]["mean"].tolist() == np.float32(MEAN).tolist()
    four = np.dstack([img, img[..., :1]])
    assert np.array_equal(Normalize(0, 1, to_rgb=True)({"img": four})["img"], four[..., [2, 1, 0, 3]])
    assert np.array_equal(Normalize(0, 1, to_rgb=True)({"img": img[..., 0]})["img"], img[..., 0])


def test_normalized_images_are_not_copied() -> None:
    """ImageToTensor uses the memory of a normalized image."""
    results = Normalize(MEAN, STD, to_rgb=True)({"img": IMG})
    img = results["img"]
    tensor = ImageToTensor(["img"])(results)["img"]
    assert tensor.shape == (3, 37, 53)
    assert tensor.is_contiguous()
    assert tensor.data_ptr() == img.__array_interface__["data"][0]
    assert torch.equal(tensor, torch.from_numpy(img.transpose(2, 0, 1).copy()))


def test_other_channels() -> None:
    """An image with another number of channels raises an error with its shape."""
    with pytest.raises(ArgumentError, match=r"mean has 3 numbers, but the image has 1 channel: .*\(37, 53\)"):
        Normalize(MEAN, STD)({"img": IMG[..., 0]})
    with pytest.raises(ArgumentError, match="std has 3 numbers, but the image has 4 channels"):
        Normalize(0, STD)({"img": np.zeros((2, 2, 4), np.uint8)})
    with pytest.raises(ArgumentError, match="to_rgb must be False for an image with 2 channels"):
        Normalize(0, 1, to_rgb=True)({"img": np.zeros((2, 2, 2), np.uint8)})


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("brightness", adjust_brightness),
        ("contrast", adjust_contrast),
        ("saturation", adjust_color),
        ("hue", adjust_hue),
    ],
)
def test_one_color_change(name: str, function: Any) -> None:
    """A range is drawn from, and a number is a range around the neutral value."""
    low, high = (-0.3, 0.3) if name == "hue" else (1 - 0.3, 1 + 0.3)
    for limits in (0.3, (low, high)):
        np.random.seed(7)
        img = ColorJitter(**{name: limits})({"img": IMG})["img"]
        np.random.seed(7)
        np.random.permutation(1)
        assert np.array_equal(img, function(IMG, np.random.uniform(low, high)))
    assert ColorJitter()({"img": IMG})["img"] is IMG
    assert ColorJitter(brightness=2).brightness == (0, 3)


def test_order_of_color_changes() -> None:
    """The changes are performed in random order, and the same seed gives the same image."""
    jitter = ColorJitter((2, 2), (0.5, 0.5))
    expected = {
        adjust_contrast(adjust_brightness(IMG, 2), 0.5).tobytes(),
        adjust_brightness(adjust_contrast(IMG, 0.5), 2).tobytes(),
    }
    assert {jitter({"img": IMG})["img"].tobytes() for _ in range(40)} == expected


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 4)])
def test_color_changes_of_other_images(shape: tuple[int, ...]) -> None:
    """Gray images and images with alpha keep their shape and dtype; gray has neither saturation nor hue."""
    img = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    changed = ColorJitter(0.5, 0.5, 0.5, 0.2)({"img": img})["img"]
    assert changed.shape == shape
    assert changed.dtype == np.uint8
    if shape[2:] != (4,):
        assert np.array_equal(ColorJitter(saturation=0.5, hue=0.2)({"img": img})["img"], img)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"brightness": -0.1}, "brightness must be at least 0"),
        ({"contrast": (2, 1)}, r"contrast must be \(low, high\)"),
        ({"saturation": "1"}, "saturation must be"),
        ({"hue": 0.6}, "hue must be from -0.5 to 0.5, not 0.6"),
    ],
)
def test_invalid_color_changes(args: Any, message: str) -> None:
    """Arguments are validated when the transform is built."""
    with pytest.raises(ArgumentError, match=message):
        ColorJitter(**args)
