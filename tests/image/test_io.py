from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest
from PIL import Image

from cfgtrain.errors import ArgumentError, ImageDecodeError, MissingLibraryError
from cfgtrain.image import backends
from cfgtrain.image.backends import use_backend
from cfgtrain.image.io import imencode, imfrombytes, imread, imwrite


@pytest.fixture(autouse=True)
def first_backend() -> Any:
    """Each test begins and ends with OpenCV."""
    yield
    use_backend("cv2")


def picture(height: int = 30, width: int = 40) -> np.ndarray[Any, Any]:
    """Soft colours, all different, so that JPEG hardly changes them."""
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * x, 5 * y, 255 - 3 * x - 2 * y], axis=-1).clip(0, 255).astype(np.uint8)


NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def encoded(img: Any, format: str = "PNG", **options: Any) -> bytes:  # noqa: A002
    file = BytesIO()
    (img if hasattr(img, "save") else Image.fromarray(img)).save(file, format, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(picture(), exif=exif)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_what_is_written_is_read(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Lossless formats give back each pixel, and the folder is made."""
    img = picture() if len(shape) == 3 else picture()[..., 0]
    assert imwrite(img, tmp_path / "a" / "b" / f"x{suffix}", [cv2.IMWRITE_WEBP_QUALITY, 101]) is True
    back = imread(tmp_path / "a" / "b" / f"x{suffix}", "grayscale" if img.ndim == 2 else "color")
    assert np.array_equal(back, img)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [f"x{suffix}"]


def test_jpeg_changes_little(tmp_path: Path) -> None:
    """A JPEG of soft colours comes back nearly as it was."""
    assert imwrite(picture(), str(tmp_path / "x.jpg"))
    back = imread(str(tmp_path / "x.jpg"))
    assert np.abs(back.astype(int) - picture()).mean() < 3


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_flags_and_orders(backend: Any) -> None:
    """Color is BGR or RGB, grayscale has no channel axis, and all is contiguous."""
    rgb = picture()
    content = encoded(rgb)
    assert np.array_equal(imfrombytes(content, "color", "rgb", backend), rgb)
    assert np.array_equal(imfrombytes(content, "color", backend=backend), rgb[..., ::-1])
    assert np.array_equal(imfrombytes(content, "unchanged", backend=backend), rgb[..., ::-1])
    assert np.array_equal(imfrombytes(content, "color_ignore_orientation", "RGB", backend), rgb)  # type: ignore[arg-type]
    assert imfrombytes(content, "grayscale", backend=backend).shape == (30, 40)
    assert imfrombytes(content, backend=backend).flags.c_contiguous


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_orientation(backend: Any) -> None:
    """Color and grayscale are put upright; unchanged and ignore_orientation are left as stored."""
    content = turned(6)
    assert imfrombytes(content, "color", backend=backend).shape == (40, 30, 3)
    assert imfrombytes(content, "grayscale", backend=backend).shape == (40, 30)
    assert imfrombytes(content, "unchanged", backend=backend).shape == (30, 40, 3)
    assert imfrombytes(content, "color_ignore_orientation", backend=backend).shape == (30, 40, 3)
    assert imfrombytes(content, "grayscale_ignore_orientation", backend=backend).shape == (30, 40)
    stored = imfrombytes(content, "color_ignore_orientation", backend=backend)
    assert np.array_equal(imfrombytes(content, "color", backend=backend), np.rot90(stored, -1))


def test_alpha_and_depth_are_kept_unchanged() -> None:
    """Unchanged gives BGRA and 16 bits."""
    rgba = np.dstack([picture(), np.full((30, 40), 7, np.uint8)])
    assert np.array_equal(imfrombytes(encoded(rgba), "unchanged")[0, 0], rgba[0, 0, [2, 1, 0, 3]])
    deep = (picture()[..., 0].astype(np.uint16)) * 257
    assert np.array_equal(imfrombytes(encoded(deep), "unchanged"), deep)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_sixteen_bits_become_eight(backend: Any) -> None:
    """Color takes the upper 8 of 16 bits, rather than cutting off at 255."""
    deep = (picture()[..., 0].astype(np.uint16)) * 257
    read = imfrombytes(encoded(deep), "color", backend=backend)
    assert np.array_equal(read[..., 0], picture()[..., 0])


def test_pillow_reads_gray_with_alpha_on_a_canvas() -> None:
    """Where LA is transparent, Pillow's color shows one gray-brown; the rest is the image."""
    la = np.dstack([picture()[..., 0], np.full((30, 40), 255, np.uint8)])
    la[20:, 20:, 1] = 0
    content = encoded(Image.fromarray(la))
    read = imfrombytes(content, "color", "rgb", "pillow")
    assert (read[20:, 20:] == (124, 117, 104)).all()
    assert np.array_equal(read[:20, :, 0], la[:20, :, 0])
    assert imfrombytes(content, "unchanged", backend="pillow").shape == (30, 40, 2)


def test_tifffile_keeps_what_is_there(tmp_path: Path) -> None:
    """The tifffile backend gives dtype and channels as they are."""
    tifffile = pytest.importorskip("tifffile")
    five = np.arange(30 * 40 * 5, dtype=np.uint16).reshape(30, 40, 5)
    tifffile.imwrite(tmp_path / "five.tif", five)
    assert np.array_equal(imread(tmp_path / "five.tif", backend="tifffile"), five)


def test_turbojpeg_decodes_as_opencv_does() -> None:
    """Color, RGB and grayscale are those of OpenCV; other flags are refused."""
    try:
        use_backend("turbojpeg")
    except MissingLibraryError:
        pytest.skip("PyTurboJPEG and libturbojpeg are not here")
    content = encoded(picture(), "JPEG")
    for flag, order in (("color", "bgr"), ("color", "rgb"), ("grayscale", "bgr")):
        ours = imfrombytes(content, flag, order)  # type: ignore[arg-type]
        assert np.array_equal(ours, imfrombytes(content, flag, order, "cv2"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unchanged"):
        imfrombytes(content, "unchanged")


def test_the_backend_is_chosen_for_all_that_follows() -> None:
    """use_backend holds until the next one, and one that fails changes nothing."""
    content = encoded(np.zeros((4, 4, 2), np.uint8))  # gray with alpha
    use_backend("pillow")
    assert imfrombytes(content, "unchanged").shape == (4, 4, 2)
    with pytest.raises(AssertionError, match=r"no image backend 'pilow'.*Did you mean 'pillow'"):
        use_backend("pilow")  # type: ignore[arg-type]
    assert backends.current_backend() == "pillow"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend without its library is an ImportError with what to install; the backend stays."""
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImportError, match=r"needs tifffile.*cfgtrain\[image\]"):
        use_backend("tifffile")
    assert backends.current_backend() == "cv2"


def test_a_broken_opencv_is_told_with_what_helps(tmp_path: Path) -> None:
    """Where OpenCV does not load, the command ends with the command that helps."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    words = [sys.executable, "-m", "cfgtrain", "image", "flip", "a.png", "-o", "b.png"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr
    assert "pip install --force-reinstall --no-deps opencv-python-headless" in done.stderr
    assert "Traceback" not in done.stderr


def test_arrays_pass_through() -> None:
    """An array is handed back, the same object."""
    img = picture()
    assert imread(img) is img


@pytest.mark.parametrize("backend", ["cv2", "pillow", "tifffile"])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", encoded(NOISE)[:1000]])
def test_bytes_that_are_no_image(backend: Any, content: bytes, tmp_path: Path) -> None:
    """Junk, nothing and half an image are an ImageDecodeError that names the file."""
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.png: "):
        imread(tmp_path / "x.png", backend=backend)
    with pytest.raises(ImageDecodeError):
        imfrombytes(content, backend=backend)


def test_bad_arguments() -> None:
    """What is wrong with an argument is said, with what would be right."""
    content = encoded(picture())
    with pytest.raises(ValueError, match=r"'colour'.*Did you mean 'color'"):
        imfrombytes(content, "colour")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'bgr' or 'rgb', not 'gbr'"):
        imfrombytes(content, "color", "gbr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no image backend 'cv3'"):
        imfrombytes(content, backend="cv3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not 1"):
        imread(1)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        imread("not_there.png")


def test_bad_writes_leave_nothing(tmp_path: Path) -> None:
    """A wrong suffix, path or image is told, and no file is begun."""
    with pytest.raises(cv2.error, match=r"suffix '\.jppg'.*Did you mean '\.jpg'"):
        imwrite(picture(), tmp_path / "x.jppg")
    with pytest.raises(ArgumentError, match="here is none"):
        imwrite(picture(), tmp_path / "x")
    with pytest.raises(AssertionError, match="not to 1"):
        imwrite(picture(), 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"shape \(4, 4, 7\)"):
        imwrite(np.zeros((4, 4, 7), np.uint8), tmp_path / "x.png")
    with pytest.warns(UserWarning, match="auto_mkdir"):
        imwrite(picture(), tmp_path / "x.png", auto_mkdir=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_rgb_can_be_written(tmp_path: Path) -> None:
    """channel_order says what is given."""
    imwrite(picture(), tmp_path / "x.png", channel_order="rgb")
    assert np.array_equal(imread(tmp_path / "x.png", channel_order="rgb"), picture())


def test_images_anywhere() -> None:
    """An image is written to and read from what the prefix of its path, or the arguments, stand for."""
    img = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for path, args in (
        ("memory://images/new/a.png", None),
        ("images/new/a.png", {"backend": "fsspec", "protocol": "memory"}),
        ("images/new/a.png", {"backend": "disk"}),
    ):
        imwrite(img, path, file_client_args=args)
        assert np.array_equal(imread(path, file_client_args=args), img)
    assert np.array_equal(imread("memory://images/new/a.png"), imread(Path("images/new/a.png")))
    with pytest.raises(FileNotFoundError):
        imread("memory://images/b.png")


def test_images_of_a_database() -> None:
    """An image is read by key, and a key that is not there is a file that is not found."""
    with (
        lmdb.open("data.lmdb", map_size=1 << 20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"baboon", imencode(".png", np.zeros((2, 3), np.uint8)))
    args = {"backend": "lmdb", "db_path": "data.lmdb"}
    assert imread("baboon", "grayscale", file_client_args=args).shape == (2, 3)
    with pytest.raises(FileNotFoundError, match="no image mandrill"):
        imread("mandrill", file_client_args=args)
