from __future__ import annotations

import numpy as np
import pytest
from photos import encoded, exif, letter_f, photograph

from cfgtrain.errors import ArgumentError, ImageDecodeError
from cfgtrain.image_files.reader import read_picture
from cfgtrain.image_files.writer import encode_picture

RETINA = photograph("retina.jpg").read_bytes()


@pytest.mark.parametrize(
    ("edge", "decoded"),
    [(1411, 1411), (1000, 1411), (706, 706), (700, 1411), (470, 706), (353, 353), (117, 177), (1, 177)],
)
def test_jpeg_is_decoded_at_reduced_size(edge: int, decoded: int) -> None:
    """A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is the target size or at least 1.5 times as large."""
    picture = read_picture(RETINA, lambda size: (edge, edge))
    assert picture.pixels.shape[0] == decoded
    assert picture.size == (1411, 1411)


def test_reduced_grayscale_jpeg() -> None:
    """A grayscale JPEG is decoded with one channel."""
    gray = encoded(np.kron(letter_f(channels=1), np.ones((8, 8), np.uint8)), "JPEG")
    assert read_picture(gray, lambda size: (60, 80)).pixels.shape == (80, 60)


def test_other_formats_are_not_reduced() -> None:
    """Only a JPEG is decoded at a reduced size."""
    assert read_picture(encoded(letter_f(), "PNG"), lambda size: (6, 8)).pixels.shape == (80, 60, 3)


def test_target_size_is_of_upright_picture() -> None:
    """The target function is called with the size of the picture in upright orientation."""
    asked = []
    content = encoded(np.zeros((40, 80, 3), np.uint8), "JPEG", exif=exif(6))
    picture = read_picture(content, lambda size: asked.append(size) or size)  # type: ignore[func-returns-value]
    assert asked[0] == (40, 80)
    assert picture.size == (40, 80)
    assert picture.pixels.shape == (80, 40, 3)


def test_damaged_pixels() -> None:
    """A PNG with damaged pixels raises an error that names the chunk."""
    content = bytearray(encoded(letter_f(), "PNG"))
    place = content.index(b"IDAT") + 12
    content[place : place + 40] = b"\xaa" * 40
    with pytest.raises(ImageDecodeError, match="checksum of its IDAT chunk"):
        read_picture(bytes(content))


def test_formats_without_float_support() -> None:
    """Floating-point pixels in a format that does not support them raise an error."""
    header = read_picture(encoded(letter_f(), "PNG")).header
    with pytest.raises(ArgumentError, match="floating-point"):
        encode_picture(np.zeros((4, 4), np.float32), header, ".jpg")
    assert encode_picture(np.zeros((4, 4), np.float32), header, ".tif")[1] == []
