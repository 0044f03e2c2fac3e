from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cfgtrain.image.rescale import imrescale, rescale_size


def ramp(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("scale", "size", "factor"),
    [
        (1.5, (600, 450), 1.5),
        (0.934, (374, 280), 0.934),
        (2, (800, 600), 2.0),
        ((1000, 600), (800, 600), 2.0),
        ((600, 1000), (800, 600), 2.0),
        ((180, 200), (200, 150), 0.5),
        ((float("inf"), 150), (200, 150), 0.5),
        (0.001, (0, 0), 0.001),
        (np.float32(0.5), (200, 150), 0.5),
        (np.int64(2), (800, 600), 2.0),
        (Fraction(1, 2), (200, 150), 0.5),
        ([1000, 600], (800, 600), 2.0),
        (np.array([180, 200]), (200, 150), 0.5),
    ],
)
def test_rescale_size(scale: Any, size: tuple[int, int], factor: float) -> None:
    """The scale is a factor, or maximum lengths of the long and short edge in either order; halves round up."""
    assert rescale_size((400, 300), scale) == size
    assert rescale_size((400, 300), scale, return_scale=True) == (size, factor)


@pytest.mark.parametrize("scale", [0, -1.0, float("inf"), float("nan"), (0, 5)])
def test_scale_must_be_positive(scale: Any) -> None:
    """A scale that is not positive and finite raises an error."""
    with pytest.raises(ValueError, match="positive and finite"):
        rescale_size((400, 300), scale)


@pytest.mark.parametrize("scale", [[100], (1, 2, 3), [1, 2, 3], "2", "22", None])
def test_scale_types(scale: Any) -> None:
    """A scale that is neither a number nor a pair raises an error."""
    with pytest.raises(TypeError, match="a pair of maximum lengths"):
        rescale_size((400, 300), scale)


def test_imrescale() -> None:
    """The aspect ratio is kept, and each edge has at least one pixel."""
    assert imrescale(ramp(300, 400, 3), (1000, 600)).shape == (600, 800, 3)
    rescaled, factor = imrescale(ramp(300, 400), 0.5, return_scale=True)
    assert (rescaled.shape, factor) == ((150, 200), 0.5)
    assert imrescale(ramp(2, 400), 0.1).shape == (1, 40)
