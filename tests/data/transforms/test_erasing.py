from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.data.transforms import RandomErasing
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 1), (60, 80, 3), (60, 80, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_erased_rectangle(shape: tuple[int, ...], dtype: Any) -> None:
    """One rectangle of the given area and aspect ratio is filled, in a copy."""
    img = np.ones(shape, dtype)
    erase = RandomErasing(1, area=(0.1, 0.3), ratio=(0.5, 2))
    np.random.seed(0)
    for _ in range(20):
        erased = erase({"img": img})["img"]
        assert erased.dtype == dtype
        rows, columns = (
            np.flatnonzero((erased == 0).reshape(60, 80, -1).all(2).any(axis)) for axis in (1, 0)
        )
        height, width = len(rows), len(columns)
        assert (erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
        assert (erased == 0).sum() == height * width * np.prod(shape[2:])
        assert 0.08 < height * width / 4800 < 0.32
        assert 0.45 < width / height < 2.1
    assert (img == 1).all()


def test_fill() -> None:
    """The values are one per channel, or random: any value of an integer dtype, normally distributed for floats."""
    img = np.full((50, 50, 3), 300, np.uint16)
    whole: Any = {"area": (1, 1), "ratio": (1, 1)}
    assert (RandomErasing(1, fill=(1, 2, 3), **whole)({"img": img})["img"] == (1, 2, 3)).all()
    np.random.seed(0)
    noise = RandomErasing(1, fill="random", **whole)({"img": img})["img"]
    assert noise.dtype == np.uint16
    assert noise.min() < 100
    assert noise.max() > 65400
    normal = RandomErasing(1, fill="random", **whole)({"img": img.astype(np.float32)})["img"]
    assert abs(normal.mean()) < 0.1
    assert 0.9 < normal.std() < 1.1


def test_probability() -> None:
    """Images are erased with the probability; a rectangle that never fits erases nothing."""
    img = np.ones((20, 20), np.uint8)
    np.random.seed(0)
    erased = sum((RandomErasing(0.3)({"img": img})["img"] == 0).any() for _ in range(300))
    assert 60 < erased < 120
    assert (RandomErasing(1, area=(1, 1), ratio=(9, 9))({"img": img})["img"] == 1).all()


def test_invalid_arguments() -> None:
    """Arguments are validated when the transform is built."""
    with pytest.raises(ArgumentError, match="fill must be a number or 'random', not 'noise'"):
        RandomErasing(fill="noise")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="prob must be from 0 to 1"):
        RandomErasing(-1)
    with pytest.raises(ArgumentError, match=r"area\[1\] must be at most 1"):
        RandomErasing(area=(0.1, 2))
