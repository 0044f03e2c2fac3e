"""JPEG files: segments that begin with a marker."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image.formats.exif import read_orientation
from cfgtrain.image.formats.header import Block, Header, Metadata, truncated

MAGIC = b"\xff\xd8\xff"

_EXIF, _XMP, _ICC, _JFIF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"JFIF\0"
_APP0, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_APP12, _APP14 = 0xEC, 0xEE  # Adobe's encoding parameters, invalid for new pixels
_SCAN, _END = 0xDA, b"\xff\xd9"
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LONGEST = 0xFFFF - 2
_CENTIMETRES_PER_INCH = 2.54
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")


def read_header(content: bytes) -> Header:
    """Read the segments before the pixels.

    Raises:
        ImageDecodeError: The file ends before the image does.
    """
    size = channels = dpi = exif = None
    profile: dict[int, bytes] = {}
    blocks, lost = [], []
    for marker, segment in _segments(content):
        if marker in _FRAMES and len(segment) >= 6:
            height, width, channels = struct.unpack_from(">HHB", segment, 1)
            size = (width, height)
        elif marker == _APP0 and segment.startswith(_JFIF):
            dpi = _density(segment)
        elif marker == _APP1 and segment.startswith(_EXIF):
            exif = exif or segment[len(_EXIF) :]
        elif marker == _APP2 and segment.startswith(_ICC) and len(segment) > 14:
            profile[segment[12]] = segment[14:]
        elif block := _block(marker, segment):
            blocks.append(block)
        elif name := _lost(marker, segment):
            lost.append(name)
    if lost:  # XMP may refer to the lost blocks: gain maps, depth maps, content credentials
        lost += [block.name for block in blocks if block.name == "XMP"]
        blocks = [block for block in blocks if block.name != "XMP"]
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    metadata = Metadata(exif, icc, dpi, tuple(blocks), tuple(dict.fromkeys(lost)))
    return Header("JPEG", size, read_orientation(exif), channels, lossless=False, metadata=metadata)


def add_metadata(content: bytes, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Return an encoded JPEG with metadata added, and the names of the metadata that do not fit."""
    start, segments, left = 2, [], []
    if content[3] == _APP0 and content[6:11] == _JFIF:
        start = 4 + int.from_bytes(content[4:6], "big")
        head = bytearray(content[:start])
        if metadata.dpi:
            struct.pack_into(">BHH", head, 13, 1, *(min(round(each), 0xFFFF) for each in metadata.dpi))
    else:
        head = bytearray(content[:start])
        left += ["DPI"] if metadata.dpi else []
    if metadata.exif:
        if len(_EXIF) + len(metadata.exif) <= _LONGEST:
            segments.append(_segment(_APP1, _EXIF + metadata.exif))
        else:
            left.append("EXIF")
    if metadata.icc:
        step = _LONGEST - 14
        parts = [metadata.icc[i : i + step] for i in range(0, len(metadata.icc), step)]
        if len(parts) > 255:
            left.append("ICC profile")
        else:
            segments += [
                _segment(_APP2, _ICC + bytes([i, len(parts)]) + part) for i, part in enumerate(parts, 1)
            ]
    segments += [block.content for block in metadata.blocks]
    return b"".join([bytes(head), *segments, content[start:]]), left


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of each segment before the pixels, and raise if the file is truncated."""
    position = 2
    while True:
        if position + 4 > len(content):
            raise truncated("JPEG", "it ends before the pixels begin")
        if content[position] != 0xFF:
            raise ImageDecodeError("The JPEG file is damaged: unexpected data between its segments.")
        marker = content[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == _SCAN:
            if content.rfind(_END, end) < 0:
                raise truncated("JPEG", "the end of the pixels is missing")
            return
        yield marker, content[position + 4 : end]
        position = end


def _density(segment: bytes) -> tuple[float, float] | None:
    if len(segment) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", segment, 7)
    factor = {1: 1.0, 2: _CENTIMETRES_PER_INCH}.get(unit)
    return (x * factor, y * factor) if factor and x and y else None


def _block(marker: int, segment: bytes) -> Block | None:
    if marker == _APP1 and segment.startswith(_XMP):
        return Block("XMP", _segment(marker, _XMP_ORIENTATION.sub(rb"\g<1>1", segment)))
    if marker == _APP13:
        return Block("IPTC", _segment(marker, segment))
    return Block("comment", _segment(marker, segment)) if marker == _COMMENT else None


def _lost(marker: int, segment: bytes) -> str | None:
    if marker == _APP2 and segment.startswith(b"MPF\0"):
        return "further images (MPF)"
    if marker == 0xEB:
        return "content credentials (JUMBF)"
    known = (_APP0, _APP12, _APP14)
    return f"APP{marker - _APP0}" if _APP0 <= marker <= 0xEF and marker not in known else None


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
