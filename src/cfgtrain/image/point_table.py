"""Point operations: their formulas, and the tables that apply several of them to an image at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import cv2
import numpy as np

from cfgtrain.arguments import check_integer, check_number, check_numbers
from cfgtrain.image.array import Array, check_image, count_channels

__all__: list[str] = []  # what the package exports

POINT_DTYPES = ("uint8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64")

_LUT_DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")
_MAX_CHANNELS = 4  # of OpenCV's functions in this file
_EXACT_COUNT = 1 << 24  # calcHist counts in float32, which is exact up to here
_PIXELS_AT_ONCE = 1 << 16  # whose planes stay in the cache of a CPU core

# If stringzilla is installed, bytes are looked up by vector instructions, several times as fast as by OpenCV.
try:
    from stringzilla import translate as _translate
except ImportError:
    _translate = None
FAST_TABLES = _translate is not None  # faster than a few operations of OpenCV or NumPy

Formula = Callable[[Array], Array]


def apply_table(img: Array, table: Array) -> Array:
    """Replace each value of an image by its entry in a table.

    Args:
        img: Array of uint8 or uint16 with any shape and strides.
        table: (L,) for all values, or (L, C) with one table for each entry of the last axis of ``img``. L is 256
            for uint8 and 65,536 for uint16.

    Returns:
        Contiguous array with the shape of ``img`` and the dtype of ``table``.
    """
    shared = table.ndim == 1 or table.shape[1] == 1
    if img.dtype != np.uint8 or table.dtype.name not in _LUT_DTYPES or not img.size:
        if shared:
            return np.take(table.ravel(), img)
        return np.ascontiguousarray(table[img, np.arange(table.shape[1])])
    img = np.ascontiguousarray(img)
    if shared:
        return _look_up(img, table.reshape(256))
    channels = table.shape[1]
    result = np.empty(img.shape, table.dtype)
    if channels > _MAX_CHANNELS:
        for channel in range(channels):
            result[..., channel] = _look_up(np.ascontiguousarray(img[..., channel]), table[:, channel])
        return result
    pixels, target = img.reshape(1, -1, channels), result.reshape(1, -1, channels)
    if table.dtype != np.uint8:
        cv2.LUT(pixels, np.ascontiguousarray(table).reshape(1, 256, channels), target)
        return result
    tables = np.ascontiguousarray(table.T)
    for start in range(0, pixels.shape[1], _PIXELS_AT_ONCE):  # planes are faster for bytes
        part = slice(start, start + _PIXELS_AT_ONCE)
        planes = [_look_up(*pair) for pair in zip(cv2.split(pixels[:, part]), tables, strict=True)]
        cv2.merge(planes, target[:, part])
    return result


def _look_up(img: Array, table: Array) -> Array:
    """Return the entries of a table, (256,), for a contiguous array of uint8."""
    if _translate is not None and table.dtype == np.uint8:
        result = img.copy()
        _translate(result.reshape(-1).data, np.ascontiguousarray(table).data, inplace=True)
        return result
    return cv2.LUT(img.reshape(1, -1), np.ascontiguousarray(table).reshape(1, 256)).reshape(img.shape)


class PointTable:
    """A point operation on integer images: the result for each value.

    Args:
        values: (L, C), or (L, 1) if all channels have the same, where L is 256 for uint8 and 65,536 for uint16. The
            dtype is that of the image.
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    def then(self, following: PointTable) -> PointTable:
        """Return the operation that first performs this one, and then ``following``."""
        return PointTable(following.values[self.values, np.arange(following.values.shape[1])])

    def apply(self, img: Array, planes: Sequence[Array] = ()) -> Array:
        """Return the image after the operation, a copy.

        Args:
            img: The image, of uint8 or uint16.
            planes: Its channels, if it has been split already, which takes a part of the time.
        """
        if not planes:
            return apply_table(img, self.values)
        tables = np.broadcast_to(self.values, (len(self.values), len(planes))).T
        return cv2.merge([_look_up(*pair) for pair in zip(planes, tables, strict=True)])

    def histogram(self, counts: Array) -> Array:
        """Return the histogram, (L, C), of an image after the operation, if ``counts`` is the one before it."""
        tables = np.broadcast_to(self.values, counts.shape)
        columns = [
            np.bincount(tables[:, channel], counts[:, channel], len(counts))
            for channel in range(counts.shape[1])
        ]
        return np.stack(columns, axis=1).astype(np.int64)


