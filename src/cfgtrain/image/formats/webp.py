"""WebP files: RIFF chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cfgtrain.image.formats.exif import read_orientation
from cfgtrain.image.formats.header import Block, Header, Metadata, truncated

_ALPHA, _ICC_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x10, 0x20, 0x08, 0x04


def is_webp(content: bytes) -> bool:
    """Return whether a file begins with the signature of WebP."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def read_header(content: bytes) -> Header:
    """Read the chunks of a WebP.

    Raises:
        ImageDecodeError: The file ends before the image does.
    """
    size = exif = icc = None
    lossless, several, blocks = False, False, []
    for name, chunk in _chunks(content):
        if name in _SIZES:
            size = size or _SIZES[name](chunk)
            lossless = lossless or name == b"VP8L"
        elif name == b"ANIM":
            several = True
        elif name == b"EXIF":
            exif = chunk.removeprefix(b"Exif\0\0")
        elif name == b"ICCP":
            icc = chunk
        elif name == b"XMP " and b"tiff:Orientation" not in chunk:
            blocks.append(Block("XMP", _chunk(name, chunk)))
    metadata = Metadata(exif, icc, None, tuple(blocks))
    return Header("WebP", size, read_orientation(exif), lossless=lossless, several=several, metadata=metadata)


def add_metadata(content: bytes, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Return an encoded WebP with metadata added, and the names of the metadata that do not fit."""
    size, chunks = None, []
    flags = _ICC_FLAG if metadata.icc else 0
    flags |= _EXIF_FLAG if metadata.exif else 0
    flags |= _XMP_FLAG if metadata.blocks else 0
    for name, chunk in _chunks(content):
        if name in _SIZES:
            size = size or _SIZES[name](chunk)
        if name == b"ALPH" or (name == b"VP8L" and chunk[4] & 0x10):
            flags |= _ALPHA
        if name != b"VP8X":
            chunks.append(_chunk(name, chunk))
    width, height = size or (1, 1)
    head = struct.pack("<L", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    before = [_chunk(b"ICCP", metadata.icc)] if metadata.icc else []
    after = [_chunk(b"EXIF", metadata.exif)] if metadata.exif else []
    after += [block.content for block in metadata.blocks]
    body = b"WEBP" + b"".join([_chunk(b"VP8X", head), *before, *chunks, *after])
    return b"RIFF" + struct.pack("<L", len(body)) + body, ["DPI"] if metadata.dpi else []


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise truncated("WebP", f"{end - len(content)} bytes are missing")
    position = 12
    while position + 8 <= end:
        name, length = struct.unpack_from("<4sL", content, position)
        yield name, content[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<L", len(content)) + content + b"\0" * (len(content) % 2)


def _canvas_size(chunk: bytes) -> tuple[int, int]:
    return int.from_bytes(chunk[4:7], "little") + 1, int.from_bytes(chunk[7:10], "little") + 1


def _lossy_size(chunk: bytes) -> tuple[int, int]:
    return int.from_bytes(chunk[6:8], "little") & 0x3FFF, int.from_bytes(chunk[8:10], "little") & 0x3FFF


def _lossless_size(chunk: bytes) -> tuple[int, int]:
    bits = int.from_bytes(chunk[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


_SIZES = {b"VP8X": _canvas_size, b"VP8 ": _lossy_size, b"VP8L": _lossless_size}
