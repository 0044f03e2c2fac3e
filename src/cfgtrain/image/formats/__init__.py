"""Metadata of image files: size, orientation, EXIF, ICC profile, resolution."""

from cfgtrain.image.formats.header import Header, Metadata
from cfgtrain.image.formats.sniff import add_metadata, read_header

__all__ = ["Header", "Metadata", "add_metadata", "read_header"]
