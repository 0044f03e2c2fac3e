"""Detect the format of an image file, and call the functions for that format."""

from __future__ import annotations

from dataclasses import replace

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image.formats import gif, jpeg, png, tiff, webp
from cfgtrain.image.formats.header import Header, Metadata

_TIFF = (".tif", ".tiff")
_ADDERS = {
    ".jpg": jpeg.add_metadata, ".jpeg": jpeg.add_metadata, ".jpe": jpeg.add_metadata,
    ".png": png.add_metadata, ".webp": webp.add_metadata, ".tif": tiff.add_metadata, ".tiff": tiff.add_metadata,
}  # fmt: skip


# EXIF orientation by (irot, imir): an AVIF stores quarter turns to the left and then a mirror axis in boxes, which
# OpenCV ignores. The orientation in its EXIF data has no effect.
_TURNS = {(None, 1): 2, (2, None): 3, (None, 0): 4, (1, 0): 5, (3, None): 6, (3, 0): 7, (1, None): 8,
          (0, 1): 2, (0, 0): 4, (2, 0): 2, (2, 1): 4, (1, 1): 7, (3, 1): 5}  # fmt: skip


def read_header(content: bytes) -> Header:
    """Read the header of an image file.

    Raises:
        ImageDecodeError: The file is empty, or ends before the image does.
    """
    if not content:
        raise ImageDecodeError("The file is empty (0 bytes).")
    header = _read(content)
    return replace(header, size=None) if header.size and 0 in header.size else header


def _read(content: bytes) -> Header:
    if content.startswith(jpeg.MAGIC):
        return jpeg.read_header(content)
    if content.startswith(png.MAGIC):
        return png.read_header(content)
    if webp.is_webp(content):
        return webp.read_header(content)
    if content.startswith(tiff.MAGICS):
        return tiff.read_header(content)
    if content.startswith(gif.MAGICS):
        return gif.read_header(content)
    return _avif(content) if content[4:8] == b"ftyp" and b"avi" in content[8:32] else Header()


def add_metadata(content: bytes, suffix: str, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Add metadata to an encoded image.

    Args:
        content: Content of the image file.
        suffix: Suffix of its format, such as ``.png``.
        metadata: Metadata that are valid for the image.

    Returns:
        The content with the metadata, and the names of those that could not be added.
    """
    adder = _ADDERS.get(suffix.lower())
    if adder is None or not (metadata.names() or suffix.lower() in _TIFF):
        return content, metadata.names()
    return adder(content, metadata)


def _avif(content: bytes) -> Header:
    head = content[: content.find(b"mdat")]
    names = {"EXIF": b"Exif" in head, "ICC profile": b"colrprof" in head or b"colrrICC" in head}
    lost = tuple(name for name, there in names.items() if there)
    orientation = _TURNS.get((_property(head, b"irot", 3), _property(head, b"imir", 1)), 1)
    several = head[8:12] == b"avis"
    return Header("AVIF", None, orientation, lossless=False, several=several, metadata=Metadata(lost=lost))


def _property(head: bytes, box: bytes, mask: int) -> int | None:
    """Return the value of a one-byte box, or None if there is no such box."""
    _, found, after = head.partition(box)
    return after[0] & mask if found and after else None
