"""Read, write, quantize and apply optical flow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

import cfgtrain.arraymisc
from cfgtrain.arguments import check_integer, check_positive, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError, FileContentError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name
from cfgtrain.image.array import Array, by_channel_groups, channel_values, check_content, check_image
from cfgtrain.image.io import imread, imwrite
from cfgtrain.suggestions import suggest

__all__ = [
    "dequantize_flow",
    "flow_from_bytes",
    "flow_warp",
    "flowread",
    "flowwrite",
    "quantize_flow",
    "sparse_flow_from_bytes",
]

_MAGIC = b"PIEH"  # the float 202021.25
_LEVELS = 255  # an odd number, so that zero flow is the centre of a level
_MAX_EDGE = 32766  # of the images that cv2.remap accepts
_OUTSIDE = -2  # a position at which no pixel contributes to bilinear interpolation
_ROWS_AT_ONCE = 64  # few enough for their positions to stay in the CPU cache
_INTERPOLATION = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


class FlowFileError(FileContentError, OSError):
    """The content of a file is not optical flow."""


class InterpolationError(ArgumentError, NotImplementedError):
    """The interpolation is unknown. It is also a ``NotImplementedError``, which MMCV raises."""


def check_flow(flow: Any) -> Array:
    """Return ``flow`` if it is an array (H, W, 2) of numbers.

    Raises:
        ArgumentTypeError: It is not an array of numbers.
        ArgumentError: It has another shape, or no pixels.
    """
    check_image(flow, ndims=(3,), name="flow")
    if flow.shape[2] != 2:
        raise ArgumentError(
            f"flow must be an array (H, W, 2) of (dx, dy), not of shape {flow.shape}.", argument="flow"
        )
    if flow.dtype.kind not in "uif":
        raise ArgumentTypeError(f"flow must be an array of numbers, not of {flow.dtype}.", argument="flow")
    array: Array = flow
    return array


def flowread(
    flow_or_path: Array | str | os.PathLike[str],
    quantize: bool = False,
    concat_axis: int = 0,
    *args: Any,
    **kwargs: Any,
) -> Array:
    """Read optical flow.

    Args:
        flow_or_path: Path or URI of a .flo file, or of an image if ``quantize``. An array (H, W, 2) is returned
            unchanged.
        quantize: Whether the file is an image with one channel that ``flowwrite`` has written with ``quantize``.
        concat_axis: Whether dx and dy lie below each other in that image (0), or side by side (1).
        args: Passed to ``dequantize_flow``.
        kwargs: Passed to ``dequantize_flow``.

    Returns:
        Flow (H, W, 2) of float32 as (dx, dy) in pixels.

    Raises:
        FileNotFoundError: The file does not exist.
        FlowFileError: The file is not optical flow; this is also an ``OSError``.
        ArgumentError: The array has another shape, ``concat_axis`` is neither 0 nor 1, or the image cannot be
            divided into two.
        ArgumentTypeError: ``flow_or_path`` is neither an array nor a path.
    """
    if isinstance(flow_or_path, np.ndarray):
        return check_flow(flow_or_path)
    path = _path("flow_or_path", flow_or_path)
    if not quantize:
        content = FileClient.infer_client(uri=path).get(path)
        try:
            return flow_from_bytes(bytes(content))
        except FlowFileError as error:
            raise FlowFileError(f"{display_name(path)}: {error}") from error
    axis = check_integer("concat_axis", concat_axis, 0, 1)
    both = imread(path, "unchanged")
    if both.ndim != 2:
        raise FlowFileError(
            f"{display_name(path)} is not quantized flow: it has {both.shape[2]} channels, not 1."
        )
    if both.shape[axis] % 2:
        raise ArgumentError(
            f"{display_name(path)} cannot be divided into dx and dy along axis {axis}: its shape is {both.shape}.",
            argument="concat_axis",
        )
    dx, dy = np.split(both, 2, axis=axis)
    return dequantize_flow(dx, dy, *args, **kwargs).astype(np.float32)


def flowwrite(
    flow: Array,
    filename: str | os.PathLike[str],
    quantize: bool = False,
    concat_axis: int = 0,
    *args: Any,
    **kwargs: Any,
) -> None:
    """Write optical flow to a .flo file, or as an image with 8 bits for each number. Folders are created.

    Args:
        flow: Flow (H, W, 2) as (dx, dy) in pixels.
        filename: Path or URI of the file.
        quantize: Whether to write an image, whose format is set by the suffix. JPEG changes the values further.
        concat_axis: Whether to put dx and dy below each other in the image (0), or side by side (1).
        args: Passed to ``quantize_flow``.
        kwargs: Passed to ``quantize_flow``.

    Raises:
        ArgumentError: The flow has another shape, or ``concat_axis`` is neither 0 nor 1.
        ArgumentTypeError: ``flow`` is not an array, or ``filename`` is not a path.
    """
    flow, path = check_flow(flow), _path("filename", filename)
    if quantize:
        axis = check_integer("concat_axis", concat_axis, 0, 1)
        imwrite(np.concatenate(quantize_flow(flow, *args, **kwargs), axis=axis), path)
        return
    height, width = flow.shape[:2]
    header = _MAGIC + np.array([width, height], "<i4").tobytes()
    FileClient.infer_client(uri=path).put(header + flow.astype("<f4").tobytes(), path)


def quantize_flow(flow: Array, max_val: float = 0.02, norm: bool = True) -> tuple[Array, Array]:
    """Quantize optical flow to 255 levels, so that it can be stored as images of 8 bits.

    Args:
        flow: Flow (H, W, 2) as (dx, dy) in pixels.
        max_val: The maximum absolute value; greater values are clipped.
        norm: Whether to divide dx by the width and dy by the height first. ``max_val`` is a part of the width
            or height then.

    Returns:
        A tuple (dx, dy) of two arrays (H, W) of uint8, from 0 to 254. Zero becomes 127.

    Raises:
        ArgumentError: The flow has another shape, or ``max_val`` is not positive.
        ArgumentTypeError: ``flow`` is not an array of numbers.
    """
    height, width = check_flow(flow).shape[:2]
    limit = check_positive("max_val", max_val)
    scales = (width, height) if norm else (1, 1)
    dx, dy = (
        cfgtrain.arraymisc.quantize(flow[..., i] / scale, -limit, limit, _LEVELS, np.uint8)
        for i, scale in enumerate(scales)
    )
    return dx, dy


def dequantize_flow(dx: Array, dy: Array, max_val: float = 0.02, denorm: bool = True) -> Array:
    """Restore optical flow that ``quantize_flow`` has quantized.

    Args:
        dx: (H, W) array of levels from 0 to 254.
        dy: (H, W) array of levels.
        max_val: As for ``quantize_flow``.
        denorm: Whether to multiply dx by the width and dy by the height.

    Returns:
        Flow (H, W, 2) of float64 as (dx, dy) in pixels.

    Raises:
        ArgumentError: The shapes differ or are not (H, W), or ``max_val`` is not positive.
        ArgumentTypeError: ``dx`` or ``dy`` is not an array.
    """
    check_image(dx, ndims=(2,), name="dx")
    check_image(dy, ndims=(2,), name="dy")
    if dx.shape != dy.shape:
        raise ArgumentError(
            f"dx and dy must have the same shape, not {dx.shape} and {dy.shape}.", argument="dy"
        )
    limit = check_positive("max_val", max_val)
    height, width = dx.shape
    scales = (width, height) if denorm else (1, 1)
    parts = [
        cfgtrain.arraymisc.dequantize(part, -limit, limit, _LEVELS) * scale
        for part, scale in zip((dx, dy), scales, strict=True)
    ]
    return np.stack(parts, axis=2)


def flow_warp(
    img: Array,
    flow: Array,
    filling_value: Any = 0,
    interpolate_mode: Literal["nearest", "bilinear"] = "nearest",
) -> Array:
    """Warp an image with optical flow: the result at (x, y) is the image at (x + dx, y + dy).

    The pixel centres are at integer positions. Every position from 0 to W - 1 and from 0 to H - 1 is inside the
    image; in MMCV the last row and column are not.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, int16, float32 or float64. Edges are at most 32,766 pixels.
        flow: Flow (H, W, 2) as (dx, dy) in pixels.
        filling_value: Value where the position is outside the image or not a number: a number, or one for each
            channel.
        interpolate_mode: ``nearest``, where a position halfway between two pixels is rounded to the even one, or
            ``bilinear``. For ``bilinear``, OpenCV 4 rounds positions to 1/32 pixel: x and y are wrong by up to
            1/64 pixel, and the values by up to 1/64 of the difference between neighbours, for each of the two.
            OpenCV 5 does not round. Positions are computed in float32, or in float64 if ``flow`` is float64.

    Returns:
        The warped image, with the shape and dtype of ``img``. Interpolated integers are rounded.

    Raises:
        ArgumentError: A shape is wrong, the image is too large, or ``filling_value`` does not fit the image.
        ArgumentTypeError: An argument has the wrong type.
        InterpolationError: The interpolation is unknown; this is also a ``NotImplementedError``.
    """
    check_image(img, ("uint8", "uint16", "int16", "float32", "float64"))
    check_flow(flow)
    if interpolate_mode not in tuple(_INTERPOLATION):
        raise InterpolationError(
            f"interpolate_mode must be 'nearest' or 'bilinear', not {interpolate_mode!r}."
            f"{suggest(str(interpolate_mode), list(_INTERPOLATION))}",
            argument="interpolate_mode",
        )
    if flow.shape[:2] != img.shape[:2]:
        raise ArgumentError(
            f"flow must have the height and width of img, {img.shape[:2]}, not {flow.shape[:2]}.",
            argument="flow",
        )
    if max(img.shape[:2]) > _MAX_EDGE:
        raise ArgumentError(
            f"The edges of img must be at most {_MAX_EDGE} pixels, not {max(img.shape[:2])}.", argument="img"
        )
    values = channel_values("filling_value", filling_value, img)
    if not np.isfinite(values).all():
        raise ArgumentError(f"filling_value must be finite, not {filling_value!r}.", argument="filling_value")
    contiguous = np.ascontiguousarray(img)
    return by_channel_groups(
        contiguous, values, lambda part, fill: _warp(part, flow, fill, _INTERPOLATION[interpolate_mode])
    )


def _warp(img: Array, flow: Array, fill: Sequence[float], interpolation: int) -> Array:
    """Warp an image of at most four channels, some rows at once, which stay in the CPU cache."""
    height, width = flow.shape[:2]
    precision = np.result_type(flow.dtype, np.float32)
    # x and y alternate along one axis, since NumPy is slow with a last axis of length 2
    last = np.tile(np.array([width - 1, height - 1], precision), width)
    grid = np.empty((min(height, _ROWS_AT_ONCE), 2 * width), precision)
    grid[:, ::2] = np.arange(width)
    grid[:, 1::2] = np.arange(len(grid))[:, None]
    warped = np.empty_like(img)
    for top in range(0, height, _ROWS_AT_ONCE):
        part = flow[top : top + _ROWS_AT_ONCE]
        positions = part.reshape(len(part), -1) + grid[: len(part)]
        inside = positions >= 0
        inside &= positions <= last
        np.copyto(positions, _OUTSIDE, where=np.logical_not(inside, out=inside))  # also where it is NaN
        if interpolation == cv2.INTER_NEAREST:
            np.rint(positions, out=positions)
        cv2.remap(
            img,
            positions.astype(np.float32, copy=False).reshape(part.shape),
            None,  # type: ignore[call-overload]  # missing in the stubs of OpenCV
            interpolation,
            dst=warped[top : top + _ROWS_AT_ONCE],
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )
        grid[:, 1::2] += _ROWS_AT_ONCE
    return warped


def flow_from_bytes(content: bytes) -> Array:
    """Decode optical flow from the content of a .flo file, the format of the Middlebury benchmark.

    Args:
        content: Content of the file.

    Returns:
        Flow (H, W, 2) of float32 as (dx, dy) in pixels.

    Raises:
        ArgumentTypeError: ``content`` is not bytes.
        FlowFileError: The content is not a complete .flo file.
    """
    content = check_content(content)
    if content[:4] != _MAGIC:
        raise FlowFileError(f"A .flo file begins with {_MAGIC!r}, not with {bytes(content[:4])!r}.")
    if len(content) < 12:
        raise FlowFileError(f"The .flo file is not complete: it has only {len(content)} bytes.")
    width, height = np.frombuffer(content, "<i4", 2, offset=4).tolist()
    if width < 1 or height < 1:
        raise FlowFileError(f"The .flo file has a size of {width}x{height} pixels.")
    needed = 12 + width * height * 8
    if len(content) < needed:
        raise FlowFileError(
            f"The .flo file is not complete: {width}x{height} pixels need {needed} bytes, and it has {len(content)}."
        )
    numbers = np.frombuffer(content, "<f4", width * height * 2, offset=12)
    return numbers.reshape(height, width, 2).astype(np.float32)


def sparse_flow_from_bytes(content: bytes) -> tuple[Array, Array]:
    """Decode sparse optical flow from the content of a PNG file in the format of the KITTI benchmark.

    Args:
        content: Content of the file: an image with 16 bits, whose channels R, G and B are dx, dy and whether the
            flow is known.

    Returns:
        A tuple (flow, valid): flow (H, W, 2) of float32 as (dx, dy) in pixels, in steps of 1/64, and an array
        (H, W) of float32 that is 1 where the flow is known and 0 elsewhere.

    Raises:
        ArgumentTypeError: ``content`` is not bytes.
        FlowFileError: The content is not an image with three channels of 16 bits.
    """
    encoded = np.frombuffer(check_content(content), np.uint8)
    img = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if img is None:
        raise FlowFileError("The content is not an image that OpenCV can decode.")
    if img.dtype != np.uint16 or img.ndim != 3 or img.shape[2] != 3:
        raise FlowFileError(
            f"Sparse flow is an image with 3 channels of uint16, not one of shape {img.shape} and {img.dtype}."
        )
    numbers = img[..., ::-1].astype(np.float32)
    return (numbers[..., :2] - 2**15) / 64, np.ascontiguousarray(numbers[..., 2])


def _path(name: str, value: Any) -> str | Path:
    check_type(name, value, str | os.PathLike, "a path")
    return value if isinstance(value, str) else Path(value)
