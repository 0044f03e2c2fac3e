"""EXIF data and the tags of TIFF files, which are the same structure: directories of tags, as Pillow reads them."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from io import BytesIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

PREFIX = 8  # size of the byte order, the magic number and the position of the first directory
SHORT, LONG, UNDEFINED = 3, 4, 7
ORIENTATION = 0x112
DAMAGED = (ValueError, KeyError, TypeError, IndexError, OverflowError, OSError, SyntaxError, struct.error)

_WIDTH, _HEIGHT = 0xA002, 0xA003
_INNER = {
    None: (0x8769, 0x8825),
    0x8769: (0xA005,),
}  # directories in a directory: EXIF, GPS; interoperability


def read_directory(content: bytes, position: int | None = None, group: int | None = None) -> Directory:
    """Return a directory, by default the first one; its ``next`` is the position of the next one, or 0.

    Raises:
        ValueError: It is damaged; or another of the errors in ``DAMAGED``.
    """
    directory, file = Directory(content[:PREFIX], group=group), BytesIO(content)
    file.seek(directory.next if position is None else position)
    directory.next = -1
    directory.load(file)
    if directory.next < 0:
        raise ValueError("The directory is damaged.")
    return directory


def read_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8, or 1 if it is missing or invalid."""
    try:
        value: int = read_directory(_padded(exif))[ORIENTATION]
    except DAMAGED:
        return 1
    return value if value in range(1, 9) else 1


def update_exif(exif: bytes, size: tuple[int, int], only: Collection[int] | None = None) -> bytes | None:
    """Return EXIF data without the thumbnail for an image that was turned upright and changed.

    Args:
        exif: EXIF data, as in ``Metadata``, or a TIFF.
        size: Size (w, h) of the new image.
        only: Tags of the first directory to keep; by default all.

    Returns:
        The new EXIF data, empty if there are none, or None if ``exif`` is damaged.
    """
    out, new = bytearray(exif[:PREFIX]), Directory(prefix=exif[:2] if exif[:2] == b"MM" else b"II")
    try:
        copy_exif(_padded(exif), out, new, only, {ORIENTATION: 1, _WIDTH: size[0], _HEIGHT: size[1]})
        return finished(out, new) if len(new) else b""
    except DAMAGED:
        return None


def copy_exif(
    content: bytes,
    out: bytearray,
    new: Directory,
    only: Collection[int] | None = None,
    changes: Mapping[int, int] | None = None,
    source: Directory | None = None,
) -> None:
    """Copy the tags of a directory. The directories in it are appended to ``out``.

    Args:
        content: EXIF data or a TIFF.
        out: The structure that is written.
        new: The directory to copy to.
        only: Tags to copy besides the directories; by default all.
        changes: New values of tags that exist.
        source: The directory to copy, by default the first one.
    """
    source = read_directory(content) if source is None else source
    for tag in source:
        value, kind = source[tag], source.tagtype[tag]
        if tag in _INNER.get(source.group, ()):
            inner = Directory(prefix=new.prefix, group=tag)
            copy_exif(content, out, inner, None, changes, read_directory(content, value, tag))
            value = len(out)
            out += inner.tobytes(value)
        elif only is not None and tag not in only:
            continue
        elif changes and tag in changes:
            value, kind = changes[tag], SHORT if tag == ORIENTATION else LONG
        new.tagtype[tag] = kind
        new[tag] = value.encode("latin-1") if isinstance(value, str) else value  # the bytes of the file


def finished(out: bytearray, directory: Directory) -> bytes:
    """Return a structure with its first directory appended."""
    position = struct.pack("<L" if directory.prefix == b"II" else ">L", len(out))
    return bytes(out[:4]) + position + bytes(out[PREFIX:]) + directory.tobytes(len(out))


def _padded(exif: bytes) -> bytes:
    return exif + b"\0\0\0\0"  # some programs leave out the link at the end
