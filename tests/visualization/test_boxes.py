from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import cfgtrain
from cfgtrain.visualization import boxes, imshow_bboxes, imshow_det_bboxes

GREEN, RED, BLUE = (0, 255, 0), (0, 0, 255), (255, 0, 0)


def frame(shape: tuple[int, ...], box: tuple[int, int, int, int], color: Any) -> np.ndarray:
    """Return a black image with the one pixel wide frame of a box."""
    img = np.zeros(shape, np.uint8)
    x1, y1, x2, y2 = box
    img[y1, x1 : x2 + 1] = img[y2, x1 : x2 + 1] = color
    img[y1 : y2 + 1, x1] = img[y1 : y2 + 1, x2] = color
    return img


def test_one_box() -> None:
    """A box is drawn in the color, on a copy."""
    img = np.zeros((20, 30, 3), np.uint8)
    drawn = imshow_bboxes(img, np.array([[2.9, 3, 10, 12]]), show=False)
    assert np.array_equal(drawn, frame(img.shape, (2, 3, 10, 12), GREEN))
    assert not img.any()
    assert not np.shares_memory(img, drawn)


@pytest.mark.parametrize(
    "bboxes",
    [
        np.array([[2, 3, 10, 12], [15, 5, 20, 8]], np.float32),
        np.array([[2, 3, 10, 12, 0.5], [15, 5, 20, 8, 0.4]]),
        [[2, 3, 10, 12], [15, 5, 20, 8]],
        [np.array([[2, 3, 10, 12]]), np.array([[15, 5, 20, 8]])],
        [[[2, 3, 10, 12], [15, 5, 20, 8]], []],
        (np.array([[2, 3, 10, 12], [15, 5, 20, 8]]), np.zeros((0, 4))),
    ],
)
def test_kinds_of_boxes(bboxes: Any) -> None:
    """Arrays, lists of arrays and lists of boxes are accepted, and a fifth column is ignored."""
    drawn = imshow_bboxes(np.zeros((20, 30, 3), np.uint8), bboxes, "red", show=False)
    expected = frame((20, 30, 3), (2, 3, 10, 12), RED) | frame((20, 30, 3), (15, 5, 20, 8), RED)
    assert np.array_equal(drawn, expected)


def test_colors_and_top_k() -> None:
    """A list of colors has one for each array, and top_k limits the boxes of each array."""
    first = np.array([[2, 3, 10, 12], [0, 0, 1, 1]])
    second = np.array([[15, 5, 20, 8], [0, 0, 1, 1], [25, 15, 27, 17]])
    drawn = imshow_bboxes(
        np.zeros((20, 30, 3), np.uint8), [first, second], ["red", (255, 0, 0)], top_k=1, show=False
    )
    expected = frame((20, 30, 3), (2, 3, 10, 12), RED) | frame((20, 30, 3), (15, 5, 20, 8), BLUE)
    assert np.array_equal(drawn, expected)
    assert imshow_bboxes(drawn, [], show=False).any()
    again = imshow_bboxes(
        np.zeros((20, 30, 3), np.uint8), [first, second], [[0, 0, 255], [255, 0, 0]], top_k=1, show=False
    )
    assert np.array_equal(again, expected)


def test_thickness() -> None:
    """A thickness of -1 fills the box, and boxes that are partly or wholly outside do no harm."""
    drawn = imshow_bboxes(
        np.zeros((20, 30, 3), np.uint8), np.array([[-1e9, -5, 1e30, 4]]), thickness=-1, show=False
    )
    expected = np.zeros((20, 30, 3), np.uint8)
    expected[:5] = GREEN
    assert np.array_equal(drawn, expected)
    assert not imshow_bboxes(np.zeros((20, 30, 3), np.uint8), np.array([[90, 90, 99, 99]]), show=False).any()


@pytest.mark.parametrize(
    ("dtype", "channels", "pixel"),
    [
        ("uint8", None, 149),  # 0.587 of 255, rounded by OpenCV
        ("uint8", 1, [149]),
        ("uint8", 4, [255, 0, 255, 255]),
        ("uint16", 3, [65535, 0, 65535]),
        ("float32", 3, [1, 0, 1]),
        ("float64", 3, [1, 0, 1]),
    ],
)
def test_kinds_of_images(dtype: str, channels: int | None, pixel: Any) -> None:
    """Shape and dtype are kept, and a color has the range of the dtype; gray images get its shade of gray."""
    shape = (20, 30) if channels is None else (20, 30, channels)
    color = "magenta" if channels and channels > 1 else "green"
    img = np.zeros(shape, dtype)[::-1]
    drawn = imshow_bboxes(img, [[2, 3, 10, 12]], color, show=False)
    assert drawn.shape == img.shape
    assert drawn.dtype == img.dtype
    assert np.allclose(drawn[3, 5], pixel, atol=1e-6 if dtype != "uint8" else 1)
    labelled = imshow_det_bboxes(img, [[2, 15, 20, 19]], [0], ["é"], show=False)
    assert labelled.dtype == img.dtype
    assert labelled[:14].any()


