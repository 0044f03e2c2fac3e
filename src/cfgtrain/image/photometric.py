"""Change colors, sharpness, hue, lighting and contrast of images."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from cfgtrain.arguments import check_number, check_numbers, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import (
    MAX_CHANNELS,
    Array,
    by_channel_groups,
    check_image,
    count_channels,
    restore_axis,
)
from cfgtrain.image.pillow_enhance import enhance, photometric_backend, with_pillow
from cfgtrain.image.point_table import POINT_DTYPES

__all__ = ["adjust_color", "adjust_hue", "adjust_lighting", "adjust_sharpness", "clahe"]

_DTYPES = ("uint8", "uint16", "float32", "float64")
_SHARPNESS_KERNEL = np.array([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
_TRUNCATE = -0.5 + 1e-4  # makes OpenCV truncate instead of round; 1e-4 is above the error of float32


def adjust_color(
    img: Array,
    alpha: float = 1,
    beta: float | None = None,
    gamma: float = 0,
    backend: Literal["cv2", "pillow"] | None = None,
) -> Array:
    """Change the saturation of an image by blending it with its gray image: ``img * alpha + gray * beta + gamma``.

    Args:
        img: BGR image (H, W, 3), BGRA image (H, W, 4), whose alpha channel is kept, or gray image (H, W) or (H, W, 1):
            uint8, uint16, or float with values in [0, 255]. Pillow only supports uint8.
        alpha: Weight of the image: 0 gives the gray image, 1 the original one.
        beta: Weight of the gray image; ``1 - alpha`` by default.
        gamma: Number to add to each value.
        backend: ``cv2`` or ``pillow``, which only uses ``alpha``. By default it is the one set by ``use_backend`` if
            it is one of these, and otherwise ``cv2``.

    Returns:
        The image, a copy with the same dtype, with values limited to the range and rounded for integers.

    Raises:
        ArgumentError: The backend is unknown, or the image is not one of those above.
    """
    chosen = photometric_backend(backend)
    alpha = check_number("alpha", alpha, finite=True)
    gamma = check_number("gamma", gamma, finite=True)
    if chosen == "pillow":
        if beta is not None or gamma != 0:
            warnings.warn("With pillow, adjust_color only uses alpha, not beta and gamma.", stacklevel=2)
        return enhance(img, "Color", alpha)
    beta = 1 - alpha if beta is None else check_number("beta", beta, finite=True)
    check_image(img, _DTYPES, channels=(1, 3, 4))
    if count_channels(img) == 4:
        colored = adjust_color(img[..., :3], alpha, beta, gamma, "cv2")
        return np.concatenate([colored, img[..., 3:]], axis=2)
    img = np.ascontiguousarray(img)
    gray = img
    if count_channels(img) == 3:
        single = img if img.dtype != np.float64 else img.astype(np.float32)
        gray = cv2.cvtColor(cv2.cvtColor(single, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(
            img.dtype, copy=False
        )
    blended = restore_axis(cv2.addWeighted(img, alpha, gray, beta, gamma), img)
    return np.clip(blended, 0, 255, out=blended) if img.dtype.kind == "f" else blended


def adjust_sharpness(img: Array, factor: float = 1.0, kernel: Array | None = None) -> Array:
    """Change the sharpness of an image by blending it with a smoothed one.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or float with values in [0, 255].
        factor: 0 gives the smoothed image, 1 the original one, 2 a sharper one.
        kernel: (h, w) array, by which the image is smoothed. The default is the one of ``PIL.ImageEnhance.Sharpness``,
            [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13. Unlike in Pillow, pixels at the edges are changed too.

    Returns:
        The image, a copy with the same dtype, with values limited to the range and truncated for integers.

    Raises:
        ArgumentError: The kernel is not a 2-D array of numbers, or the image is not one of those above.
    """
    img = np.ascontiguousarray(check_image(img, _DTYPES))
    factor = check_number("factor", factor, finite=True)
    if kernel is None:
        kernel = _SHARPNESS_KERNEL
    elif not _is_numeric_array(kernel):
        raise ArgumentTypeError(f"kernel must be an array of numbers, not {kernel!r}.", argument="kernel")
    elif kernel.ndim != 2 or not kernel.size:
        raise ArgumentError(
            f"kernel must be an array (h, w), not of shape {kernel.shape}.", argument="kernel"
        )
    weights = kernel.astype(np.float64)
    return by_channel_groups(img, (), lambda part, _: _sharpen(part, factor, weights), MAX_CHANNELS)


def adjust_hue(img: Array, hue_factor: float, backend: Literal["cv2", "pillow"] | None = None) -> Array:
    """Shift the hue of an image.

    Args:
        img: BGR image (H, W, 3), BGRA image (H, W, 4), whose alpha channel is kept, or gray image (H, W) or (H, W, 1),
            which has no hue and is returned as a copy: uint8, uint16, or with values in [0, 255]. Pillow only supports
            uint8.
        hue_factor: Shift in turns of the color circle, from -0.5 to 0.5. Both ends give the complementary hue. For
            uint8, the hue is shifted in steps of 1/256, and even 0 may change values by 1.
        backend: ``cv2`` or ``pillow``. By default it is the one set by ``use_backend`` if it is one of these, and
            otherwise ``cv2``.

    Returns:
        The image, a copy with the same dtype.

    Raises:
        ArgumentError: The backend is unknown, ``hue_factor`` is out of range, or the image is not one of those above.
        ArgumentTypeError: ``img`` is not an array.
    """
    chosen = photometric_backend(backend)
    hue_factor = check_number("hue_factor", hue_factor, -0.5, 0.5)
    check_image(img, ("uint8",) if chosen == "pillow" else POINT_DTYPES, channels=(1, 3, 4))
    shift = int(hue_factor * 255) % 256
    channels = count_channels(img)
    if channels == 1:
        return np.array(img, order="C")
    if channels == 4:
        return np.concatenate([adjust_hue(img[..., :3], hue_factor, backend), img[..., 3:]], axis=2)
    if chosen == "pillow":
        return with_pillow(img, lambda picture: _shift_pillow(picture, shift))
    if img.dtype == np.uint8:
        hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
        hue = cv2.extractChannel(hsv, 0)
        hue += np.uint8(shift)  # wraps around, as hues do
        return cv2.cvtColor(cv2.insertChannel(hue, hsv, 0), cv2.COLOR_HSV2BGR_FULL)
    top = np.float32(65535 if img.dtype == np.uint16 else 255)
    hsv = cv2.cvtColor(img.astype(np.float32) / top, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(hue_factor * 360)) % 360
    shifted = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR) * top
    if img.dtype.kind != "f":
        shifted = np.clip(np.rint(shifted), 0, top)
    return shifted.astype(img.dtype, copy=False)


def adjust_lighting(
    img: Array,
    eigval: Array,
    eigvec: Array,
    alphastd: float = 0.1,
    to_rgb: bool = True,
    *,
    rng: np.random.Generator | np.random.RandomState | None = None,
) -> Array:
    """Add random noise along the principal components of the colors to an image.

    From "ImageNet Classification with Deep Convolutional Neural Networks" (AlexNet).

    Args:
        img: (H, W, 3) array of real numbers of any dtype.
        eigval: (n,) array of the eigenvalues of the covariance matrix of the colors.
        eigvec: (3, n) array of its eigenvectors, with the rows in the order of the channels of the result.
        alphastd: Standard deviation of the normal distribution of the weights of the components.
        to_rgb: Whether to convert the image from BGR to RGB before. The result remains RGB.
        rng: Random generator, from which ``n`` numbers are drawn; by default NumPy's global one.

    Returns:
        Float32 array (H, W, 3), RGB if ``to_rgb``, not limited to a range. MMCV returns float64.

    Raises:
        ArgumentTypeError: An argument is not an array of real numbers, or ``rng`` is not a generator.
        ArgumentError: The shapes do not match, or the image does not have three channels.
    """
    check_image(img, ndims=(3,), channels=(3,), real=True)
    given: dict[str, object] = {"eigval": eigval, "eigvec": eigvec}
    for name, value in given.items():
        if not _is_numeric_array(value):
            raise ArgumentTypeError(f"{name} must be an array of numbers, not {value!r}.", argument=name)
    if eigval.ndim != 1 or eigvec.shape != (3, len(eigval)):
        raise ArgumentError(
            f"eigval and eigvec must have the shapes (n,) and (3, n), not {eigval.shape} and {eigvec.shape}.",
            argument=("eigval", "eigvec"),
        )
    alphastd = check_number("alphastd", alphastd, minimum=0, finite=True)
    check_type(
        "rng",
        rng,
        np.random.Generator | np.random.RandomState | None,
        "a numpy.random.Generator or RandomState",
    )
    normal = np.random.normal if rng is None else rng.normal
    alpha = normal(0, alphastd, len(eigval))
    noise = (eigvec * alpha * eigval).sum(axis=1).tolist()
    colors = img if img.dtype.name in ("uint8", "uint16", "float32") else img.astype(np.float32)
    if to_rgb:
        colors = cv2.cvtColor(colors, cv2.COLOR_BGR2RGB)
    pixels = np.ascontiguousarray(colors).reshape(1, -1, 3)
    if pixels.shape[1] <= 4:  # OpenCV takes an array of four pixels or less for a number
        return (pixels + np.array(noise, np.float32)).reshape(img.shape)
    return cv2.add(pixels, np.array([noise]), dtype=cv2.CV_32F).reshape(img.shape)


def clahe(img: Array, clip_limit: float = 40.0, tile_grid_size: tuple[int, int] = (8, 8)) -> Array:
    """Equalize a gray image with CLAHE (contrast-limited adaptive histogram equalization).

    Args:
        img: (H, W) or (H, W, 1) array of uint8 or uint16. Other dtypes are limited to [0, 255] and truncated to uint8.
        clip_limit: Limit of the contrast.
        tile_grid_size: Number of tiles in a row and in a column, a tuple of two positive integers.

    Returns:
        The equalized image, a copy of uint8, or of uint16 if ``img`` is.

    Raises:
        ArgumentError: The image has several channels, or another argument is invalid.
    """
    check_image(img, POINT_DTYPES, channels=(1,))
    limit = check_number("clip_limit", clip_limit, finite=True)
    grid: object = tile_grid_size
    if not isinstance(grid, tuple):
        raise ArgumentTypeError(
            f"tile_grid_size must be a tuple of two integers, not {grid!r}.", argument="tile_grid_size"
        )
    columns, rows = check_numbers("tile_grid_size", grid, 2, "(columns, rows)", integers=True, minimum=1)
    if img.dtype not in (np.uint8, np.uint16):
        img = np.clip(img, 0, 255).astype(np.uint8)
    gray = np.ascontiguousarray(img.reshape(img.shape[:2]))
    return restore_axis(cv2.createCLAHE(limit, (int(columns), int(rows))).apply(gray), img)


def _sharpen(img: Array, factor: float, kernel: Array) -> Array:
    smoothed = restore_axis(cv2.filter2D(img, -1, kernel), img)
    if img.dtype == np.uint8:
        return cv2.addWeighted(img, factor, smoothed, 1 - factor, _TRUNCATE)
    blended = cv2.addWeighted(img, factor, smoothed, 1 - factor, 0, dtype=cv2.CV_64F).reshape(img.shape)
    return np.clip(blended, 0, 65535 if img.dtype == np.uint16 else 255).astype(img.dtype)


def _is_numeric_array(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "uif"


def _shift_pillow(picture: Any, shift: int) -> Any:
    hue, saturation, value = picture.convert("HSV").split()
    shifted = Image.fromarray(np.asarray(hue) + np.uint8(shift))
    return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")
