from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain.data.transforms import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    Resize,
    Rotate,
)
from cfgtrain.errors import ArgumentError
from cfgtrain.image.warp import imrotate

SHAPES = [(30, 40), (30, 40, 1), (30, 40, 2), (30, 40, 3), (30, 40, 4), (30, 40, 7)]


def image(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(1, 256, shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("transform", "size"),
    [
        (Resize((20, 10)), (10, 20)),
        (Resize(20, keep_ratio=True), (20, 27)),
        (RandomResizedCrop((20, 10)), (10, 20)),
        (CenterCrop((20, 10)), (10, 20)),
        (RandomCrop((20, 10), padding=2, pad_val=5), (10, 20)),
        (RandomFlip(1), (30, 40)),
        (Rotate(30, fill=3), (30, 40)),
        (Pad(size_divisor=32), (32, 64)),
    ],
)
def test_channels_and_dtype(transform: Any, size: Any, shape: Any, dtype: Any) -> None:
    """Any number of channels is accepted; the channels and the dtype are kept, and the image is not changed."""
    img = image(*shape, dtype=dtype)
    copy = img.copy()
    results = transform({"img": img, "ori_shape": shape, "img_shape": shape})
    assert results["img"].shape == (*size, *shape[2:])
    assert results["img"].dtype == dtype
    assert np.array_equal(img, copy)
    padded = isinstance(transform, Pad)
    assert results["pad_shape" if padded else "img_shape"] == results["img"].shape
    assert results["ori_shape"] == shape


@pytest.mark.parametrize(
    "transform", [Resize(4), RandomResizedCrop(4), CenterCrop(4), RandomCrop(4), RandomFlip(), Pad(64)]
)
def test_no_new_keys(transform: Any) -> None:
    """Results that did not come from a file get no new keys, which the model would not expect."""
    assert set(transform({"img": image(30, 40), "gt_label": 1})) == {"img", "gt_label"}


@pytest.mark.parametrize(
    ("scale", "keep_ratio", "size"),
    [
        (20, False, (20, 20)),
        ((20, 10), False, (10, 20)),
        (15, True, (15, 20)),  # the short edge
        (60, True, (60, 80)),
        ((80, 20), True, (20, 27)),  # within 80 x 20
        ((20, 80), True, (20, 27)),  # the edges are in either order, as in MMCV
        ((1, 1), True, (1, 1)),
    ],
)
def test_scale(scale: Any, keep_ratio: bool, size: tuple[int, int]) -> None:
    """One number is both edges, or the short edge if the ratio is kept; two are edges to fit into then."""
    results = Resize(scale, keep_ratio)({"img": image(30, 40), "ori_shape": (30, 40)})
    assert results["img"].shape == size
    assert results["scale_factor"] == (size[1] / 40, size[0] / 30)


def test_random_resized_crop() -> None:
    """Areas and aspect ratios are drawn from their whole range, and every part of the image occurs."""
    rows, columns = np.mgrid[:90, :120].astype(np.float32)
    img = np.dstack([rows, columns])
    crop = RandomResizedCrop(64, area=(0.1, 0.5), ratio=(0.5, 2), interpolation="nearest")
    np.random.seed(0)
    areas, ratios, seen = [], [], np.zeros((90, 120), bool)
    for _ in range(400):
        part = crop({"img": img})["img"]
        (top, left), (bottom, right) = part.min(axis=(0, 1)), part.max(axis=(0, 1))
        seen[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
        areas.append((bottom - top + 1) * (right - left + 1) / img[..., 0].size)
        ratios.append((right - left + 1) / (bottom - top + 1))
    assert 0.08 < min(areas) < 0.13
    assert 0.45 < max(areas) < 0.52
    assert 0.47 < min(ratios) < 0.6
    assert 1.7 < max(ratios) < 2.1
    assert abs(np.mean(np.log(ratios))) < 0.08
    assert seen.mean() > 0.99


def test_resized_crop_of_the_whole_image() -> None:
    """The whole image is resized as by OpenCV."""
    img = image(50, 50, 3)
    part = RandomResizedCrop((20, 30), area=(1, 1), ratio=(1, 1))({"img": img})["img"]
    assert np.array_equal(part, cv2.resize(img, (20, 30)))


@pytest.mark.parametrize(("shape", "box"), [((10, 300), (10, 13)), ((300, 10), (13, 10))])
def test_no_part_fits(shape: tuple[int, int], box: tuple[int, int]) -> None:
    """Of an image that is too long, the largest part at the center with an accepted ratio is used."""
    img = image(*shape)
    part = RandomResizedCrop(box[::-1], area=(0.9, 1))({"img": img})["img"]
    top, left = (shape[0] - box[0]) // 2, (shape[1] - box[1]) // 2
    assert np.array_equal(part, img[top : top + box[0], left : left + box[1]])


def test_center_crop() -> None:
    """The window is at the center; a larger one than the image raises an error."""
    img = image(7, 9)
    assert np.array_equal(CenterCrop((3, 5))({"img": img})["img"], img[1:6, 3:6])
    assert np.array_equal(CenterCrop((9, 7))({"img": img})["img"], img)
    with pytest.raises(ArgumentError, match=r"A 8x8 window does not fit into an image of shape \(7, 9\)"):
        CenterCrop(8)({"img": img})


def test_random_flip() -> None:
    """Images are flipped with the probability, in a direction of the list, and the direction is recorded."""
    img = image(5, 6, 3)
    flipped = {
        None: img,
        "horizontal": img[:, ::-1],
        "vertical": img[::-1],
        "diagonal": img[::-1, ::-1],
    }
    flip = RandomFlip(0.6, ["horizontal", "vertical", "diagonal"])
    np.random.seed(0)
    drawn = []
    for _ in range(300):
        results = flip({"img": img, "ori_shape": img.shape})
        assert results["flip"] == (results["flip_direction"] is not None)
        assert np.array_equal(results["img"], flipped[results["flip_direction"]])
        drawn.append(results["flip_direction"])
    assert 90 < drawn.count(None) < 150
    assert all(40 < drawn.count(direction) < 80 for direction in flip.directions)
    assert (RandomFlip(0)({"img": img})["img"] == img).all()
    assert (RandomFlip(1)({"img": img})["img"] == flipped["horizontal"]).all()


def test_rotate() -> None:
    """A number is a range on both sides of 0, and equal ends are a fixed angle."""
    img = image(20, 30, 3)
    for angle in (90, -7.5):
        rotated = Rotate((angle, angle), fill=(1, 2, 3))({"img": img})["img"]
        assert np.array_equal(rotated, imrotate(img, angle, border_value=(1, 2, 3)))
    np.random.seed(3)
    angle = np.random.uniform(-30, 30)
    np.random.seed(3)
    assert np.array_equal(Rotate(30)({"img": img})["img"], imrotate(img, angle))
    assert np.array_equal(Rotate(30, prob=0)({"img": img})["img"], img)


def test_pad() -> None:
    """Pixels are added at the right and at the bottom, and the shape before is recorded."""
    img = image(5, 6, 3)
    results = Pad((9, 4), pad_val=(1, 2, 3))({"img": img, "ori_shape": (10, 12, 3)})
    assert results["img_shape"] == (5, 6, 3)
    assert results["pad_shape"] == results["img"].shape == (5, 9, 3)
    assert np.array_equal(results["img"][:, :6], img)
    assert (results["img"][:, 6:] == (1, 2, 3)).all()
    assert Pad(size_divisor=4)({"img": img})["img"].shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Resize((1, 2, 3)), r"scale must be 2 numbers \(width, height\)"),
        (lambda: Resize(0), "scale must be at least 1, not 0"),
        (lambda: Resize(8, interpolation="linear"), "interpolation must be"),
        (lambda: RandomResizedCrop(8, area=(0.5, 1.1)), r"area\[1\] must be at most 1, not 1.1"),
        (lambda: RandomResizedCrop(8, area=(0, 1)), "area must be .* 0 < low <= high"),
        (lambda: RandomResizedCrop(8, ratio=(2, 1)), r"ratio must be .*, not \(2, 1\)"),
        (lambda: RandomFlip(2), "prob must be from 0 to 1, not 2"),
        (lambda: RandomFlip(direction="horizontl"), "Did you mean 'horizontal'"),
        (lambda: RandomFlip(direction=["up"]), "direction must be"),
        (lambda: RandomFlip(direction=[]), "direction must be"),
        (lambda: Rotate("30"), "angle must be a number"),
        (lambda: Rotate((3, -3)), r"angle must be \(low, high\), not \(3, -3\)"),
        (lambda: Pad(), "Exactly one of size and size_divisor is required"),
        (lambda: Pad(4, 4), "Exactly one of size and size_divisor is required"),
        (lambda: Pad(size_divisor=0), "size_divisor must be at least 1"),
    ],
)
def test_invalid_arguments(build: Any, message: str) -> None:
    """Arguments are validated when the transform is built."""
    with pytest.raises(ArgumentError, match=message):
        build()
