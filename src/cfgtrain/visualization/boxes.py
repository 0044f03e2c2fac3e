"""Draw bounding boxes and labels on images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cfgtrain.arguments import check_integer, check_number, count_items
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array, count_channels
from cfgtrain.image.io import imread, imwrite
from cfgtrain.visualization.color import ColorLike, color_val
from cfgtrain.visualization.text import draw_text
from cfgtrain.visualization.window import check_viewable, imshow

__all__ = ["imshow_bboxes", "imshow_det_bboxes"]

Boxes = Array | Sequence[Sequence[float]]

_MAX_FONT_SCALE = 100  # OpenCV crashes at far larger ones
_FAR = 2**20  # pixels; coordinates beyond it are outside of any image that OpenCV can draw on


def imshow_bboxes(
    img: Array | str | os.PathLike[str],
    bboxes: Boxes | Sequence[Boxes],
    colors: ColorLike | list[Any] = "green",
    top_k: int = -1,
    thickness: int = 1,
    show: bool = True,
    win_name: str = "",
    wait_time: int = 0,
    out_file: str | os.PathLike[str] | None = None,
) -> Array:
    """Draw bounding boxes on a copy of an image, and show it.

    Args:
        img: An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), channels in the order BGR, or the path of an
            image. uint8 has values from 0 to 255, uint16 from 0 to 65535, float32 and float64 from 0 to 1. On a
            grayscale image, a color is drawn as its shade of gray.
        bboxes: Boxes (k, 4) as (x1, y1, x2, y2) in pixels, 0-based, which are truncated to integers; further
            columns, such as scores, are ignored. Or a list of such arrays.
        colors: A color for all boxes, see ``color_val``, or a list with one color for each array of ``bboxes``.
            Within that list, a color may be a list as well.
        top_k: Draw only so many boxes of each array, if it is positive.
        thickness: Thickness of the lines in pixels; -1 fills the boxes.
        show: Whether to show the image; see ``imshow``.
        win_name: See ``imshow``.
        wait_time: See ``imshow``.
        out_file: Path to which the drawn image is written; see ``imwrite``.

    Returns:
        The drawn image, with the shape and dtype of ``img``.

    Raises:
        ArgumentError: The boxes have another shape or are not finite, there is not one color for each array,
            or a color is not known.
        ArgumentTypeError: An argument has the wrong type.
    """
    groups = [_check_boxes(name, boxes) for name, boxes in _groups(bboxes)]
    chosen = [_color(color) for color in (colors if isinstance(colors, list) else [colors] * len(groups))]
    if len(chosen) != len(groups):
        raise ArgumentError(
            f"colors must be one color, or a list of {len(groups)} colors for {len(groups)} arrays of boxes, "
            f"not of {len(chosen)}.",
            argument="colors",
        )
    top_k, thickness = check_integer("top_k", top_k), _check_thickness(thickness)
    canvas = _canvas(img)
    for boxes, color in zip(groups, chosen, strict=True):
        for box in boxes[:top_k] if top_k > 0 else boxes:
            _draw_box(canvas, box, color, thickness)
    return _finish(canvas, show, win_name, wait_time, out_file)


def imshow_det_bboxes(
    img: Array | str | os.PathLike[str],
    bboxes: Boxes,
    labels: Array | Sequence[int],
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    score_thr: float = 0,
    bbox_color: ColorLike | list[int] = "green",
    text_color: ColorLike | list[int] = "green",
    thickness: int = 1,
    font_scale: float = 0.5,
    show: bool = True,
    win_name: str = "",
    wait_time: int = 0,
    out_file: str | os.PathLike[str] | None = None,
) -> Array:
    """Draw detected objects with their class names and scores on a copy of an image, and show it.

    The label stands above the upper left corner of the box, or inside if the box begins at the upper edge of
    the image.

    Args:
        img: See ``imshow_bboxes``.
        bboxes: Boxes (n, 4) as (x1, y1, x2, y2) in pixels, 0-based, or (n, 5) with a score as the fifth column.
        labels: Class indices (n,), 0-based.
        class_names: The name of each class. By default, class 3 is shown as ``cls 3``.
        score_thr: If it is positive, only boxes with a greater score are drawn.
        bbox_color: Color of the boxes; see ``color_val``. A list (blue, green, red) is accepted as well.
        text_color: Color of the labels.
        thickness: See ``imshow_bboxes``.
        font_scale: Size of the labels, at most 100. With 1, a capital letter is about 22 pixels high.
        show: Whether to show the image; see ``imshow``.
        win_name: See ``imshow``.
        wait_time: See ``imshow``.
        out_file: Path to which the drawn image is written; see ``imwrite``.

    Returns:
        The drawn image, with the shape and dtype of ``img``.

    Raises:
        ArgumentError: The boxes or labels have another shape, there is no score or class name where one is
            needed, or a color is not known.
        ArgumentTypeError: An argument has the wrong type.
    """
    boxes = _check_boxes("bboxes", bboxes)
    classes = np.asarray(labels)
    if boxes.shape[1] > 5:
        raise ArgumentError(
            f"bboxes must have 4 columns, or 5 with scores, not {boxes.shape[1]}.", argument="bboxes"
        )
    if classes.shape != boxes.shape[:1]:
        raise ArgumentError(
            f"labels must be one label for each of the {len(boxes)} boxes, an array ({len(boxes)},), "
            f"not of shape {classes.shape}.",
            argument="labels",
        )
    if check_number("score_thr", score_thr) > 0:
        if boxes.shape[1] < 5:
            raise ArgumentError(
                "score_thr needs a score for each box: bboxes must have 5 columns, not 4.", argument="bboxes"
            )
        kept = boxes[:, 4] > score_thr
        boxes, classes = boxes[kept], classes[kept]
    is_indexed = hasattr(class_names, "__getitem__") and count_items(class_names) is not None
    if class_names is not None and not is_indexed:
        raise ArgumentTypeError(
            f"class_names must be a list of names, a dict or None, not {class_names!r}.",
            argument="class_names",
        )
    names = [_class_name(class_names, each) for each in classes.tolist()]
    box_color, label_color = _color(bbox_color), _color(text_color)
    thickness, font_scale = (
        _check_thickness(thickness),
        check_number("font_scale", font_scale, 0, _MAX_FONT_SCALE),
    )
    canvas = _canvas(img)
    for box, name in zip(boxes, names, strict=True):
        _draw_box(canvas, box, box_color, thickness)
        text = f"{name}|{box[4]:.02f}" if len(box) > 4 else name
        draw_text(canvas, text, (int(box[0]), int(box[1]) - 2), font_scale, _scaled(label_color, canvas))
    return _finish(canvas, show, win_name, wait_time, out_file)


def _groups(bboxes: Any) -> list[tuple[str, Any]]:
    """Return the arrays of boxes with their names for messages."""
    if isinstance(bboxes, np.ndarray):
        return [("bboxes", bboxes)]
    if not isinstance(bboxes, list | tuple):
        raise ArgumentTypeError(
            f"bboxes must be an array (k, 4) or a list of such arrays, not {bboxes!r}.", argument="bboxes"
        )
    if bboxes and np.ndim(bboxes[0]) == 1:  # a list of boxes, as JSON and YAML give it
        return [("bboxes", bboxes)]
    return [(f"bboxes[{i}]", boxes) for i, boxes in enumerate(bboxes)]


def _check_boxes(name: str, value: Any) -> Array:
    """Return boxes as an array (k, 4 or more) of float64."""
    try:
        boxes = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"{name} must be an array of numbers (k, 4): {error}.", argument=name
        ) from error
    if boxes.size == 0 and boxes.ndim == 1:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] < 4:
        raise ArgumentError(f"{name} must be an array (k, 4), not of shape {boxes.shape}.", argument=name)
    if not np.isfinite(boxes[:, :4]).all():
        row = int(np.flatnonzero(~np.isfinite(boxes[:, :4]).all(axis=1))[0])
        raise ArgumentError(f"{name}[{row}] is not finite: {boxes[row, :4].tolist()}.", argument=name)
    boxes[:, :4] = boxes[:, :4].clip(-_FAR, _FAR)
    return boxes


def _color(color: Any) -> tuple[int, int, int]:
    """Return the color that ``color_val`` returns, also for a list (blue, green, red), as JSON and YAML give it."""
    return color_val(tuple(color) if isinstance(color, list) else color)


def _check_thickness(thickness: int) -> int:
    if check_integer("thickness", thickness, -1, 255) == 0:
        raise ArgumentError(
            "thickness must be from 1 to 255, or -1 to fill the boxes, not 0.", argument="thickness"
        )
    return int(thickness)


def _class_name(names: Sequence[str] | Mapping[int, str] | None, label: int) -> str:
    label = check_integer("labels", label)
    if names is None:
        return f"cls {label}"
    known = label in names if isinstance(names, Mapping) else 0 <= label < len(names)
    if not known:
        raise ArgumentError(
            f"class_names has {len(names)} names, and none for the label {label}.", argument="class_names"
        )
    return str(names[label])


def _canvas(img: Array | str | os.PathLike[str]) -> Array:
    """Return a copy of an image on which OpenCV can draw."""
    return np.array(check_viewable(imread(img)), order="C")


def _scaled(color: tuple[int, int, int], canvas: Array) -> tuple[float, ...]:
    """Return a color as the values that it has on a canvas, one for each channel."""
    scale = {"uint8": 1, "uint16": 257}.get(canvas.dtype.name, 1 / 255)
    channels = count_channels(canvas)
    if channels == 1:
        gray = int(cv2.cvtColor(np.array([[color]], np.uint8), cv2.COLOR_BGR2GRAY)[0, 0])
        return (gray * scale,)
    return tuple(value * scale for value in (*color, 255)[:channels])


def _draw_box(canvas: Array, box: Array, color: tuple[int, int, int], thickness: int) -> None:
    x1, y1, x2, y2 = (int(value) for value in box[:4])
    cv2.rectangle(canvas, (x1, y1), (x2, y2), _scaled(color, canvas), thickness)


def _finish(
    canvas: Array, show: bool, win_name: str, wait_time: int, out_file: str | os.PathLike[str] | None
) -> Array:
    if show:
        imshow(canvas, win_name, wait_time)
    if out_file is not None:
        imwrite(canvas, out_file)
    return canvas
