from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError
from cfgtrain.image.boxes import bbox_clip, bbox_scaling


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_clip(dtype: Any) -> None:
    """X is clipped to [0, w - 1] and y to [0, h - 1]; the shape and the dtype are kept, and the input is not changed."""
    boxes = np.array([[-5, -1, 30, 30], [3, 4, 5, 6], [90, 2, 91, 100]], dtype)
    before = boxes.copy()
    clipped = bbox_clip(boxes, (20, 300))
    assert clipped.tolist() == [[0, 0, 30, 19], [3, 4, 5, 6], [90, 2, 91, 19]]
    assert clipped.dtype == dtype
    assert np.array_equal(boxes, before)
    assert not np.shares_memory(clipped, boxes)


def test_clip_accepts() -> None:
    """Several boxes in a row, one box, lists, and the shape of an image with channels as a list or array are accepted."""
    rows = np.array([[-1, -1, 50, 50, 2, 3, 99, 4]])
    assert bbox_clip(rows, (10, 20, 3)).tolist() == [[0, 0, 19, 9, 2, 3, 19, 4]]
    assert bbox_clip([-1, -1, 50, 50], [10, 20]).tolist() == [0, 0, 19, 9]
    assert bbox_clip([[-1.5, 0, 5, 5]], np.array([10, 20, 1])).tolist() == [[0, 0, 5, 5]]
    assert bbox_clip(np.zeros((0, 4), np.float32), (10, 20)).shape == (0, 4)


@pytest.mark.parametrize("boxes", [np.zeros((2, 5)), np.zeros(3), [1, 2, 3]])
def test_clip_requires_boxes(boxes: Any) -> None:
    """A last axis that is not a multiple of 4 raises an error."""
    with pytest.raises(AssertionError, match="4 numbers"):
        bbox_clip(boxes, (10, 20))


@pytest.mark.parametrize("boxes", [None, 3, "abcd", ["a"] * 4, [[1, 2, 3, 4], [1]], np.zeros((1, 4), bool)])
def test_boxes_are_numbers(boxes: Any) -> None:
    """What is not an array of numbers raises a type error."""
    with pytest.raises(TypeError, match="bboxes must be an array of numbers"):
        bbox_clip(boxes, (10, 20))
    with pytest.raises(TypeError, match="bboxes must be an array of numbers"):
        bbox_scaling(boxes, 1)


@pytest.mark.parametrize("shape", [(10,), (10, 0), 10, None, (1.5, 2), "ab"])
def test_clip_requires_a_shape(shape: Any) -> None:
    """What is not the shape of an image raises an error."""
    with pytest.raises(ArgumentError, match="img_shape"):
        bbox_clip([0, 0, 1, 1], shape)


def test_scaling() -> None:
    """Boxes grow about their centres, where both corners belong to the box."""
    assert bbox_scaling([10, 20, 19, 39], 2).tolist() == [5, 10, 24, 49]
    assert bbox_scaling([[10, 20, 19, 39]], 0.5).tolist() == [[12.5, 25, 16.5, 34]]
    assert bbox_scaling([10, 20, 19, 39], 2, clip_shape=(30, 300)).tolist() == [5, 10, 24, 29]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_scaling_by_one(dtype: Any) -> None:
    """A scale of 1 returns a copy of the same dtype, which can be clipped."""
    boxes = np.array([[0, 0, 200, 255]], dtype)
    for scale in (1, 1.0, np.float32(1)):
        copy = bbox_scaling(boxes, scale)
        assert np.array_equal(copy, boxes)
        assert copy.dtype == dtype
        assert not np.shares_memory(copy, boxes)
    assert bbox_scaling(boxes, 1, (10, 10)).tolist() == [[0, 0, 9, 9]]


def test_scaling_dtypes() -> None:
    """Small integers do not overflow, and a float32 box stays float32 whatever the type of the scale."""
    assert bbox_scaling(np.array([0, 0, 255, 255], np.uint8), 2).tolist() == [-128, -128, 383, 383]
    assert bbox_scaling(np.zeros((1, 4), np.float32), np.float64(1.5)).dtype == np.float32


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), st.floats(0.1, 10))
def test_scaling_formula(box: list[float], scale: float) -> None:
    """The centre is kept and the edges, in pixels, are multiplied."""
    x1, y1, x2, y2 = bbox_scaling(box, scale).tolist()
    assert x1 + x2 == pytest.approx(box[0] + box[2], abs=1e-6)
    assert y1 + y2 == pytest.approx(box[1] + box[3], abs=1e-6)
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    assert x2 - x1 == pytest.approx(box[2] - box[0] + (scale - 1) * width, abs=1e-6)
    assert y2 - y1 == pytest.approx(box[3] - box[1] + (scale - 1) * height, abs=1e-6)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "2", None])
def test_scale_is_positive(scale: Any) -> None:
    """A scale that is not positive and finite raises an error."""
    with pytest.raises(ArgumentError, match="scale must be"):
        bbox_scaling([0, 0, 1, 1], scale)


def test_empty_list() -> None:
    """An empty list, which JSON gives for no boxes, is no boxes."""
    assert bbox_clip([], (4, 5)).shape == (0, 4)
    assert bbox_scaling([], 2, (4, 5)).shape == (0, 4)


@pytest.mark.parametrize("shape", [np.array(3), 3, None, "ab", {"a": 1}, {1, 2, 3}, (0, 3), (4,)])
def test_wrong_shape_of_the_image(shape: Any) -> None:
    """The error names the argument of the function that was called."""
    with pytest.raises(ArgumentError, match="img_shape"):
        bbox_clip([0, 0, 1, 1], shape)
    if shape is not None:
        with pytest.raises(ArgumentError, match="clip_shape"):
            bbox_scaling([0, 0, 1, 1], 2, shape)


def test_scaling_requires_boxes() -> None:
    """A last axis that is not 4 raises an error."""
    with pytest.raises(AssertionError, match="last axis of 4"):
        bbox_scaling(np.zeros((2, 8)), 1)
