"""PNG files: the chunks with metadata, which OpenCV's encoder does not write; Pillow has no 16-bit colours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image_files.exif import read_orientation
from cfgtrain.image_files.header import Header, Metadata, upright_xmp

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Chunks that stay valid for a changed image, and their names for messages.
_KEPT = {
    b"gAMA": "gamma", b"cHRM": "primaries", b"sRGB": "sRGB", b"cICP": "colour coding",
    b"tEXt": "text", b"zTXt": "text", b"iTXt": "text", b"tIME": "time",
}  # fmt: skip
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette
_METRES_PER_INCH = 0.0254
_MAX_PROFILE = 1 << 24
_HEAD = len(SIGNATURE) + 25  # the signature and IHDR


def read_png(content: bytes) -> Header:
    """Read the chunks of a PNG.

    Raises:
        ImageDecodeError: The file ends before the image does, or a chunk of the image is damaged.
    """
    chunks = list(_chunks(content))
    found = dict(reversed(chunks))
    if len(found.get(b"IHDR", b"")) != 13:
        raise ImageDecodeError("The PNG file is damaged: it has no header.")
    width, height, depth, colour = struct.unpack_from(">LLBB", found[b"IHDR"])
    exif = found.get(b"eXIf", b"").removeprefix(b"Exif\0\0")
    x, y, unit = struct.unpack_from(">LLB", found.get(b"pHYs", b"").ljust(9, b"\0"))
    dpi = (x * _METRES_PER_INCH, y * _METRES_PER_INCH) if unit == 1 and x and y else None
    blocks = tuple((_KEPT[name], _chunk(name, upright_xmp(data))) for name, data in chunks if name in _KEPT)
    metadata = Metadata(exif, _profile(found.get(b"iCCP", b"")), dpi, blocks)
    frames = int.from_bytes(found.get(b"acTL", b"\0\0\0\1")[:4])
    size, channels = (width, height), _CHANNELS.get(colour)
    return Header("PNG", size, read_orientation(exif), channels, str(depth), frames, metadata=metadata)


def add_chunks(content: bytes, metadata: Metadata) -> bytes:
    """Return an encoded PNG with metadata added."""
    chunks = [block for name, block in metadata.blocks if not (metadata.icc and name == "sRGB")]
    if metadata.icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        per_metre = (round(each / _METRES_PER_INCH) for each in metadata.dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">LLB", *per_metre, 1)))
    if metadata.exif:
        chunks.append(_chunk(b"eXIf", metadata.exif))
    return b"".join([content[:_HEAD], *chunks, content[_HEAD:]])


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, data) of each chunk but the pixels; raise if one is missing or one of the image is damaged."""
    view, position, name = memoryview(content), len(SIGNATURE), b""
    while name != b"IEND":
        head = content[position : position + 8].ljust(8, b"\0")
        name, end = head[4:], position + 12 + int.from_bytes(head[:4])
        if end > len(content):
            raise ImageDecodeError(
                f"The PNG file is truncated: at least {end - len(content)} bytes are missing."
            )
        checksum = int.from_bytes(view[end - 4 : end])
        if name[:1].isupper() and zlib.crc32(view[position + 4 : end - 4]) != checksum:
            text = name.decode("ascii", "backslashreplace")
            raise ImageDecodeError(f"The PNG file is damaged: the checksum of its {text} chunk is wrong.")
        if name != b"IDAT":
            yield name, content[position + 8 : end - 4]
        position = end


def _profile(chunk: bytes) -> bytes | None:
    """Return the profile in an iCCP chunk: a name, a zero, the method, the compressed profile."""
    try:
        return zlib.decompressobj().decompress(chunk[chunk.index(0) + 2 :], _MAX_PROFILE) or None
    except (ValueError, zlib.error):
        return None


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
