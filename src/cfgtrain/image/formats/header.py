"""The header of an image file: what is known before the pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from cfgtrain.errors import ImageDecodeError


@dataclass(frozen=True)
class Block:
    """A part of a file that can be copied unchanged to a file of the same format.

    Attributes:
        name: Name of the block for messages.
        content: The bytes of the block, including its framing.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Metadata:
    """The metadata of an image file.

    Attributes:
        exif: EXIF data: a TIFF structure, without the ``Exif`` marker that precedes it in a JPEG.
        icc: The ICC colour profile.
        dpi: Horizontal and vertical resolution in pixels per inch.
        blocks: Other blocks that can be copied to a file of the same format.
        lost: Names of blocks that are not kept, since they would be wrong for a changed image.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[Block, ...] = ()
    lost: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the names of the metadata that are present."""
        own = {"EXIF": self.exif, "ICC profile": self.icc, "DPI": self.dpi}
        return [name for name, value in own.items() if value] + [block.name for block in self.blocks]


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
        format: Name of the format, such as ``JPEG``; empty if it is unknown.
        size: Size (w, h) in pixels as stored, or None if it is unknown.
        orientation: EXIF orientation, 1 to 8, by which the decoded pixels have to be turned.
        channels: Number of channels as stored (4 in a JPEG means CMYK), or None if it is unknown.
        lossless: Whether the compression is lossless.
        premultiplied: Whether the decoder returns colours multiplied by alpha.
        several: Whether the file contains more than one image (frames or pages).
        metadata: The metadata of the file.
    """

    format: str = ""
    size: tuple[int, int] | None = None
    orientation: int = 1
    channels: int | None = None
    lossless: bool = True
    premultiplied: bool = False
    several: bool = False
    metadata: Metadata = field(default_factory=Metadata)


def truncated(format: str, missing: str) -> ImageDecodeError:  # noqa: A002
    """Return the error for a truncated file."""
    return ImageDecodeError(f"The {format} file is truncated: {missing}.")