def test_shown_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The drawn image is shown and written; the image can be given by its path."""
    shown: list[tuple[Any, ...]] = []
    monkeypatch.setattr(boxes, "imshow", lambda *args: shown.append(args))
    cv2.imwrite(str(tmp_path / "in.png"), np.zeros((20, 30, 3), np.uint8))
    out = tmp_path / "new" / "out.png"
    drawn = imshow_bboxes(tmp_path / "in.png", [[2, 3, 10, 12]], win_name="w", wait_time=5, out_file=out)
    assert np.array_equal(cv2.imread(str(out)), drawn)
    ((img, name, wait_time),) = shown
    assert (name, wait_time) == ("w", 5)
    assert np.array_equal(img, drawn)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bboxes": [np.zeros((1, 4)), np.zeros((1, 4))], "colors": ["red"]}, AssertionError),
        ({"bboxes": np.zeros((2, 3))}, AssertionError),
        ({"bboxes": np.zeros(4)}, AssertionError),
        ({"bboxes": [[0, 0, float("nan"), 1]]}, ValueError),
        ({"bboxes": "boxes"}, TypeError),
        ({"bboxes": [["a", 0, 0, 0]]}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "colors": "gren"}, KeyError),
        ({"bboxes": np.zeros((1, 4)), "colors": 1.5}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "thickness": 0}, ValueError),
        ({"bboxes": np.zeros((1, 4)), "thickness": 1.5}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "top_k": "all"}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "img": np.zeros((5, 5, 2), np.uint8)}, ValueError),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    """A wrong argument is an error of the kind that MMCV raises, with a message of ours."""
    img = arguments.pop("img", np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(error) as info:
        imshow_bboxes(img, show=False, **arguments)
    assert isinstance(info.value, cfgtrain.CfgTrainError)


def test_detections_above_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """With score_thr, only boxes with a greater score are drawn."""
    bboxes = np.array([[2, 3, 10, 12, 0.5], [15, 5, 20, 8, 0.51]])
    monkeypatch.setattr(boxes, "draw_text", lambda *args: None)
    args: dict[str, Any] = {"labels": np.array([0, 1]), "show": False}
    img = np.zeros((20, 30, 3), np.uint8)
    drawn = imshow_det_bboxes(img, bboxes, score_thr=0.5, bbox_color="red", **args)
    assert np.array_equal(drawn, frame(img.shape, (15, 5, 20, 8), RED))
    both = imshow_det_bboxes(img, bboxes, bbox_color=[0, 0, 255], **args)
    assert both[3, 5].tolist() == [0, 0, 255]
    assert not img.any()


@pytest.mark.parametrize(
    ("columns", "class_names", "expected"),
    [
        (4, None, ["cls 2", "cls 0"]),
        (4, ("cat", "dog", "cow"), ["cow", "cat"]),
        (4, {0: "cat", 2: "cow"}, ["cow", "cat"]),
        (5, ["cat", "dog", "cow"], ["cow|0.88", "cat|0.25"]),
    ],
)
def test_labels(columns: int, class_names: Any, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The label is the class name and the score, two pixels above the upper left corner."""
    texts: list[tuple[str, tuple[int, int]]] = []
    monkeypatch.setattr(boxes, "draw_text", lambda canvas, text, at, scale, color: texts.append((text, at)))
    bboxes = np.array([[2.7, 40, 10, 50, 0.876], [15, 60, 20, 68, 0.25]])[:, :columns]
    imshow_det_bboxes(np.zeros((80, 80, 3), np.uint8), bboxes, np.array([2, 0]), class_names, show=False)
    assert texts == [(expected[0], (2, 38)), (expected[1], (15, 58))]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bboxes": np.zeros(4), "labels": np.zeros(1, int)}, AssertionError),
        ({"bboxes": np.zeros((1, 6)), "labels": np.zeros(1, int)}, AssertionError),
        ({"bboxes": np.zeros((1, 4)), "labels": np.zeros((1, 1), int)}, AssertionError),
        ({"bboxes": np.zeros((1, 4)), "labels": np.zeros(2, int)}, AssertionError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "score_thr": 0.3}, AssertionError),
        ({"bboxes": np.zeros((1, 4)), "labels": [2], "class_names": ["a", "b"]}, ValueError),
        ({"bboxes": np.zeros((1, 4)), "labels": [-1], "class_names": ["a", "b"]}, ValueError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0.5]}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "font_scale": "big"}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "font_scale": -1}, ValueError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "font_scale": 1e9}, ValueError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "class_names": 5}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "class_names": "cat"}, TypeError),
        ({"bboxes": np.zeros((1, 4)), "labels": [0], "class_names": {"cat"}}, TypeError),
    ],
)
def test_wrong_detections(arguments: dict[str, Any], error: type[Exception]) -> None:
    """Boxes, labels and scores that do not belong together are an error of the kind that MMCV raises."""
    with pytest.raises(error) as info:
        imshow_det_bboxes(np.zeros((20, 30, 3), np.uint8), show=False, **arguments)
    assert isinstance(info.value, cfgtrain.CfgTrainError)
