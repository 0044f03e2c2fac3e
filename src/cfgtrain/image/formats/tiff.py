"""TIFF files: the metadata that OpenCV's decoder and encoder do not handle."""

from __future__ import annotations

import struct

from cfgtrain.image.formats.exif import (
    ORIENTATION,
    RATIONAL,
    SHORT,
    Entry,
    Tags,
    copy_directories,
    extract,
    read_values,
    write_directory,
)
from cfgtrain.image.formats.header import Header, Metadata

MAGICS = (b"II*\0", b"MM\0*")

_WIDTH, _HEIGHT, _SAMPLES = 256, 257, 277
_BITS, _EXTRA_SAMPLES, _ASSOCIATED, _UNASSOCIATED = 258, 338, 1, 2
_X_RESOLUTION, _Y_RESOLUTION, _UNIT, _CENTIMETRE = 282, 283, 296, 3
_ICC = 34675
_UNDEFINED = 7
_CENTIMETRES_PER_INCH = 2.54
# Blocks that are not kept, since they may describe the original pixels.
_NAMES = {700: "XMP", 33723: "IPTC", 34377: "Photoshop data"}


def read_header(content: bytes) -> Header:
    """Read the first directory. The orientation is not needed, since OpenCV turns a TIFF upright."""
    try:
        tags = Tags(content)
        image = tags.first()
        entries = image.entries
        several = bool(tags.following(image))
        width, height = (tags.numbers(entries.get(tag)) for tag in (_WIDTH, _HEIGHT))
        dpi = _resolution(tags, entries)
        exif = extract(tags)
    except (ValueError, IndexError, struct.error):
        return Header("TIFF")
    size = (int(width[0]), int(height[0])) if width and height else None
    turned = tags.numbers(entries.get(ORIENTATION))
    if size and turned and turned[0] in (5, 6, 7, 8):
        size = size[::-1]
    samples = tags.numbers(entries.get(_SAMPLES))
    icc = tags.raw(entries[_ICC]) if _ICC in entries else None
    lost = tuple(name for tag, name in _NAMES.items() if tag in entries)
    return Header(
        "TIFF",
        size,
        channels=int(samples[0]) if samples else None,
        several=several,
        premultiplied=_is_premultiplied(tags, entries),
        metadata=Metadata(exif, icc, dpi, (), lost),
    )


def add_metadata(content: bytes, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Return a TIFF written by OpenCV with metadata in a new directory, and an empty list, since all of them fit.

    A fourth channel is marked as alpha, which OpenCV does not do.
    """
    tags = Tags(content)
    order, image, out = tags.order, tags.first(), bytearray(content)
    values = read_values(tags, image, order)
    if tags.numbers(image.entries.get(_SAMPLES)) == [4] and _EXTRA_SAMPLES not in values:
        values[_EXTRA_SAMPLES] = (SHORT, 1, struct.pack(f"{order}H", _UNASSOCIATED))
    if metadata.exif:
        values |= copy_directories(Tags(metadata.exif), out, order)
    if metadata.icc:
        values[_ICC] = (_UNDEFINED, len(metadata.icc), metadata.icc)
    if metadata.dpi:
        for tag, dpi in zip((_X_RESOLUTION, _Y_RESOLUTION), metadata.dpi, strict=True):
            values[tag] = (RATIONAL, 1, struct.pack(f"{order}LL", round(dpi * 1000), 1000))
        values[_UNIT] = (SHORT, 1, struct.pack(f"{order}H", 2))
    struct.pack_into(f"{order}L", out, 4, write_directory(out, order, values))
    return bytes(out), []


def _is_premultiplied(tags: Tags, entries: dict[int, Entry]) -> bool:
    """Return whether OpenCV decodes colours multiplied by alpha: as stored or, with 8 bits, by libtiff."""
    extra, bits = (tags.numbers(entries.get(tag)) for tag in (_EXTRA_SAMPLES, _BITS))
    return extra == [_ASSOCIATED] or (extra == [_UNASSOCIATED] and bits[:1] == [8])


def _resolution(tags: Tags, entries: dict[int, Entry]) -> tuple[float, float] | None:
    x, y = (tags.numbers(entries.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    unit = tags.numbers(entries.get(_UNIT)) or [2]
    if not (x and y and x[0] and y[0]) or unit[0] not in (2, _CENTIMETRE):
        return None
    factor = _CENTIMETRES_PER_INCH if unit[0] == _CENTIMETRE else 1.0
    return x[0] * factor, y[0] * factor
