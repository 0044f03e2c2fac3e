from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cfgtrain.visualization.caption import with_caption


@pytest.mark.parametrize("shape", [(300, 400, 3), (300, 400), (300, 400, 1)])
def test_text_stands_above_the_image(shape: tuple[int, ...]) -> None:
    """The pixels of the image are kept, gray ones as color, below a white strip with dark text."""
    img = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape).astype(np.uint8)
    drawn = with_caption(img, ["cat 98.3%", "dog 1.0%"])
    height = len(drawn) - 300
    np.testing.assert_array_equal(drawn[height:], np.broadcast_to(img.reshape(300, 400, -1), (300, 400, 3)))
    strip = drawn[:height]
    assert 20 < height < 100
    assert strip.min() == 0  # black text
    assert strip[0].min() == strip[:, 0].min() == strip[:, -1].min() == 255


def test_small_images_are_enlarged_by_a_whole_number() -> None:
    """A picture of 8x8 pixels has a side of 200; each pixel is a square."""
    img = np.arange(64, dtype=np.uint8).reshape(8, 8)
    drawn = with_caption(img, ["3"])
    assert drawn.shape[1] == 200
    np.testing.assert_array_equal(drawn[-200::25, ::25, 0], img)


def test_long_text_is_not_cut() -> None:
    """The strip is wider than the image if the text needs it, and its last letter is drawn."""
    short, long = (with_caption(np.zeros((200, 200), np.uint8), ["x" * count]) for count in (5, 60))
    assert short.shape[1] == 200
    assert long.shape[1] > 300
    columns = np.flatnonzero(long[:20].min((0, 2)) < 128)
    assert long.shape[1] - 25 < columns.max() < long.shape[1] - 4


def test_files(tmp_path: Path) -> None:
    """An image can be given by its path."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((300, 300), 7, np.uint8))
    np.testing.assert_array_equal(with_caption(str(tmp_path / "a.png"), ["a"])[-300:], 7)
