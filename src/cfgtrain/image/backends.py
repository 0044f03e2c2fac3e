"""The libraries that decode images, each with one function (content, flag, rgb) -> array."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, Literal, get_args

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError, ImageDecodeError, MissingLibraryError
from cfgtrain.image.array import Array
from cfgtrain.suggestions import suggest

__all__ = ["supported_backends", "use_backend"]

Backend = Literal["cv2", "turbojpeg", "pillow", "tifffile"]
Flag = Literal["color", "grayscale", "unchanged", "color_ignore_orientation", "grayscale_ignore_orientation"]

supported_backends: list[str] = list(get_args(Backend))

_CV2_FLAGS = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR,
    "grayscale_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_GRAYSCALE,
}
# RGB background for an image with alpha that is converted to three channels, as in MMCV.
_CANVAS = (124, 117, 104)

_current: list[str] = ["cv2"]


def use_backend(backend: Backend) -> None:
    """Set the default library for decoding images, for all threads.

    Args:
        backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``.

    Raises:
        ArgumentError: The backend is unknown.
        MissingLibraryError: Its library is not installed or cannot be loaded. The default is not changed then.
    """
    check_backend(backend)
    if backend == "turbojpeg":
        _turbojpeg()
    elif backend == "tifffile":
        _tifffile()
    _current[0] = backend


def current_backend() -> str:
    """Return the default backend set by ``use_backend``, initially ``cv2``."""
    return _current[0]


def check_backend(backend: str) -> str:
    """Return ``backend`` if it is the name of a backend.

    Raises:
        ArgumentError: The backend is unknown.
    """
    if backend not in supported_backends:
        known = ", ".join(supported_backends)
        raise ArgumentError(
            f"Unknown image backend {backend!r}. Known backends: {known}."
            f"{suggest(str(backend), supported_backends)}"
        )
    return backend


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
    return ImageDecodeError(f"{backend} cannot decode it as an image" + (f": {reason}." if reason else "."))


def _check_flag(flag: str, known: tuple[str, ...], backend: str) -> None:
    if flag not in known:
        raise ArgumentError(
            f"With {backend}, flag must be one of {', '.join(known)}, not {flag!r}.{suggest(flag, known)}"
        )


def _decode_cv2(content: bytes | memoryview, flag: Flag | int, rgb: bool) -> Array:
    if not isinstance(flag, int):
        _check_flag(flag, tuple(_CV2_FLAGS), "cv2")
    mode = flag if isinstance(flag, int) else _CV2_FLAGS[flag]
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error as error:
        raise _unreadable("OpenCV", getattr(error, "err", error)) from error
    if img is None:
        raise _unreadable("OpenCV")
    if rgb and flag in ("color", "color_ignore_orientation"):
        img = cv2.cvtColor(img, cv2.COLOR_BGR2RGB, img)
    return img


def _decode_pillow(content: bytes | memoryview, flag: Flag, rgb: bool) -> Array:
    _check_flag(flag, get_args(Flag), "pillow")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as img:
            img.load()
            if flag == "unchanged":
                return _bgr(np.array(img))
            upright = img if flag.endswith("ignore_orientation") else ImageOps.exif_transpose(img)
            colour = _to_rgb(upright)
            if flag.startswith("grayscale"):
                return np.array(colour.convert("L"))
            array = np.array(colour)
            return array if rgb else _bgr(array)
    except UnidentifiedImageError as error:
        raise _unreadable("Pillow") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable("Pillow", error) from error


def _to_rgb(img: Any) -> Any:
    from PIL import Image

    if img.mode == "LA":
        canvas = Image.new("RGB", img.size, _CANVAS)
        canvas.paste(img.convert("RGB"), mask=img.getchannel("A"))
        return canvas
    if img.mode.startswith("I"):  # Pillow would clip 16-bit values at 255
        return Image.fromarray((np.array(img) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return img.convert("RGB")


def _bgr(array: Array) -> Array:
    """Return a copy of an image with red and blue swapped; an image without colour is returned itself."""
    if array.ndim < 3 or array.shape[2] < 3:
        return array
    return np.concatenate([array[..., 2::-1], array[..., 3:]], axis=2)


def _decode_turbojpeg(content: bytes | memoryview, flag: Flag, rgb: bool) -> Array:
    _check_flag(flag, ("color", "grayscale"), "turbojpeg")
    library, decoder = _turbojpeg()
    layout = library.TJPF_GRAY if flag == "grayscale" else library.TJPF_RGB if rgb else library.TJPF_BGR
    try:
        img: Array = decoder.decode(content, layout)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable("turbojpeg", error) from error
    return img[..., 0] if flag == "grayscale" and img.ndim == 3 else img


def _decode_tifffile(content: bytes | memoryview, flag: Flag, rgb: bool) -> Array:
    library = _tifffile()
    try:
        return np.asarray(library.imread(BytesIO(content)))
    except (library.TiffFileError, OSError, ValueError) as error:
        raise _unreadable("tifffile", error) from error


DECODERS: dict[str, Callable[[bytes | memoryview, Any, bool], Array]] = {
    "cv2": _decode_cv2,
    "turbojpeg": _decode_turbojpeg,
    "pillow": _decode_pillow,
    "tifffile": _decode_tifffile,
}
