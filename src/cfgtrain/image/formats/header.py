"""What is known of an image before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from cfgtrain.errors import ImageDecodeError


@dataclass(frozen=True)
class Block:
    """A piece of a file that only a file of the same format can take over as it is.

    Attributes:
        name: What a person calls it.
        content: Its bytes, with whatever frames it in the file.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Metadata:
    """What a file says about its image.

    Attributes:
        exif: A TIFF structure, without the ``Exif`` mark that JPEG puts before it.
        icc: The colour profile.
        dpi: Horizontal and vertical resolution in pixels per inch.
        blocks: What else can stay in a file of the same format.
        lost: Names of what cannot stay, since it would be wrong in another image.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[Block, ...] = ()
    lost: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the names of all that is there."""
        own = {"EXIF": self.exif, "ICC profile": self.icc, "DPI": self.dpi}
        return [name for name, value in own.items() if value] + [block.name for block in self.blocks]


@dataclass(frozen=True)
class Header:
    """What the head of a file says.

    Attributes:
        format: Name of the format, such as ``JPEG``; empty where it is not known.
        size: (w, h) in pixels as stored, or None where the head does not say it plainly.
        orientation: 1 to 8: how the decoder's pixels have to be turned, as EXIF counts it.
        channels: As stored; 4 in a JPEG is CMYK. None where it is not known.
        lossless: Whether the pixels are stored exactly.
        premultiplied: Whether the decoder's colours are multiplied by their alpha.
        several: Whether the file holds more than one image: frames or pages.
        metadata: What else it says.
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
    """Return the error for a file that ends too early."""
    return ImageDecodeError(f"The {format} file is truncated: {missing}.")
