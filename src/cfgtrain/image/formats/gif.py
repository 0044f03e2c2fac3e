"""GIF files: the size and the number of frames."""

from __future__ import annotations

from cfgtrain.image.formats.header import Header, truncated

MAGICS = (b"GIF87a", b"GIF89a")

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B


def read_header(content: bytes) -> Header:
    """Read the blocks of a GIF file.

    Raises:
        ImageDecodeError: The file ends before the image does.
    """
    frames = 0
    try:
        position = 13 + _table(content[10])
        while (kind := content[position]) != _END:
            if kind == _FRAME:
                frames += 1
                position += 11 + _table(content[position + 9])  # the frame's place, colours, code size
            elif kind == _EXTENSION:
                position += 2
            else:
                break  # damaged: the decoder will raise
            while content[position]:
                position += content[position] + 1
            position += 1
    except IndexError:
        raise truncated("GIF", "its last block is missing") from None
    size = (int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little"))
    return Header("GIF", size, several=frames > 1)


def _table(flags: int) -> int:
    """Return the size of a colour table in bytes."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
