"""Read and write images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, ArgumentTypeError, ImageDecodeError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name, file_name
from cfgtrain.image import backends
from cfgtrain.image.array import Array
from cfgtrain.image.backends import Flag
from cfgtrain.suggestions import suggest

__all__ = ["imfrombytes", "imread", "imwrite"]

ChannelOrder = Literal["bgr", "rgb"]

# Suffixes of the formats that OpenCV supports in at least one of its builds.
IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm",
    ".pic", ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip


class UnknownFormatError(ArgumentError, cv2.error):  # type: ignore[misc]  # both have .file and .line
    """The suffix is not that of an image format. It is also a ``cv2.error``, which MMCV raises."""


def imread(
    img_or_path: Array | str | os.PathLike[str],
    flag: Flag = "color",
    channel_order: ChannelOrder = "bgr",
    backend: backends.Backend | None = None,
    file_client_args: Mapping[str, Any] | None = None,
) -> Array:
    """Read an image.

    Args:
        img_or_path: Path or URI of the image. An array is returned unchanged.
        flag: See ``imfrombytes``.
        channel_order: See ``imfrombytes``.
        backend: See ``imfrombytes``.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from the path.

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
        raise ArgumentTypeError(f"img_or_path must be an array or a path, not {img_or_path!r}.")
    path = img_or_path if isinstance(img_or_path, str) else Path(img_or_path)
    content = FileClient.infer_client(file_client_args, path).get(path)
    if content is None:  # a database without this key
        raise FileNotFoundError(f"Image {path} does not exist.")
    try:
        return imfrombytes(bytes(content), flag, channel_order, backend)
    except ImageDecodeError as error:
        raise ImageDecodeError(f"{display_name(path)}: {error}") from error


def imfrombytes(
    content: bytes,
    flag: Flag = "color",
    channel_order: ChannelOrder = "bgr",
    backend: backends.Backend | None = None,
) -> Array:
    """Decode an image.

    Args:
        content: Content of the image file.
        flag: How to decode the image.

            - ``color``: three 8-bit channels, turned upright according to the EXIF orientation.
            - ``grayscale``: one 8-bit channel, turned upright as well.
            - ``color_ignore_orientation`` and ``grayscale_ignore_orientation``: the same, but not turned.
            - ``unchanged``: channels, alpha and bit depth as stored, not turned.

            The turbojpeg backend supports ``color`` and ``grayscale`` and never turns an image. The tifffile
            backend returns the image as stored, whatever the flag.
        channel_order: ``bgr`` or ``rgb``; applies to the two color flags.
        backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``; by default the one set by
            ``use_backend``.

    Returns:
        A contiguous array: (H, W, 3) uint8 for the color flags, (H, W) uint8 for the grayscale flags. With
        ``unchanged``, shape and dtype are those of the file, and three or four channels are BGR or BGRA.

    Raises:
        ArgumentError: The flag, channel order or backend is unknown.
        ImageDecodeError: The backend cannot decode the content.
        MissingLibraryError: The library of the backend is not installed.
    """
    name = backends.check_backend(backend or backends.current_backend())
    order = str(channel_order).lower()
    check_choice("channel_order", order, ("bgr", "rgb"))
    if len(content) == 0:
        raise ImageDecodeError("The file is empty (0 bytes).")
    return backends.DECODERS[name](content, flag, order == "rgb")


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
        img: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) array of uint8, uint16 or float32, as far as the format
            supports it.
        file_path: Path or URI. Its suffix determines the format.
        params: Parameters of ``cv2.imwrite``, such as ``[cv2.IMWRITE_JPEG_QUALITY, 90]``.
        auto_mkdir: Deprecated and without effect.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from the path.
        channel_order: Channel order of ``img``, ``bgr`` or ``rgb``.

    Returns:
        True.

    Raises:
        ArgumentError: ``file_path`` is not a path, OpenCV does not support the format, or the format does not
            support the image.
    """
    if not isinstance(file_path, (str, os.PathLike)):
        raise ArgumentError(f"file_path must be a path, not {file_path!r}.")
    if auto_mkdir is not None:
        import warnings

        warnings.warn("auto_mkdir has no effect: the folder is always created.", UserWarning, stacklevel=2)
    path = file_path if isinstance(file_path, str) else Path(file_path)
    if channel_order == "rgb":
        img = cv2.cvtColor(img, cv2.COLOR_RGB2BGR if img.shape[-1] == 3 else cv2.COLOR_RGBA2BGRA)
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
        ArgumentError: OpenCV does not support the format, or the format does not support the image.
    """
    if not suffix or not cv2.haveImageWriter(f"x{suffix}"):
        raise UnknownFormatError(
            f"Unknown image suffix {suffix!r}.{suggest(suffix, IMAGE_SUFFIXES)}"
            if suffix
            else "The path has no suffix, which determines the image format."
        )
    what = f"An image of shape {img.shape} and dtype {img.dtype} cannot be written as {suffix}."
    try:
        done, content = cv2.imencode(suffix.lower(), img, params)
    except cv2.error as error:
        raise ArgumentError(what) from error
    if not done:
        raise ArgumentError(what)
    return content.tobytes()