class PointChain:
    """Point operations that are applied to an image together.

    For uint8 and uint16, the operations are composed into one table, through which the pixels are read once, by
    ``result``. The outcome is the same as that of the operations one after the other. An operation that depends on
    the image, such as ``equalize``, sees it as it is after the previous operations: its histogram is the one of the
    original image, with the count of each value moved to the entry of that value in the table. Only the mean gray
    of a color image, in ``contrast``, cannot be computed from histograms, since it is rounded for each pixel, so the
    previous operations are applied first.

    For the other dtypes, each operation is applied at once.

    Args:
        img: (H, W) or (H, W, C). Values are in [0, 65535] for uint16 and in [0, 255] for any other dtype, float
            ones included. It is not changed.

    Raises:
        ArgumentError: ``img`` is not an image.
        ArgumentTypeError: It is not an array, or has another dtype.
    """

    def __init__(self, img: Array) -> None:
        self._img = check_image(img, POINT_DTYPES)
        self._top = 65535 if img.dtype == np.uint16 else 255
        self._table: PointTable | None = None
        self._planes: Sequence[Array] = ()  # the channels of the image, if its histograms were needed

    def invert(self) -> Self:
        """Replace each value v by top - v, where top is 255, or 65,535 for uint16."""
        return self._add(lambda values: self._top - values)

    def posterize(self, bits: int) -> Self:
        """Keep the highest ``bits`` bits of 8 (16 for uint16), and set the others to 0.

        Raises:
            ArgumentError: ``bits`` is out of range.
        """
        depth = 16 if self._top > 255 else 8
        step = 1 << (depth - check_integer("bits", bits, 0, depth))
        return self._add(lambda values: np.floor(values / step) * step)

    def solarize(self, thr: float) -> Self:
        """Invert the values that are at least ``thr``, which is in the units of the image."""
        threshold = check_number("thr", thr)
        return self._add(lambda values: np.where(values < threshold, values, self._top - values))

    def brightness(self, factor: float) -> Self:
        """Blend the image with black: 0 is black, 1 the image, 2 twice as bright."""
        return self._blend(check_number("factor", factor, finite=True), 0)

    def contrast(self, factor: float) -> Self:
        """Blend the image with its mean gray, rounded half to even: 0 is that gray, 1 the image."""
        return self._blend(check_number("factor", factor, finite=True), float(np.rint(self._mean_gray())))

    def auto_contrast(self, cutoff: float | tuple[float, float]) -> Self:
        """Stretch each channel linearly to the whole range, without the darkest and brightest ``cutoff`` percent.

        Raises:
            ArgumentError: ``cutoff`` is not one or two percentages.
        """
        if isinstance(cutoff, tuple | list | np.ndarray):
            low, high = check_numbers("cutoff", cutoff, 2, "(low, high)", minimum=0, maximum=100)
        else:
            low = high = check_number("cutoff", cutoff, 0, 100)
        counts = self._histogram()
        total = int(counts[:, 0].sum())
        first = _exceeded(counts, int(total * low // 100))
        last = self._levels - 1 - _exceeded(counts[::-1], int(total * high // 100))
        stretched = first < last
        scale = np.where(stretched, self._top / np.where(stretched, last - first, 1), 1.0)
        offset = np.where(stretched, -first * scale, 0.0)
        return self._add(lambda values: np.clip(values * scale + offset, 0, self._top))

    def equalize(self) -> Self:
        """Equalize the histogram of each channel, as ``PIL.ImageOps.equalize`` does."""
        counts = self._histogram()
        channels = np.arange(counts.shape[1])
        highest = self._levels - 1 - _exceeded(counts[::-1], 0)
        step = (counts.sum(axis=0) - counts[highest, channels]) // self._top
        below = np.cumsum(counts, axis=0) - counts
        equalized = np.minimum((below + step // 2) // np.maximum(step, 1), self._top)
        table = np.where(step > 0, equalized, np.arange(self._levels)[:, None])
        return self._add(lambda values: table[self._level_of(values), channels])

    def result(self) -> Array:
        """Return the image after the operations: a copy with the same shape and dtype."""
        if self._table is None:
            return np.array(self._img, order="C")
        return self._table.apply(self._img, self._planes)

    @property
    def _levels(self) -> int:
        return self._top + 1

    @property
    def _is_unsigned(self) -> bool:
        return self._img.dtype in (np.uint8, np.uint16)

    def _level_of(self, values: Array) -> Array:
        """Return values as levels: limited to the range, without their fractional parts, and with 0 for NaN."""
        levels: Array = np.clip(np.nan_to_num(values, nan=0), 0, self._top).astype(np.uint16)
        return levels

    def _add(self, formula: Formula) -> Self:
        """Perform an operation; its formula is called with float32 or float64 values."""
        kind = self._img.dtype
        if not self._is_unsigned:
            precision = np.float64 if kind.name in ("int32", "int64", "float64") else np.float32
            self._img = formula(self._img.astype(precision)).astype(kind, order="C")
            return self
        values = np.arange(self._levels, dtype=np.float32)[:, None]
        table = PointTable(formula(values).astype(kind))
        self._table = table if self._table is None else self._table.then(table)
        return self

    def _blend(self, factor: float, gray: float) -> Self:
        def formula(values: Array) -> Array:
            blended = cv2.addWeighted(values, factor, np.full_like(values, gray), 1 - factor, 0)
            return np.clip(blended.reshape(values.shape), 0, self._top)

        return self._add(formula)

    def _histogram(self) -> Array:
        """Return the number of pixels for each level and channel after the operations so far, (L, C)."""
        if self._img.dtype == np.uint8 and 1 < count_channels(self._img) <= _MAX_CHANNELS:
            self._planes = self._planes or cv2.split(self._img)
            counts = np.concatenate([count_levels(plane, self._top) for plane in self._planes], axis=1)
        else:
            counts = count_levels(self._img if self._is_unsigned else self._level_of(self._img), self._top)
        return counts if self._table is None else self._table.histogram(counts)

    def _mean_gray(self) -> float:
        """Return the mean of the gray image: of all values unless there are three or four channels."""
        if count_channels(self._img) in (3, 4):
            if self._table is not None:
                self._img, self._table, self._planes = self.result(), None, ()
            img = self._img if self._is_unsigned else self._img.astype(np.float32)
            return cv2.mean(cv2.cvtColor(img[..., :3], cv2.COLOR_BGR2GRAY))[0]
        if not self._is_unsigned:
            return float(np.mean(self._img, dtype=np.float64))
        counts = self._histogram().sum(axis=1)
        return float(np.arange(self._levels) @ counts) / float(counts.sum())


def count_levels(img: Array, top: int) -> Array:
    """Return the number of pixels with each value from 0 to ``top``, for each channel, (top + 1, C)."""
    channels = count_channels(img)
    pixels = np.ascontiguousarray(img).reshape(1, -1, channels)
    if channels > _MAX_CHANNELS:
        flat = pixels[0].T
        return np.stack([np.bincount(values, minlength=top + 1) for values in flat], axis=1)
    counts = np.zeros((top + 1, channels), np.int64)
    for start in range(0, pixels.shape[1], _EXACT_COUNT):
        part = pixels[:, start : start + _EXACT_COUNT]
        for channel in range(channels):
            found = cv2.calcHist([part], [channel], None, [top + 1], [0, top + 1])
            counts[:, channel] += found.ravel().astype(np.int64)
    return counts


def _exceeded(counts: Array, limit: int) -> Array:
    """Return, for each channel, the first index at which the sum of the counts so far exceeds ``limit``.

    It is the number of levels if the sum of all counts does not.
    """
    index: Array = np.sum(np.cumsum(counts, axis=0) <= limit, axis=0)
    return index
