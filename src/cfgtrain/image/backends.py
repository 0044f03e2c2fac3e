"""The libraries that decode images, each with one function (content, flag, rgb, reduction) -> array."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from types import TracebackType
from typing import Any, Literal, get_args

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.errors import ArgumentError, CfgTrainError, ImageDecodeError, MissingLibraryError
from cfgtrain.image.array import Array, opencv_reason
from cfgtrain.image.flip import turn_upright
from cfgtrain.suggestions import suggest

__all__ = ["supported_backends", "use_backend"]

Backend = Literal["cv2", "turbojpeg", "pillow", "tifffile"]
Flag = Literal["color", "grayscale", "unchanged", "color_ignore_orientation", "grayscale_ignore_orientation"]
Size = tuple[int, int]

supported_backends: list[str] = list(get_args(Backend))

_CV2_FLAGS = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR,
    "grayscale_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_GRAYSCALE,
}
_MAX_CV2_FLAG = 2**31 - 1
_CV2_REDUCTIONS = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_INVERSE = {6: 8, 8: 6}  # the orientations that do not undo themselves
# RGB background for an image with gray and alpha that is converted to three channels, as in MMCV.
_CANVAS = (124, 117, 104)
_ROOM = 1.5  # a reduced image is this much larger than the target, since two filters with similar scales blur

_current: list[str] = ["cv2"]


class _Restore:
    """Restores the former backend at the end of a ``with`` block."""

    def __init__(self, former: str) -> None:
        self._former = former

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current[0] = self._former


def use_backend(backend: Backend) -> _Restore:
    """Set the default library for decoding images, for all threads.

    ``with use_backend("pillow"):`` sets it for the block only.

    Args:
        backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``.

    Raises:
        ArgumentError: The backend is unknown.
        MissingLibraryError: Its library is not installed or cannot be loaded. The default is not changed then.
    """
    check_choice("backend", backend, supported_backends)
    if backend == "turbojpeg":
        _turbojpeg()
    elif backend == "tifffile":
        _tifffile()
    restore = _Restore(_current[0])
    _current[0] = backend
    return restore


def current_backend() -> str:
    """Return the default backend set by ``use_backend``, initially ``cv2``."""
    return _current[0]


def choose_reduction(full: Size, wanted: Size) -> int:
    """Return by how much a JPEG can be reduced while it is decoded: 8, 4, 2 or 1.

    Args:
        full: Size (w, h) of the whole image in pixels.
        wanted: Size (w, h) to which it will be resized. The reduced image has exactly this size, or is at least
            1.5 times as large.
    """
    for reduction in (8, 4, 2):
        reduced = tuple(-(-edge // reduction) for edge in full)
        if reduced == wanted or all(a >= _ROOM * b for a, b in zip(reduced, wanted, strict=True)):
            return reduction
    return 1


def read_size(content: bytes) -> Size | None:
    """Return the size (w, h) of an image as stored, from its header, or None if Pillow does not know it."""
    with contextlib.suppress(*_PILLOW_ERRORS), Image.open(BytesIO(content)) as img:
        return img.size
    return None


def _orientation(content: bytes) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 if it has none."""
    with contextlib.suppress(*_PILLOW_ERRORS), Image.open(BytesIO(content)) as img:
        value = img.getexif().get(_ORIENTATION, 1)
        return value if value in range(1, 9) else 1
    return 1


def _turn_back(img: Array, content: bytes) -> Array:
    """Turn an image that a decoder turned upright back to how it is stored."""
    orientation = _orientation(content)
    return turn_upright(img, _INVERSE.get(orientation, orientation))


# What Pillow raises for damaged files.
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, ArithmeticError, AttributeError,
    RuntimeError, MemoryError, Image.DecompressionBombError,
)  # fmt: skip


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise _missing("tifffile", "tifffile", error) from error
    return tifffile


@cache
def _turbojpeg() -> Any:
    try:
        import turbojpeg

        return turbojpeg, turbojpeg.TurboJPEG()
    except (ImportError, RuntimeError, OSError) as error:  # the last two if the system has no libturbojpeg
        raise _missing("PyTurboJPEG and the system's libturbojpeg", "turbojpeg", error) from error


def _missing(library: str, backend: str, error: Exception) -> MissingLibraryError:
    return MissingLibraryError(
        f"The image backend {backend!r} requires {library} ({error}): pip install 'cfgtrain[image]'."
    )


