"""Read and write pictures with their orientation and metadata, decoding no more pixels than needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError, ImageDecodeError
from cfgtrain.image.array import Array
from cfgtrain.image.flip import turn_upright
from cfgtrain.image.formats.exif import rewrite
from cfgtrain.image.formats.header import Header, Metadata
from cfgtrain.image.formats.png import without_profile
from cfgtrain.image.formats.sniff import add_metadata, read_header
from cfgtrain.image.io import imencode
from cfgtrain.image.resize import Interpolation, imresize

Size = tuple[int, int]

DEFAULT_QUALITY = 95

_ROOM = 1.5  # a reduced JPEG is this much larger than the target, since two filters with similar scales blur
_SIDEWAYS = (5, 6, 7, 8)
_GRAY = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
         2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 1: cv2.IMREAD_GRAYSCALE}  # fmt: skip
_COLOUR = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4,
           2: cv2.IMREAD_REDUCED_COLOR_2, 1: cv2.IMREAD_COLOR}  # fmt: skip

_JPEG = (".jpg", ".jpeg", ".jpe")
_QUALITY = {
    **dict.fromkeys(_JPEG, cv2.IMWRITE_JPEG_QUALITY),
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
    ".avif": cv2.IMWRITE_AVIF_QUALITY,
}
_LOSSLESS_WEBP = 101
_DEEP = (".png", ".tif", ".tiff", ".jp2", ".pgm", ".ppm", ".pnm", ".pxm")  # formats that support 16 bits
_FLOAT = (".tif", ".tiff", ".hdr", ".pic", ".pfm", ".exr")
_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".dib", ".gif", ".jp2")
_ICC_COLOURS = {1: b"GRAY", 3: b"RGB ", 4: b"RGB "}


@dataclass(frozen=True)
class Picture:
    """A decoded image and the header of its file.

    Attributes:
        pixels: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, upright, with the bit depth of the file. It is smaller
            than the image in the file if a reduced size was requested.
        size: Size (w, h) of the whole image in upright orientation.
        header: The header of the file.
    """

    pixels: Array
    size: Size
    header: Header


def read_picture(content: bytes, wanted: Callable[[Size], Size] | None = None) -> Picture:
    """Decode a picture in upright orientation, with its bit depth, alpha and metadata.

    Args:
        content: Content of the image file.
        wanted: Function that returns the target size (w, h) for the size (w, h) of the picture. A JPEG is
            decoded at 1/2, 1/4 or 1/8 of its size if that equals the target size or is at least 1.5 times as
            large.

    Raises:
        ImageDecodeError: The file is empty, truncated, damaged or of an unknown format, or it contains
            several images.
    """
    header = read_header(content)
    if header.several:
        raise ImageDecodeError(
            f"The {header.format} file contains several images, of which only one would be kept. Split it first."
        )
    reduction = 1
    if header.format == "JPEG" and header.size and wanted:
        full = upright_size(header)
        reduction = next((by for by in (8, 4, 2) if _is_enough(full, wanted(full), by)), 1)
    stored = _decode(content, header, reduction)
    pixels = turn_upright(stored, header.orientation)
    size = upright_size(header) if reduction > 1 else (pixels.shape[1], pixels.shape[0])
    return Picture(pixels, size, header)


def upright_size(header: Header) -> Size:
    """Return the size (w, h) of the picture in upright orientation."""
    width, height = header.size or (0, 0)
    return (height, width) if header.orientation in _SIDEWAYS else (width, height)


def resize_picture(pixels: Array, size: Size, interpolation: Interpolation) -> Array:
    """Resize an image. Colours are weighted by alpha, so that transparent pixels do not bleed into opaque ones.

    Args:
        pixels: See ``Picture``.
        size: Target size (w, h) in pixels.
        interpolation: See ``imresize``.
    """
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    if pixels.ndim < 3 or pixels.shape[2] != 4 or interpolation == "nearest":
        return imresize(pixels, size, interpolation=interpolation)
    top = _opaque(pixels)
    weighted = pixels.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / top
    weighted = imresize(weighted, size, interpolation=interpolation)
    np.divide(weighted[..., :3] * top, weighted[..., 3:], out=weighted[..., :3], where=weighted[..., 3:] > 0)
    return weighted.clip(0, top).round().astype(pixels.dtype) if pixels.dtype.kind == "u" else weighted


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
    metadata, lost = _metadata_for(pixels, header, suffix)
    content, left = add_metadata(imencode(suffix, pixels, _params(header, suffix, quality)), suffix, metadata)
    dropped = list(dict.fromkeys([*lost, *left]))
    return content, losses + ([f"without {', '.join(dropped)}"] if dropped else [])


def _metadata_for(pixels: Array, header: Header, suffix: str) -> tuple[Metadata, list[str]]:
    """Return the metadata that are valid for the new picture, and the names of the others."""
    metadata, lost = header.metadata, list(header.metadata.lost)
    if not _same_format(header, suffix):
        lost += [block.name for block in metadata.blocks]
        metadata = replace(metadata, blocks=())
    if metadata.exif:
        exif = rewrite(metadata.exif, (pixels.shape[1], pixels.shape[0]))
        lost += [] if exif else ["damaged EXIF"]
        metadata = replace(metadata, exif=exif)
    if metadata.icc:
        colours = metadata.icc[16:20]
        if colours != _ICC_COLOURS.get(1 if pixels.ndim == 2 else pixels.shape[2]):
            lost.append(f"ICC profile for {colours.decode('latin-1').strip()}")
            metadata = replace(metadata, icc=None)
    return metadata, lost


def _is_enough(full: Size, wanted: Size, reduction: int) -> bool:
    """Return whether a reduced picture has the target size, or is large enough to be resized to it well."""
    reduced = tuple(-(-whole // reduction) for whole in full)
    return reduced == wanted or all(have >= _ROOM * edge for have, edge in zip(reduced, wanted, strict=True))


def _decode(content: bytes, header: Header, reduction: int) -> Array:
    flag = cv2.IMREAD_UNCHANGED
    if header.format == "JPEG":
        flag = (_GRAY if header.channels == 1 else _COLOUR)[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    if header.format == "PNG" and b"iCCP" in content[: content.find(b"IDAT")]:
        content = without_profile(content)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise ImageDecodeError(f"OpenCV cannot read it: {getattr(error, 'err', error)}.") from error
    if pixels is None:
        what = (
            f"The {header.format} file is damaged"
            if header.format
            else "It is not an image in a format that OpenCV can read"
        )
        raise ImageDecodeError(f"{what}.")
    return _without_alpha_in_colours(pixels) if header.premultiplied and pixels.shape[2:] == (4,) else pixels


def _opaque(pixels: Array) -> float:
    """Return the alpha value of an opaque pixel, which is 1 for floating-point pixels."""
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0


def _without_alpha_in_colours(pixels: Array) -> Array:
    top = _opaque(pixels)
    alpha = pixels[..., 3:].astype(np.float32)
    colours = np.divide(
        pixels[..., :3] * np.float32(top),
        alpha,
        out=np.zeros_like(pixels[..., :3], np.float32),
        where=alpha > 0,
    )
    return np.concatenate(
        [
            (colours.round().clip(0, top) if pixels.dtype.kind == "u" else colours).astype(pixels.dtype),
            pixels[..., 3:],
        ],
        axis=2,
    )


def _fitted(pixels: Array, suffix: str) -> tuple[Array, list[str]]:
    """Convert pixels to what a format supports, and return a description of what is lost."""
    losses = []
    if pixels.dtype.kind == "f" and suffix not in _FLOAT:
        raise ArgumentError(
            f"{suffix} does not support floating-point pixels: use {' or '.join(_FLOAT[:2])}."
        )
    if pixels.dtype == np.uint16 and suffix not in _DEEP:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        losses.append("8 instead of 16 bits")
    if pixels.ndim == 3 and pixels.shape[2] == 4 and suffix not in _ALPHA:
        top = _opaque(pixels)
        alpha = pixels[..., 3:].astype(np.float32) / top
        laid = pixels[..., :3] * alpha + top * (1 - alpha)
        pixels = (laid.round() if pixels.dtype.kind == "u" else laid).astype(pixels.dtype)
        losses.append("transparency laid on white")
    return pixels, losses


def _params(header: Header, suffix: str, quality: int | None) -> list[int]:
    if suffix not in _QUALITY:
        return []
    lossless = suffix == ".webp" and header.format == "WebP" and header.lossless and quality is None
    return [_QUALITY[suffix], _LOSSLESS_WEBP if lossless else quality or DEFAULT_QUALITY]


def _same_format(header: Header, suffix: str) -> bool:
    formats = {
        ".png": "PNG",
        ".webp": "WebP",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        **dict.fromkeys(_JPEG, "JPEG"),
    }
    return formats.get(suffix) == header.format
