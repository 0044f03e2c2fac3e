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
from photos import STORED, exif, letter_f, photograph, saved
from PIL import Image

from cfgtrain.errors import ArgumentError, ArgumentTypeError, ImageDecodeError, MissingLibraryError
from cfgtrain.image import backends
from cfgtrain.image.backends import use_backend
from cfgtrain.image.io import imencode, imfrombytes, imread, imwrite


@pytest.fixture(autouse=True)
def restore_backend() -> Any:
    """Reset the backend to OpenCV after each test."""
    yield
    use_backend("cv2")


def picture(height: int = 30, width: int = 40) -> np.ndarray[Any, Any]:
    """Return a smooth image in which all colours differ, so that JPEG hardly changes it."""
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
def test_write_and_read(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Lossless formats preserve each pixel, and missing folders are created."""
    img = picture() if len(shape) == 3 else picture()[..., 0]
    assert imwrite(img, tmp_path / "a" / "b" / f"x{suffix}", [cv2.IMWRITE_WEBP_QUALITY, 101]) is True
    back = imread(tmp_path / "a" / "b" / f"x{suffix}", "grayscale" if img.ndim == 2 else "color")
    assert np.array_equal(back, img)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [f"x{suffix}"]


def test_jpeg(tmp_path: Path) -> None:
    """A smooth image written as JPEG is read back nearly unchanged."""
    assert imwrite(picture(), str(tmp_path / "x.jpg"))
    back = imread(str(tmp_path / "x.jpg"))
    assert np.abs(back.astype(int) - picture()).mean() < 3


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_flags_and_channel_orders(backend: Any) -> None:
    """Color is BGR or RGB, grayscale has no channel axis, and the result is contiguous."""
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
    """Color and grayscale are turned upright; unchanged and ignore_orientation are not."""
    content = turned(6)
    assert imfrombytes(content, "color", backend=backend).shape == (40, 30, 3)
    assert imfrombytes(content, "grayscale", backend=backend).shape == (40, 30)
    assert imfrombytes(content, "unchanged", backend=backend).shape == (30, 40, 3)
    assert imfrombytes(content, "color_ignore_orientation", backend=backend).shape == (30, 40, 3)
    assert imfrombytes(content, "grayscale_ignore_orientation", backend=backend).shape == (30, 40)
    stored = imfrombytes(content, "color_ignore_orientation", backend=backend)
    assert np.array_equal(imfrombytes(content, "color", backend=backend), np.rot90(stored, -1))


def test_unchanged_keeps_alpha_and_depth() -> None:
    """The flag unchanged returns BGRA and 16 bits."""
    rgba = np.dstack([picture(), np.full((30, 40), 7, np.uint8)])
    assert np.array_equal(imfrombytes(encoded(rgba), "unchanged")[0, 0], rgba[0, 0, [2, 1, 0, 3]])
    deep = (picture()[..., 0].astype(np.uint16)) * 257
    assert np.array_equal(imfrombytes(encoded(deep), "unchanged"), deep)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_sixteen_bit_images(backend: Any) -> None:
    """Color takes the upper 8 of 16 bits instead of clipping at 255."""
    deep = (picture()[..., 0].astype(np.uint16)) * 257
    read = imfrombytes(encoded(deep), "color", backend=backend)
    assert np.array_equal(read[..., 0], picture()[..., 0])


def test_pillow_grayscale_with_alpha() -> None:
    """Transparent pixels of an LA image get MMCV's background colour; the others are unchanged."""
    la = np.dstack([picture()[..., 0], np.full((30, 40), 255, np.uint8)])
    la[20:, 20:, 1] = 0
    content = encoded(Image.fromarray(la))
    read = imfrombytes(content, "color", "rgb", "pillow")
    assert (read[20:, 20:] == (124, 117, 104)).all()
    assert np.array_equal(read[:20, :, 0], la[:20, :, 0])
    assert imfrombytes(content, "unchanged", backend="pillow").shape == (30, 40, 2)


@pytest.mark.parametrize("flag", ["color", "grayscale", "unchanged"])
def test_tifffile_returns_many_channels_as_stored(flag: Any, tmp_path: Path) -> None:
    """An image of five channels is returned as stored with tifffile, but it has no gray values."""
    tifffile = pytest.importorskip("tifffile")
    five = np.arange(30 * 40 * 5, dtype=np.uint16).reshape(30, 40, 5)
    tifffile.imwrite(tmp_path / "five.tif", five)
    if flag == "grayscale":
        with pytest.raises(ArgumentError, match="without colors"):
            imread(tmp_path / "five.tif", flag, backend="tifffile")
    else:
        assert np.array_equal(imread(tmp_path / "five.tif", flag, backend="tifffile"), five)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_tifffile_honours_flags_and_channel_order(dtype: Any, planar: str, tmp_path: Path) -> None:
    """Tifffile returns BGR or RGB, gray values and gray as three channels, in the dtype of the file."""
    tifffile = pytest.importorskip("tifffile")
    rgb = picture().astype(dtype)
    stored = rgb if planar == "contig" else np.moveaxis(rgb, -1, 0)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", planarconfig=planar)

    def read(flag: Any = "color", order: Any = "bgr") -> Any:
        img = imread(tmp_path / "x.tif", flag, order, backend="tifffile")
        assert img.flags.c_contiguous
        assert img.dtype == dtype
        return img

    assert np.array_equal(read(), rgb[..., ::-1])
    assert np.array_equal(read("color_ignore_orientation", "rgb"), rgb)
    assert np.array_equal(read("unchanged"), rgb[..., ::-1])
    assert np.abs(read("grayscale").astype(float) - rgb @ [0.299, 0.587, 0.114]).max() <= 1
    tifffile.imwrite(tmp_path / "x.tif", rgb[..., 0])
    assert np.array_equal(read(), rgb[..., :1].repeat(3, 2))
    assert np.array_equal(read("grayscale"), rgb[..., 0])


@pytest.mark.parametrize("backend", ["cv2", "pillow", "tifffile", "turbojpeg"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations(orientation: int, suffix: str, backend: Any, tmp_path: Path) -> None:
    """Color and grayscale are upright and the other flags as stored, with each format and backend."""
    only = {"tifffile": "tif", "turbojpeg": "jpg"}
    if only.get(backend, suffix) != suffix:
        return
    if backend in only:
        try:
            use_backend(backend)
        except MissingLibraryError as error:
            pytest.skip(str(error))
    upright = letter_f()
    stored = np.ascontiguousarray(STORED[orientation](upright))
    options: dict[str, Any] = (
        {"tiffinfo": {274: orientation}} if suffix == "tif" else {"exif": exif(orientation)}
    )
    options |= {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "jpg" else {}
    path = saved(tmp_path / f"x.{suffix}", stored, **options)
    for flag, expected in (
        ("color", upright), ("grayscale", upright[..., 0]), ("color_ignore_orientation", stored),
        ("grayscale_ignore_orientation", stored[..., 0]), ("unchanged", stored),
    ):  # fmt: skip
        if (flag, backend) == ("unchanged", "turbojpeg"):
            continue
        img = imread(path, flag, backend=backend)  # type: ignore[arg-type]
        assert img.shape == expected.shape
        assert np.abs(img.astype(int) - expected).mean() < 2
        assert img.flags.c_contiguous


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize(("suffix", "orientation"), [("jpg", 1), ("jpg", 6), ("png", 6)])
def test_max_side(suffix: str, orientation: int, backend: Any, tmp_path: Path) -> None:
    """With max_side, an image is as one that was read whole and reduced, and a small one is not enlarged."""
    whole = cv2.resize(cv2.imread(str(photograph("coffee.png"))), (1200, 800))
    stored = np.ascontiguousarray(STORED[orientation](whole))[..., ::-1]
    path = saved(tmp_path / f"x.{suffix}", stored, exif=exif(orientation))
    for longest in (900, 300, 150, 70):
        img = imread(path, backend=backend, max_side=longest)
        assert img.shape == (round(longest * 2 / 3), longest, 3)
        reference = cv2.resize(whole, img.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(img.astype(int) - reference).mean() < 3
    assert imread(path, backend=backend, max_side=5000).shape == whole.shape
    assert imread(path, "grayscale", backend=backend, max_side=1).shape == (1, 1)
    with pytest.raises(ArgumentError, match="max_side must be at least 1, not 0"):
        imread(path, max_side=0)


@pytest.mark.parametrize("suffix", ["pfm", "hdr"])
def test_flags_of_float_formats(suffix: str, tmp_path: Path) -> None:
    """The flag determines the number of channels, also where OpenCV ignores it."""
    imwrite(np.full((4, 5, 3), (0, 0, 0.5), np.float32), tmp_path / f"x.{suffix}")
    assert imread(tmp_path / f"x.{suffix}", "grayscale").shape == (4, 5)
    assert imread(tmp_path / f"x.{suffix}", "color").shape == (4, 5, 3)
    if suffix == "pfm":
        imwrite(np.full((4, 5), 100, np.float32), tmp_path / "gray.pfm")
        assert imread(tmp_path / "gray.pfm").tolist() == np.full((4, 5, 3), 100).tolist()
        assert imread(tmp_path / "gray.pfm", "grayscale").tolist() == np.full((4, 5), 100).tolist()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (bool, 1)])
def test_integers_in_hdr(tmp_path: Path, dtype: Any, top: int) -> None:
    """HDR has 1 for white, so that integers would be read as white; the error says how to convert them."""
    with pytest.raises(ArgumentError, match=rf"white is 1.*Convert it with \(img / {top}\)"):
        imwrite(np.ones((4, 5, 3), dtype), tmp_path / "x.hdr")
    assert not (tmp_path / "x.hdr").exists()


def test_float_tiff_with_a_color_flag(tmp_path: Path) -> None:
    """The error of a kind of TIFF that is only read unchanged says so."""
    imwrite(np.full((4, 5, 3), 0.5, np.float32), tmp_path / "x.tif")
    with pytest.raises(ImageDecodeError, match="needs the flag unchanged with cv2, or the backend tifffile"):
        imread(tmp_path / "x.tif")
    assert (imread(tmp_path / "x.tif", "unchanged") == 0.5).all()


def test_format_that_this_opencv_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known suffix that this build of OpenCV does not write is not called unknown."""
    monkeypatch.setattr(cv2, "haveImageWriter", lambda _: False)
    with pytest.raises(ArgumentError, match=r"^The installed OpenCV cannot write \.exr files\.$"):
        imencode(".EXR", np.zeros((4, 5, 3), np.float32))


def test_content_is_a_buffer() -> None:
    """All buffers of bytes can be decoded; anything else is refused."""
    content = encoded(np.full((4, 5, 3), 77, np.uint8), "PNG")
    for buffer in (bytearray(content), memoryview(content), np.frombuffer(content, np.uint8)):
        for backend in ("cv2", "pillow"):
            assert imfrombytes(buffer, backend=backend).tolist() == imfrombytes(content).tolist()
    for other in (None, "x", [1, 2], 5):
        with pytest.raises(ArgumentTypeError, match="content must be bytes"):
            imfrombytes(other)  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", [True, 2**40, -2])
def test_integer_flags(flag: Any) -> None:
    """An integer that cannot be a flag of OpenCV is refused as such, and not as a damaged file."""
    with pytest.raises(ArgumentError, match="flag must be"):
        imfrombytes(encoded(np.zeros((4, 5, 3), np.uint8), "PNG"), flag)


@pytest.mark.parametrize("dtype", [complex, str, object])
def test_arrays_without_real_numbers(tmp_path: Path, dtype: Any) -> None:
    """Complex numbers, texts and objects are not written."""
    with pytest.raises(ArgumentTypeError, match="img must be an array of real numbers"):
        imwrite(np.zeros((4, 5), np.uint8).astype(dtype), tmp_path / "x.tif")


def test_max_side_decodes_a_jpeg_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG is decoded at an eighth of its size if that is enough."""
    modes = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda content, mode: modes.append(mode) or decode(content, mode))
    content = encoded(np.zeros((800, 1200, 3), np.uint8), "JPEG")
    for longest in (99, 150, 200, 390, 600, 700):
        assert imfrombytes(content, max_side=longest).shape[1] == longest
    assert modes == [cv2.IMREAD_REDUCED_COLOR_8] * 2 + [cv2.IMREAD_REDUCED_COLOR_4] + [
        cv2.IMREAD_REDUCED_COLOR_2
    ] * 2 + [cv2.IMREAD_COLOR]


def test_pillow_refuses_to_change_16_bit_colors() -> None:
    """Pillow cannot read 16-bit colors unchanged, and says so."""
    content = imencode(".png", picture().astype(np.uint16) * 257)
    with pytest.raises(ArgumentError, match="use the backend cv2"):
        imfrombytes(content, "unchanged", backend="pillow")
    assert imfrombytes(content, "unchanged").dtype == np.uint16


def test_turbojpeg() -> None:
    """Color, RGB and grayscale are the same as with OpenCV; other flags raise an error."""
    try:
        use_backend("turbojpeg")
    except MissingLibraryError:
        pytest.skip("PyTurboJPEG or libturbojpeg is not installed")
    content = encoded(picture(), "JPEG")
    for flag, order in (("color", "bgr"), ("color", "rgb"), ("grayscale", "bgr")):
        ours = imfrombytes(content, flag, order)  # type: ignore[arg-type]
        assert np.array_equal(ours, imfrombytes(content, flag, order, "cv2"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unchanged"):
        imfrombytes(content, "unchanged")


def test_use_backend() -> None:
    """use_backend sets the default backend; if it fails, the default is unchanged."""
    content = encoded(np.zeros((4, 4, 2), np.uint8))  # gray with alpha
    use_backend("pillow")
    assert imfrombytes(content, "unchanged").shape == (4, 4, 2)
    with pytest.raises(AssertionError, match=r"not 'pilow'.*Did you mean 'pillow'"):
        use_backend("pilow")  # type: ignore[arg-type]
    assert backends.current_backend() == "pillow"


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend without its library raises an ImportError that says what to install; the default is unchanged."""
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ImportError, match=r"requires tifffile.*cfgtrain\[image\]"):
        use_backend("tifffile")
    assert backends.current_backend() == "cv2"


def test_broken_opencv(tmp_path: Path) -> None:
    """If OpenCV cannot be imported, the error message contains the command that fixes it."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    words = [sys.executable, "-m", "cfgtrain", "image", "flip", "a.png", "-o", "b.png"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr
    assert "pip install --force-reinstall --no-deps opencv-python-headless" in done.stderr
    assert "Traceback" not in done.stderr


def test_arrays_pass_through() -> None:
    """An array is returned itself."""
    img = picture()
    assert imread(img) is img


@pytest.mark.parametrize("backend", ["cv2", "pillow", "tifffile"])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", encoded(NOISE)[:1000]])
def test_invalid_images(backend: Any, content: bytes, tmp_path: Path) -> None:
    """Arbitrary, empty and truncated content raises an ImageDecodeError with the path."""
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.png: "):
        imread(tmp_path / "x.png", backend=backend)
    with pytest.raises(ImageDecodeError):
        imfrombytes(content, backend=backend)


def test_bad_arguments() -> None:
    """An invalid argument raises an error with the value and what would be right."""
    content = encoded(picture())
    with pytest.raises(ValueError, match=r"'colour'.*Did you mean 'color'"):
        imfrombytes(content, "colour")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'bgr' or 'rgb', not 'gbr'"):
        imfrombytes(content, "color", "gbr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"backend must be .* not 'cv3'"):
        imfrombytes(content, backend="cv3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not 1"):
        imread(1)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        imread("not_there.png")


def test_failed_writes_leave_no_file(tmp_path: Path) -> None:
    """An invalid suffix, path or image raises an error, and no file is created."""
    with pytest.raises(cv2.error, match=r"suffix '\.jppg'\. Did you mean '\.jpg'"):
        imwrite(picture(), tmp_path / "x.jppg")
    with pytest.raises(ArgumentError, match="has no suffix"):
        imwrite(picture(), tmp_path / "x")
    with pytest.raises(AssertionError, match="must be a path, not 1"):
        imwrite(picture(), 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"shape \(4, 4, 7\)"):
        imwrite(np.zeros((4, 4, 7), np.uint8), tmp_path / "x.png")
    with pytest.warns(UserWarning, match="auto_mkdir"):
        imwrite(picture(), tmp_path / "x.png", auto_mkdir=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_write_rgb(tmp_path: Path) -> None:
    """channel_order is the channel order of the array that is written."""
    imwrite(picture(), tmp_path / "x.png", channel_order="rgb")
    assert np.array_equal(imread(tmp_path / "x.png", channel_order="rgb"), picture())


def test_images_on_other_backends() -> None:
    """An image is written and read through the backend of the URI prefix, or of file_client_args."""
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


def test_images_in_database() -> None:
    """An image is read by its key, and a missing key raises a FileNotFoundError."""
    with (
        lmdb.open("data.lmdb", map_size=1 << 20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"baboon", imencode(".png", np.zeros((2, 3), np.uint8)))
    args = {"backend": "lmdb", "db_path": "data.lmdb"}
    assert imread("baboon", "grayscale", file_client_args=args).shape == (2, 3)
    with pytest.raises(FileNotFoundError, match="Image mandrill does not exist"):
        imread("mandrill", file_client_args=args)


def test_use_backend_as_a_context_manager() -> None:
    """A with block restores the former backend, also after an error."""
    with pytest.raises(KeyError), use_backend("pillow"):
        assert backends.current_backend() == "pillow"
        raise KeyError
    assert backends.current_backend() == "cv2"


ALL = ("png", "tif", "jpg", "webp", "bmp")
HELD = [
    (np.uint8, ALL),
    (np.uint16, ("png", "tif")),
    (np.float32, ("tif",)),
    (np.float64, ("tif",)),
    (np.int16, ("tif",)),
]


@pytest.mark.parametrize("suffix", ALL)
@pytest.mark.parametrize(("dtype", "holding"), HELD)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nothing_is_written_with_other_values(
    channels: int, dtype: Any, holding: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    """An image is written with its values, or an error says what the format holds."""
    rng = np.random.default_rng(0)
    shape = (16, 24, channels)[: 2 if channels == 1 else 3]
    img = (
        rng.random(shape) * 300 - 20
        if np.dtype(dtype).kind != "u"
        else rng.random(shape) * np.iinfo(dtype).max
    )
    img = img.astype(dtype)
    path = tmp_path / f"x.{suffix}"
    if suffix not in holding or (suffix, channels) == ("jpg", 4):
        with pytest.raises(ArgumentError, match=f".{suffix} holds"):
            imwrite(img, path)
        assert not path.exists()
        return
    imwrite(img, path)
    back = imread(path, "unchanged")
    if suffix == "jpg" or (suffix, channels) in {("webp", 4), ("bmp", 4)}:  # lossy; a reader that drops alpha
        assert back.dtype == dtype
    else:
        assert np.array_equal(back[..., 0] if channels == 1 and back.ndim == 3 else back, img)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64, np.float32, np.uint16])
def test_images_are_converted_where_nothing_is_lost(dtype: Any, tmp_path: Path) -> None:
    """Values that fit are written as 8 or 16 bits, whatever their dtype."""
    for name, top, expected in (("small", 255, np.uint8), ("large", 60000, np.uint16)):
        img = np.linspace(0, top, 600).round().reshape(20, 30).astype(dtype)
        imwrite(img, tmp_path / f"{name}.png")
        back = imread(tmp_path / f"{name}.png", "unchanged")
        assert np.array_equal(back, img)
        assert dtype == np.uint16 or back.dtype == expected


def test_masks_are_written_black_and_white(tmp_path: Path) -> None:
    """A bool array becomes 0 and 255."""
    mask = np.eye(8, dtype=bool)
    imwrite(mask, tmp_path / "mask.png")
    assert np.array_equal(imread(tmp_path / "mask.png", "unchanged"), mask * 255)


UNFIT = [
    (np.full((4, 4), 0.5, np.float32), "x.png", r"\(0.5 to 0.5\). Convert it with \(img \* 255\)"),
    (np.eye(4, dtype=np.float32), "x.png", r"\(img \* 255\)"),
    (np.full((4, 4), 1.5), "x.jpg", r"img.round\(\).clip\(0, 255\)"),
    (np.full((4, 4), 300, np.uint16), "x.jpg", r"Write it as .png or .tif"),
    (np.full((4, 4), -1, np.int64), "x.png", r"values \(-1 to -1\)"),
    (np.full((4, 4), np.nan), "x.png", r"holds uint8 or uint16"),
    (np.zeros((4, 4, 2), np.uint8), "x.png", r"1 or 3 or 4 channels, not of 2"),
    (np.zeros((4, 4, 4), np.uint8), "x.jpg", r"1 or 3 channels, not of 4"),
    (np.zeros((0, 4), np.uint8), "x.jpg", r"no pixels"),
    (np.zeros(4, np.uint8), "x.jpg", r"\(H, W\)"),
    (None, "x.jpg", r"not NoneType"),
    ([[1]], "x.jpg", r"not list"),
]


@pytest.mark.parametrize(("img", "name", "message"), UNFIT)
def test_unfit_images_are_not_written(img: Any, name: str, message: str, tmp_path: Path) -> None:
    """What a format cannot hold is an error that says how to convert it."""
    with pytest.raises(ArgumentError, match=message):
        imwrite(img, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_file_and_the_reason(tmp_path: Path) -> None:
    """The error of a broken file has its name and what is wrong with it."""
    whole = encoded(NOISE)
    for name, content, reason in (
        ("empty.png", b"", "empty"),
        ("page.jpg", b"<!DOCTYPE html>", "begins with b'<!DOCTYPE ht'"),
        ("cut.png", whole[:-2000], "truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageDecodeError, match=rf"{name}: .*{reason}"):
            imread(tmp_path / name)


def test_arrays_from_storage_are_images() -> None:
    """A storage client may return decoded images."""
    assert imread(NOISE) is NOISE
