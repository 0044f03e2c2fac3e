"""Every depth and number of channels in every format: kept, reported as lost, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from photos import letter_f
from PIL import Image

from cfgtrain.image_files.header import Header, Metadata
from cfgtrain.image_files.reader import read_header, read_picture
from cfgtrain.image_files.writer import encode_picture

Run = Callable[..., Any]

CHANNELS = {"gray": 1, "colour": 3, "alpha": 4}
DTYPES = {8: np.uint8, 16: np.uint16, "float": np.float32}
FLOAT_ERROR = "does not support floating-point pixels"
EIGHT, WHITE = "with 8 instead of 16 bits", "with transparency laid on white"

# What happens to the pixels: losses, or an error.
EXPECTED: dict[tuple[str, Any], list[str] | str] = {
    ("png", 8): [], ("png", 16): [], ("png", "float"): FLOAT_ERROR,
    ("tif", 8): [], ("tif", 16): [], ("tif", "float"): [],
    ("webp", 8): [], ("webp", 16): [EIGHT], ("webp", "float"): FLOAT_ERROR,
    ("jpg", 8): [], ("jpg", 16): [EIGHT], ("jpg", "float"): FLOAT_ERROR,
}  # fmt: skip


def picture(channels: int, depth: Any) -> np.ndarray[Any, Any]:
    """An F, BGR or BGRA, with values that need all bits of the depth."""
    img = letter_f(16, channels).astype(np.float64)
    img -= np.arange(img.size).reshape(img.shape) % 250
    return {8: (img / 257).round(), 16: img, "float": img / 50000 - 0.1}[depth].astype(DTYPES[depth])


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize(("suffix", "depth"), EXPECTED)
def test_depths(kind: str, suffix: str, depth: Any, run: Run, tmp_path: Path) -> None:
    """A picture of each kind is written to each format; the result has the depth that was promised."""
    img = picture(CHANNELS[kind], depth)
    content, _ = encode_picture(img, Header(), ".tif")
    (tmp_path / "in.tif").write_bytes(content)
    assert read_header(content).depth == {8: "8", 16: "16", "float": "float32"}[depth]
    ran = run("image", "convert", "in.tif", "-o", f"out.{suffix}")
    expected = EXPECTED[suffix, depth]
    if isinstance(expected, str):
        assert (ran.code, expected in ran.err, Path(f"out.{suffix}").exists()) == (1, True, False)
        return
    losses = [*expected, *([WHITE] if kind == "alpha" and suffix == "jpg" else [])]
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1:] == [f"  1 image {loss}" for loss in losses]
    out = read_picture(Path(f"out.{suffix}").read_bytes()).pixels
    assert out.dtype == (np.uint8 if EIGHT in losses else img.dtype)
    grays = 3 if suffix == "webp" and kind == "gray" else CHANNELS[kind]  # WebP has no gray
    assert (1 if out.ndim == 2 else out.shape[2]) == (3 if WHITE in losses else grays)
    if suffix in ("png", "tif"):
        assert np.array_equal(out, img)
    else:
        eight = img if depth == 8 else ((img.astype(int) + 128) // 257).astype(np.uint8)
        seen = (
            eight if WHITE not in losses else eight[..., :3] * (eight[..., 3:] / 255) + 255 - eight[..., 3:]
        )
        seen = seen[..., None].repeat(3, axis=2) if grays == 3 and seen.ndim == 2 else seen
        assert np.abs(out.astype(float) - seen).mean() < 6


def test_transparent_colours_of_a_tiff_are_kept() -> None:
    """An 8-bit TIFF keeps the colours of transparent pixels."""
    img = np.full((4, 4, 4), (10, 20, 30, 0), np.uint8)
    content, losses = encode_picture(img, Header(), ".tif")
    assert losses == []
    assert np.array_equal(read_picture(content).pixels, img)


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize(("suffix", "depth"), [key for key, expected in EXPECTED.items() if expected == []])
def test_metadata_at_every_depth(kind: str, suffix: str, depth: Any) -> None:
    """A picture of each kind keeps its resolution and profile in PNG, TIFF, and JPEG, and its pixels."""
    space = b"GRAY" if kind == "gray" and suffix != "webp" else b"RGB "
    profile = bytes(16) + space + bytes(200)
    img = picture(CHANNELS[kind], depth)
    content, losses = encode_picture(
        img, Header(metadata=Metadata(icc=profile, dpi=(300, 150))), f".{suffix}"
    )
    plain, _ = encode_picture(img, Header(), f".{suffix}")
    held = read_header(content).metadata
    wrong_space = suffix == "webp" and kind == "gray"
    assert held.icc == (None if wrong_space else profile)
    assert held.dpi == (None if suffix == "webp" else pytest.approx((300, 150), abs=0.1))
    assert np.array_equal(read_picture(content).pixels, read_picture(plain).pixels)
    assert ("without" in " ".join(losses)) == (suffix == "webp")


@pytest.mark.parametrize(
    ("mode", "depth"), [("L", "8"), ("RGB", "8"), ("RGBA", "8"), ("I;16", "16"), ("F", "float32")]
)
def test_depth_in_the_header_of_a_tiff_by_pillow(mode: str, depth: str, tmp_path: Path) -> None:
    """The depth of a TIFF written by Pillow is read from its tags."""
    Image.new(mode, (4, 3)).save(tmp_path / "a.tif")
    header = read_header((tmp_path / "a.tif").read_bytes())
    assert (header.depth, header.size) == (depth, (4, 3))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_depth_in_the_header_of_a_png(channels: int) -> None:
    """A PNG of 16 bits is reported as such, which Pillow does not do for colours."""
    shape = (3, 4) if channels == 1 else (3, 4, channels)
    header = read_header(cv2.imencode(".png", np.zeros(shape, np.uint16))[1].tobytes())
    assert (header.depth, header.channels) == ("16", channels)
