"""The header of an image file: what is known before the pixels are decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Size = tuple[int, int]

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")


@dataclass(frozen=True)
class Metadata:
    """The metadata of an image file.

    Attributes:
        exif: EXIF data: a TIFF structure, without the ``Exif`` marker that precedes it in a JPEG.
        icc: The ICC colour profile.
        dpi: Horizontal and vertical resolution in pixels per inch.
        blocks: (name, content) of parts that can be copied to a file of the same format.
        lost: Names of parts that are not kept, since they would be wrong for a changed image.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[tuple[str, bytes], ...] = ()
    lost: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the names of the metadata that can be kept."""
        own = {"EXIF": self.exif, "ICC profile": self.icc, "DPI": self.dpi}
        return [name for name, value in own.items() if value] + [name for name, _ in self.blocks]


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
        format: Name of the format, such as ``JPEG``; empty if it is unknown.
        size: Size (w, h) in pixels as stored, or None if it is unknown.
        orientation: EXIF orientation, 1 to 8.
        channels: Number of channels as stored (4 in a JPEG means CMYK), or None if it is unknown.
        depth: Type of the values, such as ``8``, ``16`` or ``float32``; empty if it is unknown.
        frames: Number of images (frames or pages) in the file.
        lossless: Whether it is a WebP with lossless compression.
        premultiplied: Whether OpenCV decodes colours multiplied by alpha.
        metadata: The metadata of the file.
    """

    format: str = ""
    size: Size | None = None
    orientation: int = 1
    channels: int | None = None
    depth: str = ""
    frames: int = 1
    lossless: bool = False
    premultiplied: bool = False
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def upright_size(self) -> Size | None:
        """Size (w, h) of the image turned upright, or None if it is unknown."""
        return self.size[::-1] if self.size and self.orientation >= 5 else self.size


def upright_xmp(content: bytes) -> bytes:
    """Return XMP data with the orientation set to 1; its length does not change."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", content)
