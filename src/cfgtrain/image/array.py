"""Image arrays: their type, and what the image functions share to check and restore them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from cfgtrain.arguments import check_number, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError, MissingLibraryError

try:  # this module is imported before all others that need OpenCV, so the check is only here
    import cv2
except ImportError as _error:
    raise MissingLibraryError(
        f"OpenCV cannot be imported: {_error}. To fix this, also on servers without a display, run: "
        "pip install --force-reinstall --no-deps opencv-python-headless"
    ) from _error

Array = np.ndarray[Any, Any]
Numbers = float | Sequence[float] | Array  # a number, or one number for each channel, edge or axis

__all__: list[str] = []  # what the package exports

_CHANNELS_AT_ONCE = 4  # the most channels that every OpenCV function accepts
MAX_EDGE = 2**31 - 1  # pixels; the most that OpenCV accepts
MAX_CHANNELS = 128  # the most that OpenCV 5 accepts in an image; OpenCV 4 accepts 512


def check_image(
    img: Any,
    dtypes: Sequence[str] = (),
    ndims: Sequence[int] = (2, 3),
    name: str = "img",
    *,
    channels: Sequence[int] = (),
    real: bool = False,
) -> Array:
    """Return ``img`` if it is an image array that a function accepts.

    Args:
        img: The argument, (H, W) or (H, W, C).
        dtypes: Names of the accepted dtypes; empty for all.
        ndims: The accepted numbers of dimensions.
        name: Name of the argument.
        channels: The accepted numbers of channels, where (H, W) has one; empty for all.
        real: Whether the array must be of real numbers: not of complex ones, text or objects.

    Raises:
        ArgumentTypeError: It is not an array, its dtype is not accepted, or it has the byte order of another machine.
        ArgumentError: It has another number of dimensions or channels, or no pixels.
    """
    if not isinstance(img, np.ndarray):
        raise ArgumentTypeError(
            f"{name} must be an array (H, W) or (H, W, C), not {type(img).__name__}.", argument=name
        )
    if not img.dtype.isnative:  # OpenCV would read the bytes in the wrong order
        raise ArgumentTypeError(
            f"{name} must be in the byte order of this machine, not {img.dtype}: "
            f"use {name}.astype({img.dtype.name!r}).",
            argument=name,
        )
    if img.ndim not in ndims:
        shapes = " or ".join({2: "(H, W)", 3: "(H, W, C)"}[n] for n in ndims)
        raise ArgumentError(f"{name} must be an array {shapes}, not of shape {img.shape}.", argument=name)
    if img.size == 0:
        raise ArgumentError(f"{name} has no pixels: its shape is {img.shape}.", argument=name)
    if dtypes and dtype_name(img.dtype) not in dtypes:
        raise ArgumentTypeError(
            f"{name} must be an array of {' or '.join(dtypes)}, not of {img.dtype}.", argument=name
        )
    if real and img.dtype.kind not in "buif":
        raise ArgumentTypeError(
            f"{name} must be an array of real numbers, not of {img.dtype}.", argument=name
        )
    if channels and count_channels(img) not in channels:
        counts = " or ".join(map(str, channels))
        raise ArgumentError(
            f"{name} must have {counts} channel{'s' * (channels[-1] > 1)}, but its shape is {img.shape}.",
            argument=name,
        )
    return img


def check_content(content: Any) -> bytes:
    """Return the content of a file as bytes.

    Args:
        content: The argument ``content``: bytes, or a buffer of bytes such as an array of uint8.

    Raises:
        ArgumentTypeError: It is something else.
    """
    return bytes(check_type("content", content, bytes | bytearray | memoryview | np.ndarray, "bytes"))


def check_writable(copying: str, img: Array) -> None:
    """Raise if an image cannot be changed in place.

    Args:
        copying: Name of the function that returns a copy, for the message.
        img: The image.

    Raises:
        ArgumentError: It is read-only.
    """
    if not img.flags.writeable:
        raise ArgumentError(
            f"img is read-only, so it cannot be changed in place: use {copying}.", argument="img"
        )


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of a dtype, which takes NumPy longer than OpenCV needs to flip a small image."""
    return dtype.name


def count_channels(img: Array) -> int:
    """Return the number of channels: 1 for an image (H, W)."""
    return 1 if img.ndim == 2 else int(img.shape[2])


def channel_numbers(name: str, value: Any, channels: int) -> tuple[float, ...]:
    """Return an argument that is one number for all channels or one for each, as one number per channel.

    Args:
        name: Name of the argument.
        value: A number, or a sequence or array with one number for each channel.
        channels: The number of channels.

    Raises:
        ArgumentTypeError: ``value`` is neither a number nor a sequence of numbers.
        ArgumentError: It has another length.
    """
    items = value.ravel().tolist() if isinstance(value, np.ndarray) and value.ndim else value
    if not isinstance(items, list | tuple):
        return (check_number(name, items.item() if isinstance(items, np.ndarray) else items),) * channels
    if len(items) != channels:
        raise ArgumentError(
            f"{name} must be a number, or one number for each of the {channels} channels, not {value!r}.",
            argument=name,
        )
    return tuple(check_number(f"{name}[{i}]", item) for i, item in enumerate(items))