def _unreadable(backend: str, reason: object = "") -> ImageDecodeError:
    text = str(reason).strip().rstrip(".")
    return ImageDecodeError(f"{backend} cannot decode it as an image" + (f": {text}." if text else "."))


def _check_flag(flag: str, known: Sequence[str], backend: str) -> None:
    if flag not in known:
        raise ArgumentError(
            f"With {backend}, flag must be one of {', '.join(known)}, not {flag!r}.{suggest(str(flag), known)}",
            argument="flag",
        )


def _decode_cv2(content: bytes, flag: Flag | int, rgb: bool, reduction: int) -> Array:
    if isinstance(flag, int):
        return _imdecode(content, check_integer("flag", flag, -1, _MAX_CV2_FLAG))
    _check_flag(flag, tuple(_CV2_FLAGS), "cv2")
    mode = _CV2_FLAGS[flag] | _CV2_REDUCTIONS[reduction]
    upright = flag in ("color", "grayscale")
    if content.startswith(_TIFF):  # which OpenCV always turns upright
        img = _imdecode(content, mode)
        img = img if upright else _turn_back(img, content)
    elif upright and _is_webp_or_avif(content):  # which OpenCV 4 does not turn
        img = turn_upright(_imdecode(content, mode | cv2.IMREAD_IGNORE_ORIENTATION), _orientation(content))
    else:
        img = _imdecode(content, mode)
    gray, is_gray = flag.startswith("grayscale"), img.ndim == 2
    if flag != "unchanged" and gray != is_gray:  # OpenCV ignores the flag for PFM, and OpenCV 4 also for HDR
        img = _gray(img, rgb=False) if gray else cv2.cvtColor(img, cv2.COLOR_GRAY2BGR)
    if rgb and flag in ("color", "color_ignore_orientation"):
        img = cv2.cvtColor(img, cv2.COLOR_BGR2RGB, img)
    return img


def _imdecode(content: bytes, mode: int) -> Array:
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error as error:
        raise _unreadable("OpenCV", opencv_reason(error)) from error
    if img is None:
        raise _unreadable("OpenCV", _pillow_reason(content))
    return img


def _pillow_reason(content: bytes) -> str:
    """Return why an image that OpenCV refused, which gives no reasons, cannot be decoded."""
    try:
        with Image.open(BytesIO(content)) as img:
            kind = img.format
            img.load()
    except UnidentifiedImageError:
        if content.startswith(_TIFF):
            return "this kind of TIFF needs the flag unchanged with cv2, or the backend tifffile"
        known = next((name for begin, name in _SIGNATURES.items() if content.startswith(begin)), None)
        if known is not None:
            return f"it begins like a {known} file, and is damaged or incomplete after that"
        return f"it begins with {content[:12]!r}, which is not the beginning of a known image format"
    except _PILLOW_ERRORS as error:
        return str(error)
    return f"this OpenCV does not read this kind of {kind}; try the backend pillow"


def _is_webp_or_avif(content: bytes) -> bool:
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return webp or content[4:12] in (b"ftypavif", b"ftypavis")


