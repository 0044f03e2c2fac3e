"""JPEG files: the segments before the pixels."""

from __future__ import annotations

import re
import struct
from io import BytesIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image_files.exif import read_orientation
from cfgtrain.image_files.header import Header, Metadata, upright_xmp

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MARKERS = {"APP1": 0xE1, "APP13": 0xED, "COM": 0xFE}
_NO_METADATA = ("APP0", "APP12", "APP14")  # parameters of the encoder
_MAX_SEGMENT = 0xFFFF - 2
_MAX_PROFILE = 255 * (_MAX_SEGMENT - 14)


def read_jpeg(content: bytes) -> Header:
    """Read the segments of a JPEG.

    Raises:
        ImageDecodeError: The file is damaged, or ends before the image does.
    """
    try:
        file = JpegImageFile(BytesIO(content))
    except (SyntaxError, OSError, ValueError) as error:
        problem = "damaged" if _segments_end(content) < len(content) else "truncated"
        raise ImageDecodeError(f"The JPEG file is {problem}: it has no pixels.") from error
    if content.rfind(b"\xff\xd9", file.fp.tell() if file.fp else 0) < 0:
        raise ImageDecodeError("The JPEG file is truncated: the end of the pixels is missing.")
    exif, blocks, lost = b"", [], []
    for marker, data in file.applist:
        if marker == "APP1" and data.startswith(b"Exif\0\0"):
            exif = exif or data[6:]
        elif marker in ("APP13", "COM") or (marker == "APP1" and data.startswith(_XMP)):
            name = {"APP1": "XMP", "APP13": "IPTC", "COM": "comment"}[marker]
            data = upright_xmp(data) if name == "XMP" else data
            blocks.append((name, struct.pack(">BBH", 0xFF, _MARKERS[marker], len(data) + 2) + data))
        elif marker not in _NO_METADATA and not data.startswith(b"ICC_PROFILE\0"):
            name = "further images (MPF)" if data.startswith(b"MPF\0") else marker
            lost.append("content credentials (JUMBF)" if marker == "APP11" else name)
    if lost:  # XMP may refer to the lost parts: gain maps, depth maps, content credentials
        lost += [name for name, _ in blocks if name == "XMP"]
        blocks = [block for block in blocks if block[0] != "XMP"]
    dpi = file.info.get("dpi") if file.info.get("jfif_unit") else None  # without a unit, Pillow guesses
    metadata = Metadata(exif, file.info.get("icc_profile"), dpi, tuple(blocks), tuple(dict.fromkeys(lost)))
    channels = len(file.getbands())
    return Header("JPEG", file.size, read_orientation(exif), channels, "8", metadata=metadata)


def add_segments(content: bytes, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Return an encoded JPEG with metadata added, and the names of the metadata that do not fit.

    Pillow writes the segments, in a JPEG of one pixel: encoding all pixels with Pillow would block other threads.
    """
    exif = b"Exif\0\0" + metadata.exif if metadata.exif else b""
    too_long = {"EXIF": len(exif) > _MAX_SEGMENT, "ICC profile": len(metadata.icc or b"") > _MAX_PROFILE}
    file = BytesIO()
    Image.new("L", (1, 1)).save(
        file,
        "JPEG",
        exif=b"" if too_long["EXIF"] else exif,
        icc_profile=None if too_long["ICC profile"] else metadata.icc,
        dpi=tuple(min(each, 0xFFFF) for each in metadata.dpi or (0, 0)),
        extra=b"".join(block for _, block in metadata.blocks),
    )
    head = file.getvalue()
    left = [name for name, too in too_long.items() if too]
    return head[: _segments_end(head)] + content[_segments_end(content) :], left


def _segments_end(content: bytes) -> int:
    """Return the position after the segments of applications and comments."""
    position = 2
    while re.match(rb"\xff[\xe0-\xef\xfe]", content[position : position + 2]):
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return position
