"""PNG files: chunks with a length, a name and a checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image.formats.exif import read_orientation
from cfgtrain.image.formats.header import Block, Header, Metadata, truncated

MAGIC = b"\x89PNG\r\n\x1a\n"

# Chunks that stay valid for an image of another size, and their names for messages.
_KEPT = {
    b"gAMA": "gamma", b"cHRM": "primaries", b"sRGB": "sRGB", b"cICP": "colour coding",
    b"tEXt": "text", b"zTXt": "text", b"iTXt": "text", b"tIME": "time",
}  # fmt: skip
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette
_INCHES_PER_METRE = 1 / 0.0254
_LARGEST_PROFILE = 1 << 24
_HEAD = len(MAGIC) + 25  # the signature and IHDR


def read_header(content: bytes) -> Header:
    """Read the chunks of a PNG.

    Raises:
        ImageDecodeError: The file ends before the image does, or a chunk of the image is damaged.
    """
    size = channels = exif = icc = dpi = None
    several, blocks = False, []
    for name, chunk, _ in _chunks(content):
        if name == b"IHDR" and len(chunk) == 13:
            width, height, _, colour = struct.unpack_from(">LLBB", chunk)
            size, channels = (width, height), _CHANNELS.get(colour)
        elif name == b"eXIf":
            exif = bytes(chunk).removeprefix(b"Exif\0\0")
        elif name == b"iCCP":
            icc = _inflated(bytes(chunk))
        elif name == b"pHYs" and len(chunk) == 9 and chunk[8] == 1:
            x, y = struct.unpack_from(">LL", chunk)
            dpi = (x / _INCHES_PER_METRE, y / _INCHES_PER_METRE) if x and y else None
        elif name == b"acTL":
            several = True
        elif name in _KEPT and b"tiff:Orientation" not in bytes(chunk):
            blocks.append(Block(_KEPT[name], _chunk(name, bytes(chunk))))
    metadata = Metadata(exif, icc, dpi, tuple(blocks))
    return Header("PNG", size, read_orientation(exif), channels, several=several, metadata=metadata)


def add_metadata(content: bytes, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Return an encoded PNG with metadata added, and an empty list, since all metadata fit."""
    colour = metadata.blocks if not metadata.icc else [b for b in metadata.blocks if b.name != "sRGB"]
    chunks = [block.content for block in colour]
    if metadata.icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        per_metre = (round(each * _INCHES_PER_METRE) for each in metadata.dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">LLB", *per_metre, 1)))
    if metadata.exif:
        chunks.append(_chunk(b"eXIf", metadata.exif))
    return b"".join([content[:_HEAD], *chunks, content[_HEAD:]]), []


def without_profile(content: bytes) -> bytes:
    """Return a PNG without its colour profile, about which the decoder may print warnings."""
    start, kept = 0, []
    for name, chunk, position in _chunks(content):
        if name == b"iCCP":
            kept.append(content[start:position])
            start = position + 12 + len(chunk)
    return b"".join([*kept, content[start:]])


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield (name, content, position) of each chunk, and raise if one is missing or a critical one is damaged."""
    view, position = memoryview(content), len(MAGIC)
    while True:
        if position + 12 > len(content):
            raise truncated("PNG", "its last chunk is missing")
        length, name = struct.unpack_from(">L4s", content, position)
        end = position + 12 + length
        if end > len(content):
            raise truncated("PNG", f"{end - len(content)} bytes are missing in a chunk")
        if name[:1].isupper() and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(
            content[end - 4 : end]
        ):
            raise ImageDecodeError(
                f"The PNG file is damaged: the checksum of its {name.decode('ascii', 'backslashreplace')} chunk is wrong."
            )
        yield name, view[position + 8 : end - 4], position
        if name == b"IEND":
            return
        position = end


def _inflated(chunk: bytes) -> bytes | None:
    """Return the profile in an iCCP chunk: a name, a zero, the method, the compressed profile."""
    try:
        unpacked = zlib.decompressobj().decompress(chunk[chunk.index(0) + 2 :], _LARGEST_PROFILE)
    except (ValueError, zlib.error):
        return None
    return unpacked or None


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
