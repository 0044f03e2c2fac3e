"""Non-maximum suppression, compared with loops over NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.ops import batched_nms, bbox_overlaps, nms, soft_nms


def naive_iou(a: np.ndarray, b: np.ndarray, offset: int = 0) -> float:
    """Return the IoU of two boxes."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    shared = width * height
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return shared / (sum(areas) - shared)


def naive_nms(boxes, scores, threshold, offset=0, groups=None):
    """Return the indices of the kept boxes."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [j for j in kept if groups is None or groups[i] == groups[j]]
        if all(naive_iou(boxes[j], boxes[i], offset) <= threshold for j in rivals):
            kept.append(i)
    return kept


def some_boxes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes with negative coordinates too, scores with ties, and classes."""
    random = np.random.default_rng(seed)
    corner = random.uniform(-20, 20, (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(1, 20, (count, 2))], 1).astype(np.float32)
    return boxes, (random.integers(1, 12, count) / 12).astype(np.float32), random.integers(0, 3, count)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0, 0.3, 0.7, 1])
def test_nms_keeps_what_the_loop_keeps(threshold: float, offset: int) -> None:
    """Arrays give arrays, tensors tensors, and both what a loop over all pairs keeps."""
    boxes, scores, _ = some_boxes(60)
    dets, kept = nms(boxes, scores, threshold, offset)
    assert isinstance(dets, np.ndarray)
    assert kept.tolist() == naive_nms(boxes, scores, threshold, offset)
    np.testing.assert_array_equal(dets, np.column_stack([boxes, scores])[kept])
    tensors = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, offset)
    assert tensors[1].tolist() == kept.tolist()


def test_nms_limits() -> None:
    """Scores must be above the threshold, and at most max_num boxes are kept."""
    boxes, scores, _ = some_boxes(60)
    kept = naive_nms(boxes, scores, 0.5)
    assert nms(boxes, scores, 0.5, max_num=3)[1].tolist() == kept[:3]
    expected = [i for i in kept if scores[i] > 0.5]
    assert nms(boxes, scores, 0.5, score_threshold=0.5)[1].tolist() == expected


@pytest.mark.parametrize("function", [nms, soft_nms])
def test_the_older_name_of_the_threshold(function: Callable[..., Any]) -> None:
    """``iou_thr`` is accepted with a warning."""
    boxes, scores = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 5]]), torch.tensor([0.9, 0.8])
    with pytest.warns(DeprecationWarning, match="use 'iou_threshold'"):
        found = function(boxes, scores, iou_thr=0.5)
    assert torch.equal(found[0], function(boxes, scores, iou_threshold=0.5)[0])


def test_nms_of_few_boxes() -> None:
    """No box gives none, one box is kept, and boxes without area or with NaN remove no others."""
    none = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert none[0].shape == (0, 5)
    assert none[1].dtype == torch.int64
    assert nms(np.ones((1, 4), np.float32), np.ones(1, np.float32), 0.5)[1].tolist() == [0]
    points = torch.zeros(2, 4)
    assert nms(points, torch.tensor([0.1, 0.2]), 0.5)[1].tolist() == [1, 0]
    odd = torch.tensor([[0, 0, 2, 2], [float("nan")] * 4, [0, 0, 2, 2.0]])
    assert nms(odd, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        nms(torch.zeros(2, 5), torch.zeros(2), 0.5)


@pytest.mark.parametrize("function", [nms, soft_nms])
def test_the_kinds_of_inputs(function: Callable[..., Any]) -> None:
    """Views of arrays and arrays that are read-only are accepted, and a mix of a tensor and an array is an error."""
    boxes, scores, _ = some_boxes(9)
    expected = function(boxes[::-1].copy(), scores[::-1].copy(), 0.5)
    boxes.flags.writeable = scores.flags.writeable = False
    for found, wanted in zip(function(boxes[::-1], scores[::-1], 0.5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(TypeError, match="two tensors or two arrays of NumPy, not Tensor and ndarray"):
        function(torch.tensor(boxes), scores, 0.5)
    with pytest.raises(TypeError, match="not list and list"):
        function(boxes.tolist(), scores.tolist(), 0.5)


def test_batched_nms_needs_tensors() -> None:
    """An array is an error that names the argument."""
    boxes, scores, classes = some_boxes(9)
    with pytest.raises(TypeError, match="scores must be a tensor"):
        batched_nms(torch.tensor(boxes), scores, torch.tensor(classes), None)


@pytest.mark.parametrize("agnostic", [False, True])
def test_batched_nms(agnostic: bool) -> None:
    """Boxes of different classes remove each other only if that is asked for."""
    boxes, scores, classes = map(torch.from_numpy, some_boxes(60, 1))
    dets, kept = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.4}, agnostic)
    expected = naive_nms(boxes.numpy(), scores.numpy(), 0.4, groups=None if agnostic else classes.numpy())
    assert kept.tolist() == expected
    assert torch.equal(dets[:, 4], scores[kept])
    limited = batched_nms(boxes, scores, classes, {"iou_thr": 0.4, "max_num": 2, "split_thr": 1}, agnostic)
    assert limited[1].tolist() == expected[:2]


def test_batched_nms_without_a_config_sorts() -> None:
    """With None all boxes are kept, and a wrong argument is an error."""
    boxes, scores, classes = map(torch.from_numpy, some_boxes(9))
    assert batched_nms(boxes, scores, classes, None)[0].shape == (9, 5)
    with pytest.raises(ValueError, match="Did you mean 'iou_threshold'"):
        batched_nms(boxes, scores, classes, {"iou_threshhold": 0.5})
    with pytest.raises(ValueError, match="needs iou_threshold"):
        batched_nms(boxes, scores, classes, {"type": "nms"})
    with pytest.raises(ValueError, match="not 'nms_rotated'"):
        batched_nms(boxes, scores, classes, {"type": "nms_rotated"})


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(method: str) -> None:
    """Scores are those of a loop that lowers them by their overlap with each kept box."""
    boxes, scores, _ = some_boxes(30, 2)
    left, values, expected = list(range(30)), dict(enumerate(map(float, scores))), []
    while left:
        best = max(left, key=lambda i: values[i])
        expected.append((best, values[best]))
        left.remove(best)
        for i in left:
            iou = naive_iou(boxes[best], boxes[i])
            lowered = {"naive": 0, "linear": 1 - iou}.get(method, 1) if iou > 0.3 else 1
            values[i] *= np.exp(-(iou**2) / 0.5) if method == "gaussian" else lowered
        left = [i for i in left if values[i] >= 1e-3]
    dets, kept = soft_nms(boxes, scores, method=method)
    np.testing.assert_allclose(sorted(dets[:, 4]), sorted(value for _, value in expected), rtol=1e-4)
    assert sorted(kept.tolist()) == sorted(i for i, _ in expected)


def test_overlaps() -> None:
    """All pairs, aligned pairs, and the share of the first box."""
    first, second = torch.tensor([[0.0, 0, 4, 4], [0, 0, 2, 2]]), torch.tensor([[2.0, 2, 6, 6], [0, 0, 4, 4]])
    torch.testing.assert_close(bbox_overlaps(first, second), torch.tensor([[4 / 28, 1], [0, 0.25]]))
    torch.testing.assert_close(bbox_overlaps(first, second, aligned=True), torch.tensor([4 / 28, 0.25]))
    torch.testing.assert_close(bbox_overlaps(first, second, "iof"), torch.tensor([[0.25, 1], [0, 1]]))