def channel_values(name: str, value: Any, img: Array) -> tuple[float, ...]:
    """Return an argument that is one pixel value for all channels or one for each, as one number per channel.

    Args:
        name: Name of the argument.
        value: See ``channel_numbers``.
        img: The image, (H, W) or (H, W, C).

    Raises:
        ArgumentTypeError: ``value`` is neither a number nor a sequence of numbers.
        ArgumentError: It has another length, or a number that does not fit the dtype of ``img``.
    """
    values = channel_numbers(name, value, count_channels(img))
    if img.dtype.kind in "ui":
        limits = np.iinfo(img.dtype)
        if min(values) < limits.min or max(values) > limits.max:
            raise ArgumentError(
                f"{name} must be from {limits.min} to {limits.max} for an image of {img.dtype}, not {value!r}.",
                argument=name,
            )
    return values


def in_dtype(values: Sequence[float], img: Array) -> Array:
    """Return numbers as an array of the dtype of ``img``, rounded half to even if it is an integer dtype.

    OpenCV rounds border values in the same way.
    """
    exact = np.array(values)
    return (np.rint(exact) if img.dtype.kind in "ui" and exact.dtype.kind == "f" else exact).astype(img.dtype)


def filled(height: int, width: int, values: Sequence[float], img: Array) -> Array:
    """Return a new image of one colour, with the dtype and the channel axis of ``img``.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        values: The colour, one number per channel.
        img: The image, (H, W) or (H, W, C).

    Raises:
        ArgumentError: The memory is not sufficient.
    """
    try:
        result = np.empty((height, width, *img.shape[2:]), img.dtype)
    except (MemoryError, ValueError) as error:
        raise too_large(height, width) from error
    fill(result, values)
    return result


def too_large(height: int, width: int) -> ArgumentError:
    """Return the error for an image that does not fit into the memory."""
    return ArgumentError(f"The memory is not sufficient for an image of {width}x{height} pixels.")


def fill(img: Array, values: Sequence[float]) -> None:
    """Set every pixel of an image, or of a part of one, to the values of its channels."""
    first = values[0]
    if all(value == first for value in values):
        img[...] = in_dtype(values[:1], img)
    elif img.size:
        img[:1] = in_dtype(values, img)
        img[1:] = img[:1]  # copying rows is far faster than copying pixels


def opencv_output(img: Array) -> Array | None:
    """Return an array to whose memory OpenCV can write, or None if it is not contiguous.

    The strides of a contiguous array along axes of length 1 can be anything, which OpenCV refuses, so it is reshaped.
    """
    return img.reshape(-1).reshape(img.shape) if img.flags.c_contiguous else None


def restore_axis(result: Array, img: Array) -> Array:
    """Return ``result`` with the channel axis of length 1 of ``img``, which OpenCV drops."""
    return result[..., None] if img.ndim == 3 and result.ndim == 2 else result


def by_channel_groups(
    img: Array,
    values: Sequence[float],
    function: Callable[[Array, tuple[float, ...]], Array],
    at_once: int = _CHANNELS_AT_ONCE,
) -> Array:
    """Apply a function of OpenCV, which accepts at most four channels, to an image of any number of channels.

    Args:
        img: The image, (H, W) or (H, W, C).
        values: One number per channel, such as a border value.
        function: Called with some channels of the image and the values of the first four of them.
        at_once: The most channels that the function accepts, if they are more than four.

    Returns:
        The results side by side, with a channel axis if ``img`` has one.
    """
    channels = count_channels(img)
    if channels <= at_once:
        return restore_axis(function(img, (*values, 0.0, 0.0, 0.0)[:4]), img)
    parts = []
    for first in range(0, channels, at_once):
        part = np.ascontiguousarray(img[..., first : first + at_once])
        chosen = (*values[first : first + at_once], 0.0, 0.0, 0.0)[:4]
        parts.append(restore_axis(function(part, chosen), part))
    return np.concatenate(parts, axis=2)


def opencv_reason(error: cv2.error) -> str:
    """Return the reason in an error of OpenCV, without its file, line and function."""
    text = str(getattr(error, "err", "") or error).strip()
    if "Overload resolution failed" not in text:
        return text
    # the line after it says which argument OpenCV cannot convert; the other lines repeat it for other array types
    return next((line.strip(" >-") for line in str(error).splitlines()[1:] if " - " in line), text)
