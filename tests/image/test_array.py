from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import channel_numbers, channel_values, check_image

COLOR = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize("img", [COLOR[..., 0], COLOR[..., :1], COLOR])
def test_number_of_channels(img: Any) -> None:
    """(H, W) counts as one channel, and other numbers are refused."""
    assert check_image(img, channels=(1, 3)) is img
    with pytest.raises(ArgumentError, match=r"img must have 2 channels, but its shape is \(4, 5"):
        check_image(img, channels=(2,))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, (2, 2, 2)),
        (np.float32(0.5), (0.5, 0.5, 0.5)),
        (np.array(300), (300, 300, 300)),
        ([1, 2.5, -3], (1, 2.5, -3)),
        ((1, 2, 3), (1, 2, 3)),
        (np.array([[1, 2, 3]]), (1, 2, 3)),
    ],
)
def test_numbers_of_channels(value: Any, expected: tuple[float, ...]) -> None:
    """One number is used for each channel; sequences and arrays have one for each."""
    assert channel_numbers("mean", value, 3) == expected


@pytest.mark.parametrize("value", [[1, 2], np.zeros(4), [1, 2, float("nan")]])
def test_wrong_numbers_of_channels(value: Any) -> None:
    """Other lengths, and numbers that are not numbers, are refused."""
    with pytest.raises(ArgumentError, match="mean"):
        channel_numbers("mean", value, 3)
    with pytest.raises(ArgumentTypeError, match=r"mean\[1\] must be a number, not None"):
        channel_numbers("mean", [1, None, 2], 3)


def test_values_must_fit_the_dtype() -> None:
    """The values of pixels are those of the dtype of the image."""
    assert channel_values("pad_val", [1, 255, 0], COLOR) == (1, 255, 0)
    assert channel_values("pad_val", -1, COLOR.astype(np.float32)) == (-1, -1, -1)
    for value in (256, -1, [0, 0, 300]):
        with pytest.raises(ArgumentError, match="pad_val must be from 0 to 255 for an image of uint8"):
            channel_values("pad_val", value, COLOR)
