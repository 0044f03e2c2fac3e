"""Read image files: the header mostly with Pillow, and the pixels with OpenCV, which supports more bit depths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, WebPImagePlugin  # noqa: F401  # registers WebP; else Pillow would load all formats
from PIL.TiffImagePlugin import TiffImageFile

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image.array import Array, opencv_reason
from cfgtrain.image.backends import choose_reduction
from cfgtrain.image.flip import turn_upright
from cfgtrain.image.transparency import has_alpha, unweighted
from cfgtrain.image_files.exif import read_orientation
from cfgtrain.image_files.header import Header, Metadata, Size, upright_xmp
from cfgtrain.image_files.jpeg import read_jpeg
from cfgtrain.image_files.png import SIGNATURE, read_png
from cfgtrain.image_files.tiff import SIGNATURES, read_tiff

_REDUCED = {
    8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8),
    4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
    2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
    1: (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR),
}
_UNREADABLE = (SyntaxError, OSError, ValueError, KeyError, Image.DecompressionBombError)  # what Pillow raises
_OTHER_FORMATS = ("BMP", "DIB", "PPM", "JPEG2000", "SUN")


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
    header, reduction = read_header(content), 1
    if header.frames > 1:
        raise ImageDecodeError(
            f"The {header.format} file contains several images, of which only one would be kept. Split it first."
        )
    full = header.upright_size
    if header.format == "JPEG" and full and wanted:
        reduction = choose_reduction(full, wanted(full))
    pixels = _decode(content, header, reduction)
    if header.format != "TIFF":  # OpenCV turns a TIFF upright
        pixels = turn_upright(pixels, header.orientation)
    return Picture(pixels, full if full and reduction > 1 else (pixels.shape[1], pixels.shape[0]), header)


def read_header(content: bytes) -> Header:
    """Read the header of an image file, without decoding its pixels.

    Raises:
        ImageDecodeError: The file is empty or damaged, or ends before the image does.
    """
    if not content:
        raise ImageDecodeError("The file is empty (0 bytes).")
    if content.startswith(b"\xff\xd8\xff"):
        return read_jpeg(content)
    if content.startswith(SIGNATURE):
        return read_png(content)
    if content.startswith(SIGNATURES):
        return read_tiff(content)
    return _read_with_pillow(content)


def _decode(content: bytes, header: Header, reduction: int) -> Array:
    flag = cv2.IMREAD_UNCHANGED
    if header.format == "JPEG":
        flag = _REDUCED[reduction][header.channels != 1] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        if (
            header.premultiplied and header.depth == "8"
        ):  # OpenCV would lose the colours of transparent pixels
            return cv2.cvtColor(
                np.array(TiffImageFile(BytesIO(content)).convert("RGBA")), cv2.COLOR_RGBA2BGRA
            )
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise ImageDecodeError(f"OpenCV cannot read it: {opencv_reason(error)}.") from error
    except _UNREADABLE as error:
        raise ImageDecodeError(f"The {header.format} file is damaged: {error}.") from error
    if pixels is None:
        raise ImageDecodeError(
            f"The {header.format} file is damaged, or OpenCV does not support its variant."
            if header.format
            else "It is not an image in a format that OpenCV can read."
        )
    return unweighted(pixels, pixels) if header.premultiplied and has_alpha(pixels) else pixels


def _read_with_pillow(content: bytes) -> Header:
    is_webp, is_gif = content[:4] == b"RIFF" and content[8:12] == b"WEBP", content[:4] == b"GIF8"
    is_avif = content[4:8] == b"ftyp" and b"avi" in content[8:32]
    name = "WebP" if is_webp else "GIF" if is_gif else "AVIF" if is_avif else ""
    try:
        file = Image.open(BytesIO(content), formats=(name,) if name else _OTHER_FORMATS)
        frames = getattr(file, "n_frames", 1)  # reads a GIF to its end
        end = file.fp.tell() if is_gif and file.fp else 0
        if is_gif and frames == 1 and content[end - 2 : end] != b"\0;":
            raise ValueError("The last block is missing.")
    except _UNREADABLE as error:
        if not name:
            return Header()
        raise ImageDecodeError(
            f"The {name} file is truncated or damaged, or Pillow does not support it."
        ) from error
    exif = file.info.get("exif", b"").removeprefix(b"Exif\0\0")
    blocks = (("XMP", upright_xmp(file.info["xmp"])),) if "xmp" in file.info else ()
    metadata = Metadata(exif, file.info.get("icc_profile"), None, blocks)
    return Header(
        name or file.format or "",
        file.size,
        read_orientation(exif),
        3 if _has_colour_palette(file) else len(file.getbands()),
        "8"
        if is_webp or is_gif or file.format == "BMP"
        else "",  # others may have 16 bits, of which Pillow reads 8
        frames,
        lossless=is_webp and content.find(b"VP8L", 0, content.find(b"VP8 ")) > 0,
        metadata=Metadata(lost=tuple(metadata.names())) if is_avif else metadata,
    )


def _has_colour_palette(file: Image.Image) -> bool:
    if file.mode != "P" or file.palette is None:
        return False
    order, values = file.palette.getdata()  # unlike getpalette, it does not decode the pixels
    first, second, third = (bytes(values[i :: len(order)]) for i in range(3))
    return not first == second == third
