from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.photos import photograph

from cfgtrain.errors import ArgumentError
from cfgtrain.image.crop import imcrop

DTYPES = [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int64, np.float16, bool]


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def plain_crop(img: Any, box: Any, scale: float = 1, fill: Any = None) -> Any:
    """Crop pixel by pixel, as the documentation says."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    grow_x, grow_y = (x2 - x1 + 1) * (scale - 1) / 2, (y2 - y1 + 1) * (scale - 1) / 2
    left, top, right, bottom = int(x1 - grow_x), int(y1 - grow_y), int(x2 + grow_x), int(y2 + grow_y)
    height, width = img.shape[:2]
    if fill is None:
        left, right = (min(max(x, 0), width - 1) for x in (left, right))
        top, bottom = (min(max(y, 0), height - 1) for y in (top, bottom))
    patch = np.empty((bottom - top + 1, right - left + 1, *img.shape[2:]), img.dtype)
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            patch[y - top, x - left] = img[y, x] if 0 <= x < width and 0 <= y < height else fill
    return patch


BOXES = np.array(
    [[2, 3, 8, 9], [-3, -2, 4, 5], [10, 6, 30, 20], [0, 0, 19, 11], [5, 5, 5, 5], [-4, -4, 40, 40]]
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,), (5,), (600,)])
def test_crop(dtype: Any, channels: tuple[int, ...]) -> None:
    """Patches have the pixels of the boxes, both corners included; fills apply to every channel."""
    img = noise(12, 20, *channels, dtype=dtype)
    before = img.copy()
    for fill in (None, 0, 7, [*range(channels[0])] if channels and channels[0] < 10 else 1):
        for patch, box in zip(imcrop(img, BOXES, pad_fill=fill), BOXES, strict=True):
            assert np.array_equal(patch, plain_crop(img, box, fill=fill))
            assert patch.dtype == img.dtype
            assert patch.flags.c_contiguous
            assert not np.shares_memory(patch, img)
    assert np.array_equal(img, before)


@pytest.mark.parametrize("fill", [None, [255, 255, 0], 0])
@pytest.mark.parametrize("scale", [1, 1.2, 0.5, 3])
def test_scale(scale: float, fill: Any) -> None:
    """Boxes are scaled about their centres, and the scaled coordinates truncated to integers."""
    img = cv2.imread(str(photograph("astronaut.png")))[:120:4, :160:4]
    boxes = np.array([[10, 5, 19, 15], [1, 1, 12, 12], [20, 20, 39, 29]])
    for kind in (boxes, boxes.astype(np.float32), boxes.tolist()):
        patches = imcrop(img, kind, scale, fill)
        assert isinstance(patches, list)
        for patch, box in zip(patches, boxes, strict=True):
            assert np.array_equal(patch, plain_crop(img, box, scale, fill))


def test_one_box() -> None:
    """One box, also as a list, gives one patch, and (1, 4) gives a list of one."""
    img = noise(12, 20, 3)
    patch = imcrop(img, [2, 3, 8, 9])
    assert isinstance(patch, np.ndarray)
    assert np.array_equal(patch, img[3:10, 2:9])
    several = imcrop(img, np.array([[2, 3, 8, 9]]))
    assert isinstance(several, list)
    assert np.array_equal(several[0], patch)
    assert imcrop(img, np.zeros((0, 4))) == []


@given(st.data())
def test_any_box(data: st.DataObject) -> None:
    """Any box that meets the image gives the pixels of the documentation, for views of images too."""
    height, width = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    img = noise(height, width * 2, 3)[::-1, ::2]
    x1 = data.draw(st.integers(-9, width - 1))
    y1 = data.draw(st.integers(-9, height - 1))
    box = [x1, y1, data.draw(st.integers(max(x1, 0), 12)), data.draw(st.integers(max(y1, 0), 12))]
    fill = data.draw(st.sampled_from([None, 3, [1, 2, 3]]))
    assert np.array_equal(imcrop(img, box, pad_fill=fill), plain_crop(img, box, fill=fill))


@pytest.mark.parametrize(
    "box", [[20, 0, 25, 5], [-9, 0, -1, 5], [0, 12, 5, 15], [0, -9, 5, -1], [99, 99, 99, 99]]
)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (5,)])
def test_outside(box: list[int], channels: tuple[int, ...]) -> None:
    """A box wholly outside the image raises an error with both, and with a fill it has no pixel of the image."""
    img = noise(12, 20, *channels)
    with pytest.raises(
        ArgumentError, match=rf"\[{box[0]}, .* outside the image of width 20 and height 12.*pad_fill"
    ):
        imcrop(img, box)
    patch = imcrop(img, box, pad_fill=9)
    assert patch.shape == (box[3] - box[1] + 1, box[2] - box[0] + 1, *channels)  # type: ignore[union-attr]
    assert (patch == 9).all()  # type: ignore[union-attr, attr-defined]


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([5, 5, 4, 9], ValueError, r"\[5, 5, 4, 9\] is empty: x2 must be at least x1"),
        ([[0, 0, 1, 1], [5, 5, 9, 3]], ValueError, r"\[5, 5, 9, 3\] is empty"),
        ([0, 0, float("nan"), 1], ValueError, "bboxes must be finite"),
        ([-float("inf"), 0, 1, 1], ValueError, "bboxes must be finite"),
        ([0, 0, 1e300, 1], ValueError, r"bboxes must be finite and below 2\*\*31"),
        ([0, 0, 1], AssertionError, "last axis of 4"),
        (np.zeros((1, 1, 4)), AssertionError, r"one box \(4,\) or several boxes \(k, 4\)"),
        ("0011", TypeError, "bboxes must be an array of numbers"),
        (None, TypeError, "bboxes must be an array of numbers"),
    ],
)
def test_wrong_boxes(boxes: Any, error: type[Exception], message: str) -> None:
    """What is not a box, or is an empty one, raises an error."""
    with pytest.raises(error, match=message):
        imcrop(noise(12, 20, 3), boxes)


@pytest.mark.parametrize("fill", [(1, 2), [1, 2, 3, 4], 256, -1, (0, 0, 300)])
def test_wrong_fill(fill: Any) -> None:
    """A fill of a wrong length, or out of the range of the dtype, raises an error, even if no pixel needs it."""
    with pytest.raises(AssertionError, match="pad_fill must be"):
        imcrop(noise(12, 20, 3), [0, 0, 1, 1], pad_fill=fill)


def test_patch_too_large() -> None:
    """A patch that does not fit into the memory is an error, inside and outside of the image."""
    for box in ([0, 0, 2**30, 2**30], [2**30, 2**30, 2**31 - 1, 2**31 - 1]):
        with pytest.raises(ArgumentError, match="The memory is not sufficient for an image of"):
            imcrop(noise(4, 4, 3), box, pad_fill=0)


def test_large_integers() -> None:
    """Integers that OpenCV does not have are refused, like floats."""
    for number in (2**31, 2**62, -(2**63)):
        with pytest.raises(ArgumentError, match=r"bboxes must be finite and below 2\*\*31"):
            imcrop(noise(4, 4, 3), np.array([number, 0, 3, 3]), pad_fill=0)


def test_fractional_fill() -> None:
    """A fractional fill is rounded half to even, whatever the number of channels."""
    for channels in (3, 5):
        patch = imcrop(
            noise(4, 4, channels), [-1, 0, 0, 0], pad_fill=[123.675, 116.28, 103.53, 0.5, 1.5][:channels]
        )
        assert patch[0, 0].tolist() == [124, 116, 104, 0, 2][:channels]  # type: ignore[union-attr, attr-defined]