def _decode_pillow(content: bytes, flag: Flag, rgb: bool, reduction: int) -> Array:
    _check_flag(flag, get_args(Flag), "pillow")
    upright = flag in ("color", "grayscale")
    try:
        with Image.open(BytesIO(content)) as img:
            if flag == "unchanged":
                _check_depth(img)
            if reduction > 1:
                width, height = img.size
                img.draft(None, (-(-width // reduction), -(-height // reduction)))
            img.load()
            if 0 in img.size:
                raise _unreadable("Pillow", "it has no pixels")
            array = _pillow_pixels(ImageOps.exif_transpose(img) if upright else img, flag, rgb)
            is_tiff = img.format == "TIFF"  # which Pillow turns upright when it is loaded
    except UnidentifiedImageError as error:
        raise _unreadable("Pillow", _pillow_reason(content)) from error
    except _PILLOW_ERRORS as error:
        if isinstance(error, CfgTrainError):
            raise
        raise _unreadable("Pillow", error) from error
    return _turn_back(array, content) if is_tiff and not upright else array


def _pillow_pixels(img: Image.Image, flag: Flag, rgb: bool) -> Array:
    if flag == "unchanged":
        array = np.array(img)
        return _bgr(array) if img.mode.startswith("RGB") else array
    colour = _to_rgb(img)
    if flag.startswith("grayscale"):
        return np.array(colour.convert("L"))
    array = np.array(colour)
    return array if rgb else _bgr(array)


def _check_depth(img: Any) -> None:
    """Raise if Pillow, which has no mode for 16-bit colors, would reduce them to 8 bits."""
    if img.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in img.tile):
        raise ArgumentError(
            "Pillow reads this 16-bit image as 8 bits, which is not unchanged: use the backend cv2.",
            argument="flag",
        )


def _to_rgb(img: Any) -> Any:
    if img.mode == "LA":
        canvas = Image.new("RGB", img.size, _CANVAS)
        canvas.paste(img.convert("RGB"), mask=img.getchannel("A"))
        return canvas
    if img.mode.startswith("I"):  # Pillow would clip 16-bit values at 255
        return Image.fromarray((np.array(img) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return img.convert("RGB")


def _bgr(array: Array) -> Array:
    """Return a contiguous copy of an image (H, W, 3 or 4) with red and blue swapped."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    return cv2.cvtColor(array, codes[array.shape[2]])


def _decode_turbojpeg(content: bytes, flag: Flag, rgb: bool, reduction: int) -> Array:
    _check_flag(flag, [each for each in get_args(Flag) if each != "unchanged"], "turbojpeg")
    library, decoder = _turbojpeg()
    gray = flag.startswith("grayscale")
    layout = library.TJPF_GRAY if gray else library.TJPF_RGB if rgb else library.TJPF_BGR
    try:
        img: Array = decoder.decode(content, layout, scaling_factor=(1, reduction))
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable("turbojpeg", error) from error
    img = img[..., 0] if gray and img.ndim == 3 else img
    return img if flag.endswith("ignore_orientation") else turn_upright(img, _orientation(content))


def _decode_tifffile(content: bytes, flag: Flag, rgb: bool, reduction: int) -> Array:
    _check_flag(flag, get_args(Flag), "tifffile")
    library = _tifffile()
    try:
        with library.TiffFile(BytesIO(content)) as file:
            series = file.series[0]
            img, axes = series.asarray(), series.axes
            tag = file.pages[0].tags.get(_ORIENTATION)
            colours = file.pages[0].photometric.name == "RGB"
    except Exception as error:  # tifffile raises whatever its decoders raise
        raise _unreadable("tifffile", error) from error
    if img is None or not img.size:
        raise _unreadable("tifffile", "it has no pixels")
    img = np.ascontiguousarray(img)
    if axes == "SYX":  # stored channel by channel
        img, axes = np.ascontiguousarray(np.moveaxis(img, 0, -1)), "YXS"
    if axes not in ("YX", "YXS") or not (axes == "YX" or colours):
        if flag.startswith("grayscale"):
            raise ArgumentError(
                f"An image of shape {img.shape} without colors cannot be converted to grayscale.",
                argument="flag",
            )
        return img  # for example a stack of images, or one with many spectral channels
    if flag != "unchanged" and img.ndim == 3:
        img = img[..., :3]
    if img.ndim == 3:
        swapped = rgb and flag != "unchanged"
        img = img if swapped else np.ascontiguousarray(img[..., [2, 1, 0, 3][: img.shape[2]]])
    if flag.startswith("grayscale") and img.ndim == 3:
        img = _gray(img, rgb)
    if flag.startswith("color") and img.ndim == 2:
        img = img[..., None].repeat(3, axis=2)
    orientation = tag.value if tag is not None and tag.value in range(1, 9) else 1
    turn = flag in ("color", "grayscale")
    return np.ascontiguousarray(turn_upright(img, orientation) if turn else img)


def _gray(img: Array, rgb: bool) -> Array:
    """Return the gray values of an image (H, W, 3) of any dtype, in the same dtype."""
    if img.dtype.name in ("uint8", "uint16", "float32"):
        return cv2.cvtColor(img, cv2.COLOR_RGB2GRAY if rgb else cv2.COLOR_BGR2GRAY)
    weights = np.array([0.299, 0.587, 0.114] if rgb else [0.114, 0.587, 0.299])
    gray: Array = img @ weights
    return (gray if img.dtype.kind == "f" else gray.round()).astype(img.dtype)


DECODERS: dict[str, Callable[[bytes, Any, bool, int], Array]] = {
    "cv2": _decode_cv2,
    "turbojpeg": _decode_turbojpeg,
    "pillow": _decode_pillow,
    "tifffile": _decode_tifffile,
}
