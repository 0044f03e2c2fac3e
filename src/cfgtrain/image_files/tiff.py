"""TIFF files: their tags. Pillow opens no TIFF with float colours, but its directories have no such limit."""

from __future__ import annotations

from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

from cfgtrain.image_files.exif import (
    DAMAGED,
    ORIENTATION,
    PREFIX,
    SHORT,
    UNDEFINED,
    copy_exif,
    finished,
    read_directory,
    update_exif,
)
from cfgtrain.image_files.header import Header, Metadata

SIGNATURES = (b"II*\0", b"MM\0*")

_WIDTH, _HEIGHT, _BITS, _SAMPLES, _FORMAT = 256, 257, 258, 277, 339
_EXTRA_SAMPLES, _PREMULTIPLIED, _ALPHA = 338, 1, 2
_X_DPI, _Y_DPI, _UNIT, _INCH, _CENTIMETRE = 282, 283, 296, 2, 3
_STRIPS, _ICC = 273, 34675
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)  # title, maker, model, software, time, artist, copyright
_LOST = {700: "XMP", 33723: "IPTC", 34377: "Photoshop data"}  # may describe the original pixels


def read_tiff(content: bytes) -> Header:
    """Read the first directory of a TIFF. Of a damaged one, only the format is known."""
    try:
        image = read_directory(content)
        size, bits, extra = (
            (image[_WIDTH], image[_HEIGHT]),
            _first(image, _BITS),
            _first(image, _EXTRA_SAMPLES, 0),
        )
        kind = {2: "int", 3: "float"}.get(_first(image, _FORMAT), "")
        orientation: int = image.get(ORIENTATION, 1)
        x, y = float(image.get(_X_DPI, 0)), float(image.get(_Y_DPI, 0))
        per_inch = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(image.get(_UNIT, _INCH), 0.0)
        exif = update_exif(content, size, _DESCRIPTIVE)
        dpi = (x * per_inch, y * per_inch) if x * y * per_inch > 0 else None
        lost = tuple(name for tag, name in _LOST.items() if tag in image)
        return Header(
            "TIFF",
            size,
            orientation if orientation in range(1, 9) else 1,
            image.get(_SAMPLES, 1),
            f"{kind}{bits}",
            _pages(content, image),
            premultiplied=extra == _PREMULTIPLIED
            or (extra == _ALPHA and bits == 8),  # libtiff multiplies 8 bits
            metadata=Metadata(exif, image.get(_ICC), dpi, lost=lost),
        )
    except DAMAGED:
        return Header("TIFF")


def add_tags(content: bytes, metadata: Metadata) -> bytes:
    """Return a TIFF written by OpenCV with metadata added, and a fourth channel marked as alpha."""
    out, new = bytearray(content[:PREFIX]), Directory(prefix=content[:2])
    copy_exif(content, out, new)
    # Pillow expects the pixels after the directory, and positions that count from there.
    strips = new[_STRIPS] if isinstance(new[_STRIPS], tuple) else (new[_STRIPS],)
    new[_STRIPS] = tuple(position - PREFIX for position in strips)
    if new.get(_SAMPLES) == 4 and _EXTRA_SAMPLES not in new:
        new.tagtype[_EXTRA_SAMPLES], new[_EXTRA_SAMPLES] = SHORT, _ALPHA
    if metadata.exif:
        copy_exif(metadata.exif, out, new, _DESCRIPTIVE)
    if metadata.icc:
        new.tagtype[_ICC], new[_ICC] = UNDEFINED, metadata.icc
    if metadata.dpi:
        new[_X_DPI], new[_Y_DPI], new[_UNIT] = *metadata.dpi, _INCH
    return finished(out, new) + content[PREFIX:]


def _pages(content: bytes, image: Directory) -> int:
    positions = [0]
    while image.next not in positions:
        positions.append(image.next)
        image = read_directory(content, image.next)
    return len(positions)


def _first(directory: Directory, tag: int, default: int = 1) -> int:
    value = directory.get(tag, default)
    return value[0] if isinstance(value, tuple) else value  # type: ignore[no-any-return]
