"""What ``cfgtrain image`` keeps: orientation, format, depth, alpha and metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from photos import STORED, exif, letter_f, photograph, saved
from PIL import Image, ImageCms, features

Run = Callable[..., Any]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def raw(path: Path) -> np.ndarray[Any, Any]:
    """Return the pixels as they are stored."""
    img = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert img is not None
    return img


KINDS = [
    ("jpg", 8, 3), ("jpg", 8, 1), ("png", 8, 1), ("png", 8, 3), ("png", 8, 4), ("png", 16, 1), ("webp", 8, 3),
    ("webp", 8, 4), ("tif", 8, 3), ("tif", 8, 4), ("tif", 16, 1),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "depth", "channels"), KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_rotated_upright(
    orientation: int, suffix: str, depth: int, channels: int, run: Run, tmp_path: Path
) -> None:
    """All eight orientations give the same upright image, at any depth and with alpha."""
    img = letter_f(depth, channels)
    options: dict[str, Any] = {"exif": exif(orientation)}
    if suffix == "tif":
        options = {"tiffinfo": {274: orientation}}
    if suffix == "webp":
        options["lossless"] = True
    if suffix == "jpg":
        options["quality"] = 95
    saved(tmp_path / f"in.{suffix}", STORED[orientation](img), **options)
    ran = run("image", "resize", f"in.{suffix}", "-o", f"out.{suffix}", "--scale", "1")
    assert ran.code == 0, ran.err
    assert "60x80 -> 60x80" in ran.out
    out = raw(tmp_path / f"out.{suffix}")
    upright = img if channels == 1 else img[..., [2, 1, 0, 3][:channels]]
    assert (out.shape, out.dtype) == (upright.shape, upright.dtype)
    if suffix == "tif" and channels == 4:
        with Image.open(tmp_path / "out.tif") as written:  # OpenCV would multiply colours by alpha
            out = np.array(written)
        upright = img
    assert np.abs(out.astype(int) - upright).max() <= {"jpg": 30, "tif": 1}.get(suffix, 0)
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert written.getexif().get(274, 1) == 1


@pytest.mark.skipif(
    not (cv2.haveImageWriter("x.avif") and features.check("avif")), reason="OpenCV or Pillow without AVIF"
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_rotated_upright(orientation: int, run: Run, tmp_path: Path) -> None:
    """An AVIF is rotated by the orientation of its container, not of its EXIF data."""
    saved(tmp_path / "in.avif", STORED[orientation](letter_f()), exif=exif(orientation), quality=95)
    ran = run("image", "resize", "in.avif", "-o", "out.png", "--scale", "1")
    assert (ran.code, "1 image without EXIF" in ran.out) == (0, True), ran.err
    assert np.abs(raw(tmp_path / "out.png").astype(int) - letter_f()).mean() < 4


def test_a_rotated_image_is_decoded_small_and_flipped_upright(run: Run, tmp_path: Path) -> None:
    """A JPEG decoded at a reduced size is rotated too, and a flip applies to the upright image."""
    img = np.kron(letter_f(), np.ones((8, 8, 1), np.uint8))
    saved(tmp_path / "in.jpg", STORED[6](img), exif=exif(6), quality=95)
    assert run("image", "resize", "in.jpg", "-o", "small.png", "--long-edge", "80").code == 0
    assert np.abs(raw(tmp_path / "small.png").astype(int) - letter_f()).mean() < 3
    assert run("image", "flip", "in.jpg", "-o", "flip.png", "--direction", "horizontal").code == 0
    assert np.abs(raw(tmp_path / "flip.png").astype(int) - img[:, ::-1]).mean() < 3


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_reduced_decoding_matches_full_decoding(reduction: int, run: Run, tmp_path: Path) -> None:
    """A JPEG decoded at a reduced size looks like one decoded at full size."""
    whole = cv2.imread(str(photograph("retina.jpg")))
    edge = int(1411 / reduction / 1.6)
    assert run("image", "resize", photograph("retina.jpg"), "-o", "small.png", "--long-edge", edge).code == 0
    expected = cv2.resize(whole, (edge, edge), interpolation=cv2.INTER_AREA)
    assert np.abs(raw(tmp_path / "small.png").astype(int) - expected).mean() < 2


@pytest.mark.parametrize(("name", "dtype", "channels"), [("chessboard_RGB.png", np.uint16, 3), ("logo.png", np.uint8, 4), ("page.png", np.uint8, 1)])  # fmt: skip
def test_depth_and_channels_are_kept(name: str, dtype: Any, channels: int, run: Run, tmp_path: Path) -> None:
    """16 bits, alpha and gray are kept."""
    assert run("image", "resize", photograph(name), "-o", "out.png", "--scale", "0.5").code == 0
    out = raw(tmp_path / "out.png")
    assert out.dtype == dtype
    assert (1 if out.ndim == 2 else out.shape[2]) == channels


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_pixels_do_not_bleed(depth: int, run: Run, tmp_path: Path) -> None:
    """The colour of transparent pixels does not affect their neighbours."""
    top = 2**depth - 1
    img = np.zeros((8, 8, 4), np.uint8 if depth == 8 else np.uint16)
    img[:, :3] = (0, 0, top, top)  # opaque red
    img[:, 3:] = (0, top, 0, 0)  # transparent green
    cv2.imwrite(str(tmp_path / "in.png"), img)
    for way in ("area", "bilinear", "bicubic", "lanczos"):
        words = ["--scale", "0.5", "--interpolation", way, "--overwrite"]
        assert run("image", "resize", "in.png", "-o", "out.png", *words).code == 0
        out = raw(tmp_path / "out.png")
        seen = out[..., 3] > top // 8
        assert seen.any()
        assert (out[seen][:, 1] == 0).all()
        assert (out[seen][:, 2] >= top - 1).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_metadata_is_kept(suffix: str, run: Run, tmp_path: Path) -> None:
    """EXIF, ICC profile and resolution are kept, and EXIF has the new size and no thumbnail."""
    options = {"exif": exif(6), "icc_profile": SRGB} | ({} if suffix == "webp" else {"dpi": (300, 300)})
    saved(tmp_path / f"in.{suffix}", STORED[6](letter_f()), **options)
    ran = run("image", "resize", f"in.{suffix}", "-o", f"out.{suffix}", "--scale", "0.5")
    assert (ran.code, ran.out.count("\n")) == (0, 1), ran.out
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert out.size == (30, 40)
        assert out.info["icc_profile"] == SRGB
        assert out.getexif()[0x0112] == 1
        assert out.getexif()[0x010F] == "Maker of cameras"
        details = out.getexif().get_ifd(0x8769)
        assert (details[0xA002], details[0xA003], details[0x9003]) == (30, 40, "2024:02:29 12:00:00")
        if suffix != "webp":
            assert out.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert np.array(out).shape == (40, 30, 3)


def test_tiff_keeps_profile_and_resolution(run: Run, tmp_path: Path) -> None:
    """A TIFF keeps its ICC profile, resolution and description, and losses are reported."""
    options = {"icc_profile": SRGB, "dpi": (240, 240), "tiffinfo": {270: "A letter", 700: b"<xmp/>"}}
    saved(tmp_path / "in.tif", letter_f(), **options)
    ran = run("image", "resize", "in.tif", "-o", "out.tif", "--scale", "0.5")
    assert "1 image without XMP" in ran.out
    with Image.open(tmp_path / "out.tif") as out:
        assert (out.size, out.info["icc_profile"], out.info["dpi"]) == ((30, 40), SRGB, (240, 240))
        assert out.tag_v2[270] == "A letter"
        assert np.array(out)[4, 4].tolist() == [220, 220, 220]


def test_a_photograph_keeps_all_metadata(run: Run, tmp_path: Path) -> None:
    """A real photograph keeps its EXIF, ICC and XMP data."""
    ran = run("image", "resize", photograph("hubble_deep_field.jpg"), "-o", "out.jpg", "--scale", "0.5")
    assert "without" not in ran.out
    with Image.open(photograph("hubble_deep_field.jpg")) as before, Image.open(tmp_path / "out.jpg") as after:
        assert after.info["icc_profile"] == before.info["icc_profile"]
        assert after.info["xmp"] == before.info["xmp"]
        assert set(after.getexif()) == set(before.getexif())


LOSSES = [
    ("png", {"exif": exif(1), "icc_profile": SRGB}, letter_f(), "bmp", "without EXIF, ICC profile"),
    ("png", {}, letter_f(channels=4), "jpg", "with transparency laid on white"),
    ("png", {}, letter_f(depth=16, channels=1), "jpg", "with 8 instead of 16 bits"),
    ("jpg", {"comment": b"hello"}, letter_f(), "png", "without comment"),
    ("jpg", {"exif": b"Exif\0\0broken"}, letter_f(), "jpg", "without damaged EXIF"),
    (
        "jpg",
        {"icc_profile": SRGB[:16] + b"CMYK" + SRGB[20:]},
        letter_f(),
        "jpg",
        "without ICC profile for CMYK",
    ),
]


@pytest.mark.parametrize(("before", "options", "img", "after", "loss"), LOSSES)
def test_losses_are_reported(
    before: str, options: Any, img: Any, after: str, loss: str, run: Run, tmp_path: Path
) -> None:
    """What an output format cannot store is lost, and reported."""
    saved(tmp_path / f"in.{before}", img, **options)
    ran = run("image", "resize", f"in.{before}", "-o", f"out.{after}", "--scale", "1")
    assert ran.code == 0, ran.err
    assert f"1 image {loss}" in ran.out


def test_transparency_on_white_and_16_bits_as_8(run: Run, tmp_path: Path) -> None:
    """A JPEG has transparent pixels in white, and 16 bits scaled to 8."""
    invisible = np.zeros((16, 16, 4), np.uint8)
    saved(tmp_path / "a.png", invisible)
    assert run("image", "flip", "a.png", "-o", "a.jpg").code == 0
    assert (raw(tmp_path / "a.jpg") == 255).all()
    saved(tmp_path / "b.png", np.full((16, 16), 128 * 257, np.uint16))
    assert run("image", "flip", "b.png", "-o", "b.jpg").code == 0
    assert (raw(tmp_path / "b.jpg") == 128).all()


def test_quality(run: Run, tmp_path: Path) -> None:
    """A lower quality gives a smaller file; a lossless WebP stays lossless by default."""
    saved(tmp_path / "in.jpg", Image.open(photograph("rocket.jpg")), quality=95)
    sizes = []
    for quality in ("30", "80", "95"):
        assert run("image", "flip", "in.jpg", "-o", f"{quality}.jpg", "--quality", quality).code == 0
        sizes.append((tmp_path / f"{quality}.jpg").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[2]
    saved(tmp_path / "in.webp", letter_f(), lossless=True)
    assert run("image", "flip", "in.webp", "-o", "exact.webp").code == 0
    assert np.array_equal(raw(tmp_path / "exact.webp"), letter_f()[:, ::-1])


def test_cmyk_is_converted(run: Run, tmp_path: Path) -> None:
    """A JPEG in CMYK is converted to the same colours."""
    red = Image.new("RGB", (32, 32), (200, 30, 30)).convert("CMYK")
    saved(tmp_path / "in.jpg", red, quality=95)
    assert run("image", "resize", "in.jpg", "-o", "out.png", "--scale", "0.5").code == 0
    assert np.abs(raw(tmp_path / "out.png").astype(int) - (30, 30, 200)).max() < 12


def test_a_palette_is_converted(run: Run, tmp_path: Path) -> None:
    """A PNG with a palette is resized in full colour."""
    saved(tmp_path / "in.png", Image.fromarray(letter_f()).convert("P"))
    assert run("image", "resize", "in.png", "-o", "out.png", "--scale", "2").code == 0
    assert raw(tmp_path / "out.png").shape == (160, 120, 3)
