from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cfgtrain.visualization import text as text_module
from cfgtrain.visualization.text import draw_text


@pytest.fixture(autouse=True)
def one_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the one font that comes with matplotlib, whatever the system has."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    font = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    monkeypatch.setattr(text_module, "_FONTS", ("missing.ttf", str(font)))
    text_module._font_with.cache_clear()
    yield
    text_module._font_with.cache_clear()


def drawn(text: str, at: tuple[int, int], scale: float = 1.0) -> np.ndarray:
    """Return where a text is drawn in a black image, (100, 300)."""
    canvas = np.zeros((100, 300, 3), np.uint8)
    draw_text(canvas, text, at, scale, (10, 200, 30))
    part = canvas / (10, 200, 30)  # edges may be blended with the background
    assert (np.abs(part - part[..., 1:2]) < 0.11).all()
    return part[..., 1] > 0.5


@pytest.mark.parametrize("text", ["Ehe", "Éhé", "Жук"])
def test_place_and_size(text: str) -> None:
    """ASCII and other text stands on the base line, and a capital letter is about 22 pixels high."""
    rows, columns = np.nonzero(drawn(text[0], (20, 60)))
    assert 57 <= rows.max() <= 62
    assert 18 <= np.ptp(rows) <= 32  # an accent is higher
    assert 17 <= columns.min() <= 26
    assert drawn(text, (20, 60)).sum() > drawn(text[0], (20, 60)).sum()
    assert drawn(text, (20, 60), 2).sum() > 1.5 * drawn(text, (20, 60)).sum()


@pytest.mark.parametrize("text", ["Ehe", "Éhé"])
def test_edges(text: str) -> None:
    """Text that would begin above the image is moved down; text beyond the other edges is cut off."""
    assert drawn(text, (20, -50)).sum() == drawn(text, (20, 60)).sum() > 0
    for at in [(-15, 60), (280, 60), (20, 110)]:
        assert 0 < drawn(text, at).sum() < drawn(text, (20, 60)).sum()
    for at in [(-900, 60), (900, 60), (20, 900)]:
        assert not drawn(text, at).any()


@pytest.mark.parametrize("shape", [(100, 300), (100, 300, 1), (100, 300, 4)])
@pytest.mark.parametrize("text", ["E", "É"])
def test_channels(shape: tuple[int, ...], text: str) -> None:
    """Every channel gets its value of the color."""
    canvas = np.zeros(shape, np.float32)
    color = (0.5, 0.25, 1, 0.75)[: 1 if len(shape) == 2 else shape[2]]
    draw_text(canvas, text, (20, 60), 1, color)
    assert np.allclose(canvas.reshape(100 * 300, -1).max(axis=0), color)


def test_missing_characters(caplog: pytest.LogCaptureFixture) -> None:
    """Characters that no font has are drawn as escapes, and one warning names them."""
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert np.array_equal(drawn("é 猫猫", (20, 60), 0.5), drawn(r"\xe9 \u732b\u732b", (20, 60), 0.5))
    (record,) = caplog.records
    assert "characters é猫:" in record.getMessage()


def test_known_characters(caplog: pytest.LogCaptureFixture) -> None:
    """No warning is logged for a text that a font can draw, and it is not drawn as escapes."""
    assert not np.array_equal(drawn("Größe", (20, 60)), drawn(r"Gr\xf6\xdfe", (20, 60)))
    assert caplog.records == []
