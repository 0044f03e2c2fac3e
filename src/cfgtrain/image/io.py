"""Read and write images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.errors import ArgumentError, ArgumentTypeError, ImageDecodeError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name, file_name
from cfgtrain.image import backends
from cfgtrain.image.array import Array, check_content, check_image, count_channels
from cfgtrain.image.backends import Flag
from cfgtrain.image.rescale import rescale_size
from cfgtrain.image.resize import Size, imresize
from cfgtrain.suggestions import suggest

__all__ = ["imfrombytes", "imread", "imwrite"]

ChannelOrder = Literal["bgr", "rgb"]


class _Format(NamedTuple):
    """What an image format holds: the dtypes, in the order in which they are tried, and the numbers of channels."""

    dtypes: tuple[str, ...]
    channels: tuple[int, ...]


_8_BIT, _16_BIT, _FLOAT = ("uint8",), ("uint8", "uint16"), ("float32",)
_TIFF_DTYPES = ("uint8", "uint16", "int8", "int16", "int32", "float32", "float64")
# By suffix, the formats that OpenCV supports in at least one of its builds.
_FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe"), _Format(_8_BIT, (1, 3))),
    **dict.fromkeys((".bmp", ".dib", ".webp", ".avif"), _Format(_8_BIT, (1, 3, 4))),
    **dict.fromkeys((".tif", ".tiff"), _Format(_TIFF_DTYPES, (1, 3, 4))),
    **dict.fromkeys((".hdr", ".pic"), _Format(_FLOAT, (3,))),
    **dict.fromkeys((".ras", ".sr"), _Format(_8_BIT, (3,))),
    ".png": _Format(_16_BIT, (1, 3, 4)),
    ".jp2": _Format(_16_BIT, (1, 3, 4)),
    ".gif": _Format(_8_BIT, (3, 4)),
    ".pbm": _Format(("bool",), (1,)),
    ".pgm": _Format(_16_BIT, (1,)),
    ".ppm": _Format(_16_BIT, (3,)),
    ".pnm": _Format(_16_BIT, (1, 3)),
    ".pfm": _Format(_FLOAT, (1, 3)),
    ".exr": _Format(_FLOAT, (1, 3, 4)),
}
_UNIT_SUFFIXES = (".hdr", ".pic", ".exr")  # formats in which white is 1
IMAGE_SUFFIXES = tuple(sorted(_FORMATS))
_LZW = 5


class UnknownFormatError(ArgumentError, cv2.error):  # type: ignore[misc]  # both have .file and .line
    """The suffix is not that of an image format. It is also a ``cv2.error``, which MMCV raises."""


def imread(
    img_or_path: Array | str | os.PathLike[str],
    flag: Flag = "color",
    channel_order: ChannelOrder = "bgr",
    backend: backends.Backend | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    *,
    max_side: int | None = None,
) -> Array:
    """Read an image.

    Args:
        img_or_path: Path or URI of the image. An array is returned unchanged.
        flag: See ``imfrombytes``.
        channel_order: See ``imfrombytes``.
        backend: See ``imfrombytes``.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from the path.
        max_side: See ``imfrombytes``.

    Returns:
        The image as returned by ``imfrombytes``.

    Raises:
        ArgumentTypeError: ``img_or_path`` is neither an array nor a path.
        ArgumentError: The flag, channel order or backend is unknown.
        FileNotFoundError: The file does not exist.
        ImageDecodeError: The backend cannot decode the file. The message contains the path.
        MissingLibraryError: The library of the backend is not installed.
    """
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    if not isinstance(img_or_path, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"img_or_path must be an array or a path, not {img_or_path!r}.", argument="img_or_path"
        )
    path = img_or_path if isinstance(img_or_path, str) else Path(img_or_path)
    content: Any = FileClient.infer_client(file_client_args, path).get(path)
    if content is None:  # a database without this key
        raise FileNotFoundError(f"Image {path} does not exist.")
    if isinstance(content, np.ndarray) and content.ndim > 1:  # a storage client that returns decoded images
        return content
    try:
        return imfrombytes(bytes(content), flag, channel_order, backend, max_side=max_side)
    except ImageDecodeError as error:
        raise ImageDecodeError(f"{display_name(path)}: {error}") from error


def imfrombytes(
    content: bytes,
    flag: Flag = "color",
    channel_order: ChannelOrder = "bgr",
    backend: backends.Backend | None = None,
    *,
    max_side: int | None = None,
) -> Array:
    """Decode an image.

    Args:
        content: Content of the image file, bytes or a buffer of bytes.
        flag: How to decode the image.

            - ``color``: three 8-bit channels, turned upright according to the EXIF orientation.
            - ``grayscale``: one 8-bit channel, turned upright as well.
            - ``color_ignore_orientation`` and ``grayscale_ignore_orientation``: the same, but not turned.
            - ``unchanged``: channels, alpha and bit depth as stored, not turned.

            turbojpeg does not support ``unchanged``. tifffile keeps the dtype of the file with every flag, and
            returns an image that is neither gray nor RGB, such as one with five channels, as stored. An int is
            passed to OpenCV as its own flag.
        channel_order: ``bgr`` or ``rgb``; applies to the two color flags.
        backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``; by default the one set by
            ``use_backend``.
        max_side: Maximum length of the longer side in pixels. A larger image is reduced with area
            interpolation; a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is large enough, which is
            several times as fast. Not in MMCV.

    Returns:
        A contiguous array: (H, W, 3) uint8 for the color flags, (H, W) uint8 for the grayscale flags. With
        ``unchanged``, shape and dtype are those of the file, and three or four channels are BGR or BGRA.

    Raises:
        ArgumentTypeError: ``content`` is not bytes.
        ArgumentError: The flag, channel order or backend is unknown.
        ImageDecodeError: The backend cannot decode the content.
        MissingLibraryError: The library of the backend is not installed.
    """
    name = backend or backends.current_backend()
    check_choice("backend", name, backends.supported_backends)
    order = str(channel_order).lower()
    check_choice("channel_order", order, ("bgr", "rgb"))
    content = check_content(content)
    if not content:
        raise ImageDecodeError("The file is empty (0 bytes).")
    if max_side is None:
        return backends.DECODERS[name](content, flag, order == "rgb", 1)
    longest = check_integer("max_side", max_side, minimum=1)
    reduction = 1
    if content.startswith(b"\xff\xd8") and flag != "unchanged":
        size = backends.read_size(content)
        reduction = backends.choose_reduction(size, _fitted(size, longest)) if size else 1
    img = backends.DECODERS[name](content, flag, order == "rgb", reduction)
    height, width = img.shape[:2]
    if max(height, width) <= longest:
        return img
    return imresize(img, _fitted((width, height), longest), interpolation="area", backend="cv2")


def _fitted(size: Size, longest: int) -> Size:
    """Return a size (w, h) with the longer side reduced to ``longest``, and the aspect ratio kept."""
    if max(size) <= longest:
        return size
    width, height = rescale_size(size, longest / max(size))
    return max(width, 1), max(height, 1)


def imwrite(
    img: Array,
    file_path: str | os.PathLike[str],
    params: Sequence[int] | None = None,
    auto_mkdir: bool | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    *,
    channel_order: ChannelOrder = "bgr",
) -> bool:
    """Write an image to a file. Missing parent folders are created.

    A local file is written atomically: it is either written completely or left as it was.

    Args:
        img: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). An array of a dtype that the format does not hold is
            converted if that changes no value: an int64 label map of values up to 255 can be written as PNG.
            A bool array becomes 0 and 255.
        file_path: Path or URI. Its suffix determines the format.
        params: Parameters of ``cv2.imwrite``, such as ``[cv2.IMWRITE_JPEG_QUALITY, 90]``.
        auto_mkdir: Deprecated and without effect.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from the path.
        channel_order: Channel order of ``img``, ``bgr`` or ``rgb``.

    Returns:
        True.

    Raises:
        ArgumentError: ``file_path`` is not a path, OpenCV does not support the format, or the format does not
            hold the image: its dtype, values or number of channels would be changed. MMCV changes them.
    """
    if not isinstance(file_path, (str, os.PathLike)):
        raise ArgumentTypeError(f"file_path must be a path, not {file_path!r}.", argument="file_path")
    if auto_mkdir is not None:
        warnings.warn("auto_mkdir has no effect: the folder is always created.", UserWarning, stacklevel=2)
    check_image(img, real=True)
    check_choice("channel_order", channel_order, ("bgr", "rgb"))
    path = file_path if isinstance(file_path, str) else Path(file_path)
    if channel_order == "rgb" and count_channels(img) in (3, 4):
        img = np.ascontiguousarray(img[..., [2, 1, 0, 3][: img.shape[2]]])
    content = imencode(Path(file_name(path)).suffix, img, params or ())
    FileClient.infer_client(file_client_args, path).put(content, path)
    return True


def imencode(suffix: str, img: Array, params: Sequence[int] = ()) -> bytes:
    """Encode an image, and return the content of the file that ``imwrite`` would write.

    Args:
        suffix: Suffix of the format, such as ``.png``.
        img: See ``imwrite``; channels in the order BGR.
        params: See ``imwrite``.

    Raises:
        ArgumentError: OpenCV does not support the format, or the format does not hold the image.
    """
    if not suffix or not cv2.haveImageWriter(f"x{suffix}"):
        if suffix.lower() in IMAGE_SUFFIXES:
            raise UnknownFormatError(f"The installed OpenCV cannot write {suffix.lower()} files.")
        raise UnknownFormatError(
            f"Unknown image suffix {suffix!r}.{suggest(suffix, IMAGE_SUFFIXES)}"
            if suffix
            else "The path has no suffix, which determines the image format."
        )
    suffix = suffix.lower()
    img = _held(img, suffix)
    if suffix in (".tif", ".tiff") and img.dtype.kind == "f" and not params:
        params = (cv2.IMWRITE_TIFF_COMPRESSION, _LZW)  # the default of OpenCV 4 for colors changes values
    what = f"An image of shape {img.shape} and dtype {img.dtype} cannot be written as {suffix}."
    try:
        done, content = cv2.imencode(suffix, np.ascontiguousarray(img), params)
    except cv2.error as error:
        raise ArgumentError(what) from error
    if not done:
        raise ArgumentError(what)
    return content.tobytes()


def _held(img: Array, suffix: str) -> Array:
    """Return an image in a dtype that a format holds, with the same values.

    Raises:
        ArgumentError: There is no such dtype, or the format does not have this number of channels.
    """
    held = _FORMATS.get(suffix)
    if held is None:
        return img
    if count_channels(img) not in held.channels:
        numbers = " or ".join(map(str, held.channels))
        raise ArgumentError(
            f"{suffix} holds images of {numbers} channel{'s' * (held.channels[-1] > 1)}, not of {count_channels(img)} (shape {img.shape}).",
            argument="img",
        )
    if suffix in _UNIT_SUFFIXES and img.dtype.kind != "f":
        top = 1 if img.dtype == np.bool_ else np.iinfo(img.dtype).max
        raise ArgumentError(
            f"{suffix} holds float32, in which white is 1, and this image is of {img.dtype}. "
            f"Convert it with (img / {top}).astype(np.float32).",
            argument="img",
        )
    if img.dtype == np.bool_:
        return img.astype(np.uint8) * 255
    if img.dtype.name in held.dtypes:
        return img
    unit = img.dtype.kind == "f" and img.max() <= 1 and bool(img.any())
    for dtype in held.dtypes:
        if unit and np.dtype(dtype).kind != "f":  # 0 and 1 would be written as two shades of black
            continue
        with np.errstate(invalid="ignore"):
            converted = img.astype(dtype)
        if np.array_equal(converted, img, equal_nan=img.dtype.kind == "f"):
            return converted
    raise ArgumentError(
        f"{suffix} holds {' or '.join(held.dtypes)}, and this image of {img.dtype} has other values "
        f"({img.min()} to {img.max()}). {_way_out(img, held, unit)}",
        argument="img",
    )


def _way_out(img: Array, held: _Format, unit: bool) -> str:
    """Return how to convert an image that a format does not hold."""
    if held.dtypes == ("bool",):
        return "Convert it with img > threshold."
    if "uint8" not in held.dtypes:
        return f"Convert it with img.astype(np.{held.dtypes[0]})."
    if unit:
        return "Convert it with (img * 255).round().astype(np.uint8)."
    if img.dtype == np.uint16:
        return "Write it as .png or .tif, or convert it with (img // 257).astype(np.uint8)."
    return "Convert it with img.round().clip(0, 255).astype(np.uint8)."
