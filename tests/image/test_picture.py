from __future__ import annotations

import cv2
import numpy as np
import pytest
from photos import encoded, exif, letter_f, photograph

from cfgtrain.errors import ArgumentError, ImageDecodeError
from cfgtrain.image.picture import encode_picture, read_picture, resize_picture

RETINA = photograph("retina.jpg").read_bytes()


@pytest.mark.parametrize(
    ("edge", "decoded"),
    [(1411, 1411), (1000, 1411), (706, 706), (700, 1411), (470, 706), (353, 353), (117, 177), (1, 177)],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(edge: int, decoded: int) -> None:
    """A half, a quarter or an eighth, where that is what is wanted or leaves half as much again."""
    picture = read_picture(RETINA, lambda size: (edge, edge))
    assert picture.pixels.shape[0] == decoded
    assert picture.size == (1411, 1411)


def test_a_gray_jpeg_stays_gray_when_reduced() -> None:
    """One channel is decoded as one."""
    gray = encoded(np.kron(letter_f(channels=1), np.ones((8, 8), np.uint8)), "JPEG")
    assert read_picture(gray, lambda size: (60, 80)).pixels.shape == (80, 60)


def test_other_formats_are_decoded_whole() -> None:
    """Only JPEG can be reduced."""
    assert read_picture(encoded(letter_f(), "PNG"), lambda size: (6, 8)).pixels.shape == (80, 60, 3)


def test_the_size_that_is_asked_for_is_of_the_upright_picture() -> None:
    """A sideways picture is asked for by the width that it is seen with."""
    asked = []
    content = encoded(np.zeros((40, 80, 3), np.uint8), "JPEG", exif=exif(6))
    picture = read_picture(content, lambda size: asked.append(size) or size)  # type: ignore[func-returns-value]
    assert asked[0] == (40, 80)
    assert picture.size == (40, 80)
    assert picture.pixels.shape == (80, 40, 3)


def test_damage_in_the_pixels_is_told() -> None:
    """A PNG whose compressed pixels are wrong is refused, and the chunk is named."""
    content = bytearray(encoded(letter_f(), "PNG"))
    place = content.index(b"IDAT") + 12
    content[place : place + 40] = b"\xaa" * 40
    with pytest.raises(ImageDecodeError, match="checksum of its IDAT chunk"):
        read_picture(bytes(content))


def test_same_size_is_the_same_pixels() -> None:
    """Nothing is computed where nothing changes, with alpha too."""
    img = letter_f(channels=4)
    assert resize_picture(img, (60, 80), "area") is img


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_opaque_pictures_resize_as_without_alpha(dtype: type) -> None:
    """Alpha that hides nothing changes nothing, but for rounding."""
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    img = (letter_f().astype(np.float64) / 255 * top).astype(dtype)
    opaque = np.dstack([img, np.full((80, 60), top, dtype)])
    resized = resize_picture(opaque, (30, 40), "area")
    plain = cv2.resize(img, (30, 40), interpolation=cv2.INTER_AREA)
    assert resized.dtype == dtype
    assert (resized[..., 3] == top).all()
    assert np.abs(resized[..., :3].astype(float) - plain).max() <= (1e-6 if top == 1 else 1)


def test_floats_need_a_format_for_floats() -> None:
    """What would be cut off is refused."""
    header = read_picture(encoded(letter_f(), "PNG")).header
    with pytest.raises(ArgumentError, match="floating-point"):
        encode_picture(np.zeros((4, 4), np.float32), header, ".jpg")
    assert encode_picture(np.zeros((4, 4), np.float32), header, ".tif")[1] == []
