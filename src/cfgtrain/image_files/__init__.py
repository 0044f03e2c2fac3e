"""Image files: reading and writing pictures with their orientation, bit depth, transparency and metadata."""

from cfgtrain.image_files.header import Header, Metadata
from cfgtrain.image_files.reader import Picture, read_header, read_picture
from cfgtrain.image_files.writer import encode_picture

__all__ = ["Header", "Metadata", "Picture", "encode_picture", "read_header", "read_picture"]
