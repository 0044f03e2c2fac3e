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
from cfgtrain.image.backends import Array, Flag
from cfgtrain.suggestions import suggest

__all__ = ["imfrombytes", "imread", "imwrite"]

ChannelOrder = Literal["bgr", "rgb"]

# Of the formats that OpenCV reads and writes, in one build or another.
IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm",
    ".pic", ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip


class UnknownFormatError(ArgumentError, cv2.error):  # type: ignore[misc]  # both have .file and .line
    """A suffix is that of no image format; MMCV let OpenCV raise here."""


def imread(
    img_or_path: Array | str | os.PathLike[str],
    flag: Flag = "color",
    channel_order: ChannelOrder = "bgr",
    backend: backends.Backend | None = None,
    file_client_args: Mapping[str, Any] | None = None,
) -> Array:
    """Read an image.

    Args:
        img_or_path: Path or URI, or an array, which is handed back as it is.
        flag: See `imfrombytes`.
        channel_order: See `imfrombytes`.
        backend: See `imfrombytes`.
        file_client_args: Arguments of the ``FileClient``, by default the one for the path.

    Returns:
        (H, W, 3) or (H, W); what ``imfrombytes`` makes of the file.

    Raises:
        ArgumentTypeError: Neither an array nor a path is given.
        FileNotFoundError: The file is not there.
        ImageDecodeError: The file holds no image that the backend can read; the message names it.
    """
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    if not isinstance(img_or_path, (str, os.PathLike)):
        raise ArgumentTypeError(f"An image is an array or the path of a file, not {img_or_path!r}.")
    path = img_or_path if isinstance(img_or_path, str) else Path(img_or_path)
    content = FileClient.infer_client(file_client_args, path).get(path)
    if content is None:  # from a database without such a key
        raise FileNotFoundError(f"There is no image {path}.")
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
        content: The bytes of the file.
        flag: ``color`` gives three channels and ``grayscale`` one, 8 bits each, put upright by the
            orientation in the EXIF data; ``color_ignore_orientation`` and ``grayscale_ignore_orientation``
            leave it as it is stored. ``unchanged`` keeps channels, alpha and depth, as stored. The
            turbojpeg backend knows color and grayscale and never turns an image; tifffile gives what the
            file holds, whatever the flag.
        channel_order: ``bgr`` or ``rgb``; for the color flags.
        backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``; what `use_backend` chose by default.

    Returns:
        (H, W, 3), (H, W), or what ``unchanged`` finds; contiguous. With ``unchanged``, three or four
        channels are BGR or BGRA.

    Raises:
        ArgumentError: An unknown flag, channel order or backend.
        ImageDecodeError: The bytes are no image that the backend can read.
        MissingLibraryError: The backend's library is not installed.
    """
    name = backends.check_backend(backend or backends.current_backend())
    order = str(channel_order).lower()
    check_choice("channel_order", order, ("bgr", "rgb"))
    if len(content) == 0:
        raise ImageDecodeError("The file is empty: 0 bytes.")
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
    """Write an image, whole or not at all; the folder is made where it is not there.

    Args:
        img: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); what the format can hold of uint8, uint16
            and float32.
        file_path: Path or URI; its suffix says the format.
        params: Pairs as ``cv2.imwrite`` takes them, such as ``[cv2.IMWRITE_JPEG_QUALITY, 90]``.
        auto_mkdir: Of old; has no effect.
        file_client_args: Arguments of the ``FileClient``, by default the one for the path.
        channel_order: ``bgr`` or ``rgb``: of what is given.

    Returns:
        True.

    Raises:
        ArgumentError: ``file_path`` is no path, or OpenCV writes no such format, or not this image into it.
    """
    if not isinstance(file_path, (str, os.PathLike)):
        raise ArgumentError(f"An image is written to the path of a file, not to {file_path!r}.")
    if auto_mkdir is not None:
        import warnings

        warnings.warn("auto_mkdir has no effect: the folder is always made.", UserWarning, stacklevel=2)
    path = file_path if isinstance(file_path, str) else Path(file_path)
    if channel_order == "rgb":
        img = cv2.cvtColor(img, cv2.COLOR_RGB2BGR if img.shape[-1] == 3 else cv2.COLOR_RGBA2BGRA)
    content = imencode(Path(file_name(path)).suffix, img, params or ())
    FileClient.infer_client(file_client_args, path).put(content, path)
    return True


def imencode(suffix: str, img: Array, params: Sequence[int] = ()) -> bytes:
    """Return the bytes of the file that ``imwrite`` writes.

    Args:
        suffix: Of the format, such as ``.png``.
        img: See `imwrite`.
        params: See `imwrite`.

    Raises:
        ArgumentError: OpenCV writes no such format, or not this image into it.
    """
    if not suffix or not cv2.haveImageWriter(f"x{suffix}"):
        raise UnknownFormatError(
            f"No image format has the suffix {suffix!r}.{suggest(suffix, IMAGE_SUFFIXES)}"
            if suffix
            else "The suffix of a path says the format of the image, and here is none."
        )
    what = f"An image of shape {img.shape} and dtype {img.dtype} cannot be written as {suffix}."
    try:
        done, content = cv2.imencode(suffix.lower(), img, params)
    except cv2.error as error:
        raise ArgumentError(what) from error
    if not done:
        raise ArgumentError(what)
    return content.tobytes()
