"""Write image files: the pixels mostly with OpenCV, which is faster and supports more bit depths, and the metadata."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array, count_channels
from cfgtrain.image.io import imencode
from cfgtrain.image.transparency import has_alpha, on_white
from cfgtrain.image_files.exif import update_exif
from cfgtrain.image_files.header import Header, Metadata
from cfgtrain.image_files.jpeg import add_segments
from cfgtrain.image_files.png import add_chunks
from cfgtrain.image_files.tiff import add_tags

DEFAULT_QUALITY = 95

_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WebP", ".avif": "AVIF",
}  # fmt: skip
_DEEP = (".png", ".tif", ".tiff", ".jp2", ".pgm", ".ppm", ".pnm", ".pxm")  # formats that support 16 bits
_FLOAT = (".tif", ".tiff", ".hdr", ".pic", ".pfm", ".exr")
_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".dib", ".gif", ".jp2")
_ICC_COLOURS = {1: b"GRAY", 3: b"RGB ", 4: b"RGB "}


def encode_picture(
    pixels: Array, header: Header, suffix: str, quality: int | None = None
) -> tuple[bytes, list[str]]:
    """Encode a picture with the metadata of its original file.

    Args:
        pixels: The image to encode; see ``Picture``.
        header: Header of the original file.
        suffix: Suffix of the format, such as ``.jpg``.
        quality: Quality for JPEG, WebP and AVIF, 1 to 100. The default is 95, and lossless for a WebP whose
            original was lossless.

    Returns:
        The content of the new file, and a description of everything that could not be kept.

    Raises:
        ArgumentError: The format is unknown, or does not support the image.
    """
    suffix = suffix.lower()
    pixels, losses = _fitted(pixels, suffix)
    metadata, lost = _valid(pixels, header, _FORMATS.get(suffix, ""))
    lossless = header.lossless and quality is None
    content, left = _encoded(pixels, suffix, quality or DEFAULT_QUALITY, lossless, metadata)
    dropped = list(dict.fromkeys([*lost, *left]))
    return content, losses + ([f"without {', '.join(dropped)}"] if dropped else [])


def _fitted(pixels: Array, suffix: str) -> tuple[Array, list[str]]:
    """Convert pixels to what a format supports, and return a description of what is lost."""
    losses = []
    if pixels.dtype.kind == "f" and suffix not in _FLOAT:
        raise ArgumentError(
            f"{suffix} does not support floating-point pixels: use {' or '.join(_FLOAT[:2])}."
        )
    if pixels.dtype == np.uint16 and suffix not in _DEEP:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        losses.append("with 8 instead of 16 bits")
    if has_alpha(pixels) and suffix not in _ALPHA:
        pixels = on_white(pixels)
        losses.append("with transparency laid on white")
    return pixels, losses


def _valid(pixels: Array, header: Header, format: str) -> tuple[Metadata, list[str]]:  # noqa: A002
    """Return the metadata that are valid for the new picture, and the names of the others."""
    metadata, lost = header.metadata, list(header.metadata.lost)
    if format != header.format:
        lost += [name for name, _ in metadata.blocks]
        metadata = replace(metadata, blocks=())
    if metadata.exif:
        exif = update_exif(metadata.exif, (pixels.shape[1], pixels.shape[0]))
        lost += [] if exif else ["damaged EXIF"]
        metadata = replace(metadata, exif=exif)
    if metadata.icc and metadata.icc[16:20] != _ICC_COLOURS.get(count_channels(pixels)):
        lost.append(f"ICC profile for {metadata.icc[16:20].decode('latin-1').strip()}")
        metadata = replace(metadata, icc=None)
    return metadata, lost


def _encoded(
    pixels: Array, suffix: str, quality: int, lossless: bool, metadata: Metadata
) -> tuple[bytes, list[str]]:
    """Return an encoded image with metadata, and the names of the metadata that do not fit."""
    format = _FORMATS.get(suffix, "")  # noqa: A001
    if format == "WebP":
        return _webp(pixels, quality, lossless, metadata), ["DPI"] if metadata.dpi else []
    parameter = {"JPEG": cv2.IMWRITE_JPEG_QUALITY, "AVIF": cv2.IMWRITE_AVIF_QUALITY}.get(format)
    content = imencode(suffix, pixels, [parameter, quality] if parameter else [])
    if format == "JPEG":
        return add_segments(content, metadata) if metadata.names() else (content, [])
    if format == "PNG":
        return add_chunks(content, metadata), []
    return (add_tags(content, metadata), []) if format == "TIFF" else (content, metadata.names())


def _webp(pixels: Array, quality: int, lossless: bool, metadata: Metadata) -> bytes:
    code = (
        cv2.COLOR_GRAY2RGB
        if pixels.ndim == 2
        else cv2.COLOR_BGRA2RGBA
        if has_alpha(pixels)
        else cv2.COLOR_BGR2RGB
    )
    file, image = BytesIO(), Image.fromarray(cv2.cvtColor(pixels, code))
    options = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": dict(metadata.blocks).get("XMP")}
    given = {name: value for name, value in options.items() if value}
    try:
        image.save(file, "WEBP", quality=quality, lossless=lossless, exact=lossless, **given)
    except (ValueError, OSError) as error:
        raise ArgumentError(
            f"An image of shape {pixels.shape} cannot be written as .webp: {error}."
        ) from error
    return file.getvalue()
