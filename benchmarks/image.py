"""Compare the image functions with plain NumPy, plain OpenCV and albumentations.

    python benchmarks/image.py             # with NumPy and OpenCV
    make bench-image                       # with albumentations too, in an environment of its own

The image has 1024 x 768 pixels of three channels of uint8. Every function runs alternately with the one that it is compared
with, on one thread, and CPU times are compared. ``NumPy`` is the formula as one plain vectorised expression; the
column shows how many times as long it takes, and the target. ``OpenCV`` and ``albumentations`` show the time of
cfgtrain as a ratio of theirs, which should be at most 1.1 where theirs is above 50 us.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from paired import Comparison, compare

import cfgtrain
from cfgtrain.image.array import Array

try:
    import albucore
    import albumentations.augmentations.geometric.functional as geometric
    import albumentations.augmentations.pixel.functional as pixel
except ImportError:
    albucore = None

WIDTH, HEIGHT = 1024, 768
LEAST_SECONDS = 0.004  # of one measurement
WORTH_COMPARING = 50e-6

Action = Callable[[], Any]


class Case(NamedTuple):
    """A function, and what it is compared with.

    Attributes:
        name: Name of the function.
        ours: The call of the function.
        formula: The formula in NumPy, or None.
        target: How many times as long as ours the formula takes at least.
        opencv: The same operation with plain OpenCV, or None.
        albumentations: The same operation with albumentations, or None.
        tolerance: Greatest difference from the formula; None if the result has another form.
    """

    name: str
    ours: Action
    formula: Action | None = None
    target: float | None = None
    opencv: Action | None = None
    albumentations: Action | None = None
    tolerance: float | None = 1


def photograph() -> Array:
    """Return a smooth image with some noise, whose histogram has the form of a photograph's."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3)).astype(np.float32)
    smooth = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)


def point_cases(img: Array) -> list[Case]:
    """Return the operations on the values of pixels."""
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    lut = (np.arange(256) ** 2 // 255).astype(np.uint8)
    mean32, inverse32 = mean.astype(np.float32), (1 / std).astype(np.float32)

    def gray_mean() -> int:
        return round(float((img @ [0.114, 0.587, 0.299]).round().mean()))

    return [
        Case(
            "imnormalize",
            lambda: cfgtrain.imnormalize(img, mean, std),
            lambda: (img[..., ::-1].astype(np.float32) - mean32) * inverse32,
            opencv=lambda: cv2.multiply(
                cv2.subtract(
                    cv2.cvtColor(img, cv2.COLOR_BGR2RGB).astype(np.float32), (*mean.tolist(), 0.0)
                ),
                (*(1 / std).tolist(), 0.0),
            ),
            albumentations=albucore
            and (lambda: albucore.normalize(cv2.cvtColor(img, cv2.COLOR_BGR2RGB), mean32, inverse32)),
            tolerance=1e-5,
        ),
        Case("iminvert", lambda: cfgtrain.iminvert(img), lambda: 255 - img, opencv=lambda: cv2.bitwise_not(img),
             albumentations=albucore and (lambda: pixel.invert(img)), tolerance=0),
        Case("posterize", lambda: cfgtrain.posterize(img, 4), lambda: (img >> 4) << 4, 8,
             albumentations=albucore and (lambda: pixel.posterize(img, 4)), tolerance=0),
        Case("solarize", lambda: cfgtrain.solarize(img, 100), lambda: np.where(img < 100, img, 255 - img),
             opencv=lambda: cv2.LUT(img, lut), albumentations=albucore and (lambda: pixel.solarize(img, 100 / 255)),
             tolerance=0),
        Case("lut_transform", lambda: cfgtrain.lut_transform(img, lut), lambda: lut[img],
             opencv=lambda: cv2.LUT(img, lut),
             albumentations=albucore and (lambda: albucore.sz_lut(img, lut, inplace=False)), tolerance=0),
        Case("adjust_brightness", lambda: cfgtrain.adjust_brightness(img, 1.3),
             lambda: (img.astype(np.float32) * 1.3).clip(0, 255).astype(np.uint8), opencv=lambda: cv2.LUT(img, lut),
             albumentations=albucore and (lambda: pixel.adjust_brightness_torchvision(img, 1.3))),
        Case("adjust_contrast", lambda: cfgtrain.adjust_contrast(img, 1.3),
             lambda: (img * np.float32(1.3) - np.float32(0.3) * gray_mean()).clip(0, 255).astype(np.uint8), 6,
             albumentations=albucore and (lambda: pixel.adjust_contrast_torchvision(img, 1.3))),
        Case("auto_contrast", lambda: cfgtrain.auto_contrast(img, 2), lambda: contrasted(img, 2), 6,
             albumentations=albucore and (lambda: pixel.auto_contrast(img, 2, None, "cdf")), tolerance=0),
        Case("imequalize", lambda: cfgtrain.imequalize(img), lambda: equalized(img), 8,
             albumentations=albucore and (lambda: pixel.equalize(img)), tolerance=0),
    ]  # fmt: skip


def other_cases(img: Array) -> list[Case]:
    """Return the operations on colors, positions, tensors and flows."""
    rng = np.random.default_rng(0)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    mean32, inverse32 = mean.astype(np.float32), (1 / std).astype(np.float32)
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]]) / 255
    boxes = np.array(
        [[-60, -40, 500, 380], [600, 300, 1100, 800], [-20, 500, 400, 830], [300, -90, 1090, 400]]
    )
    flow = np.stack(
        [cv2.GaussianBlur(rng.normal(0, 300, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 30)] * 2, -1
    )
    flow[..., 1] *= -0.5
    import torch

    torch.set_num_threads(1)
    batch = torch.from_numpy(rng.normal(0, 1, (8, 3, HEIGHT, WIDTH)).astype(np.float32))
    rotation = cv2.getRotationMatrix2D(((WIDTH - 1) / 2, (HEIGHT - 1) / 2), -30, 1)
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    return [
        Case("imnormalize to CHW", lambda: to_chw(img, mean, std),
             lambda: np.ascontiguousarray(((img[..., ::-1].astype(np.float32) - mean32) * inverse32).transpose(2, 0, 1)),
             4, tolerance=1e-5),
        Case("imdenormalize", lambda: cfgtrain.imdenormalize(img.astype(np.float32), mean, std),
             lambda: (img.astype(np.float32) * std.astype(np.float32) + mean32)[..., ::-1], tolerance=0.01),
        Case("bgr2gray", lambda: cfgtrain.bgr2gray(img), lambda: (img @ [0.114, 0.587, 0.299]).round().astype(np.uint8),
             opencv=lambda: cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)),
        Case("bgr2hsv", lambda: cfgtrain.bgr2hsv(img), opencv=lambda: cv2.cvtColor(img, cv2.COLOR_BGR2HSV)),
        Case("rgb2ycbcr", lambda: cfgtrain.rgb2ycbcr(img),
             lambda: (img @ matrix.T + [16, 128, 128]).round().astype(np.uint8), 20),
        Case("adjust_color", lambda: cfgtrain.adjust_color(img, 1.5),
             lambda: (img * np.float32(1.5) - np.float32(0.5) * (img @ np.float32([0.114, 0.587, 0.299])).round()[..., None]).clip(0, 255).astype(np.uint8),
             albumentations=albucore and (lambda: pixel.adjust_saturation_torchvision(img, 1.5))),
        Case("adjust_hue", lambda: cfgtrain.adjust_hue(img, 0.1),
             albumentations=albucore and (lambda: pixel.adjust_hue_torchvision(img, 0.1))),
        Case("adjust_sharpness", lambda: cfgtrain.adjust_sharpness(img, 1.5),
             opencv=lambda: cv2.addWeighted(img, 1.5, cv2.filter2D(img, -1, kernel), -0.5, 0)),
        Case("clahe", lambda: cfgtrain.clahe(img[..., 0], 4.0, (8, 8)),
             opencv=lambda: cv2.createCLAHE(4.0, (8, 8)).apply(np.ascontiguousarray(img[..., 0]))),
        Case("imflip", lambda: cfgtrain.imflip(img), lambda: np.ascontiguousarray(img[:, ::-1]), 15,
             opencv=lambda: cv2.flip(img, 1), albumentations=albucore and (lambda: geometric.hflip(img)), tolerance=0),
        Case("imresize", lambda: cfgtrain.imresize(img, (400, 300)), opencv=lambda: cv2.resize(img, (400, 300)),
             albumentations=albucore and (lambda: geometric.resize(img, (300, 400), cv2.INTER_LINEAR))),
        Case("imrotate", lambda: cfgtrain.imrotate(img, 30), opencv=lambda: cv2.warpAffine(img, rotation, (WIDTH, HEIGHT)),
             albumentations=albucore and (lambda: geometric.warp_affine(
                 img, np.vstack([rotation, [0, 0, 1]]), cv2.INTER_LINEAR, 0, cv2.BORDER_CONSTANT, (HEIGHT, WIDTH)))),
        Case("impad", lambda: cfgtrain.impad(img, padding=20, pad_val=7),
             lambda: np.pad(img, ((20, 20), (20, 20), (0, 0)), constant_values=7),
             opencv=lambda: cv2.copyMakeBorder(img, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=(7, 7, 7)),
             albumentations=albucore and (lambda: geometric.pad_with_params(
                 img, 20, 20, 20, 20, cv2.BORDER_CONSTANT, 7)), tolerance=0),
        Case("imcrop with padding", lambda: cfgtrain.imcrop(img, boxes, pad_fill=[1, 2, 3]),
             lambda: [cropped(img, box, [1, 2, 3]) for box in boxes.tolist()], 15, tolerance=0),
        Case("tensor2imgs of 8", lambda: cfgtrain.tensor2imgs(batch, mean, std),
             lambda: [(each.transpose(1, 2, 0) * std + mean)[..., ::-1].clip(0, 255).astype(np.uint8) for each in batch.numpy()],
             2),
        Case("flow_warp bilinear", lambda: cfgtrain.flow_warp(img, flow, interpolate_mode="bilinear"),
             lambda: warped(img, flow), 10, tolerance=None),
        Case("flow_warp nearest", lambda: cfgtrain.flow_warp(img, flow, interpolate_mode="nearest"),
             lambda: warped_to_nearest(img, flow), 10, tolerance=None),
        Case("flow2rgb", lambda: cfgtrain.flow2rgb(flow), lambda: colored(flow), 4, tolerance=1e-3),
    ]  # fmt: skip


def to_chw(img: Array, mean: Array, std: Array) -> Array:
    """Normalize an image and return it as (C, H, W)."""
    return cfgtrain.imnormalize(img, mean, std, channels_first=True)


def equalized(img: Array) -> Array:
    """Return the formula of ``imequalize``, channel by channel."""
    result = []
    for channel in np.moveaxis(img, -1, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        step = (counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        table = np.concatenate([[0], ((counts.cumsum() + step // 2) // max(step, 1))[:-1]]).clip(0, 255)
        result.append(table.astype(np.uint8)[channel] if step else channel)
    return np.stack(result, -1)


def contrasted(img: Array, cutoff: float) -> Array:
    """Return the formula of ``auto_contrast``, channel by channel."""
    result = []
    for channel in np.moveaxis(img, -1, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        cut = int(channel.size * cutoff // 100)
        low, high = (counts.cumsum() > cut).argmax(), 255 - (counts[::-1].cumsum() > cut).argmax()
        scale = 255 / (high - low)
        table = (np.arange(256) * scale - low * scale).clip(0, 255).astype(np.uint8)
        result.append(table[channel])
    return np.stack(result, -1)


def cropped(img: Array, box: list[int], fill: list[int]) -> Array:
    """Return the formula of ``imcrop`` for one box."""
    x1, y1, x2, y2 = box
    patch = np.full((y2 - y1 + 1, x2 - x1 + 1, 3), fill, img.dtype)
    top, left = max(y1, 0), max(x1, 0)
    inside = img[top : y2 + 1, left : x2 + 1]
    patch[top - y1 :, left - x1 :][: inside.shape[0], : inside.shape[1]] = inside
    return patch


def warped(img: Array, flow: Array) -> Array:
    """Return the formula of ``flow_warp`` with bilinear interpolation."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    valid = (left >= 0) & (left < WIDTH - 1) & (top >= 0) & (top < HEIGHT - 1)
    left, top = left.clip(0, WIDTH - 2), top.clip(0, HEIGHT - 2)
    a, b = (x - left)[..., None], (y - top)[..., None]
    upper = img[top, left] * (1 - a) + img[top, left + 1] * a
    lower = img[top + 1, left] * (1 - a) + img[top + 1, left + 1] * a
    return np.where(valid[..., None], upper * (1 - b) + lower * b, 0).astype(np.uint8)


def warped_to_nearest(img: Array, flow: Array) -> Array:
    """Return the formula of ``flow_warp`` with the nearest pixel."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    column, row = np.rint(x + flow[..., 0]).astype(int), np.rint(y + flow[..., 1]).astype(int)
    valid = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    found = img[row.clip(0, HEIGHT - 1), column.clip(0, WIDTH - 1)]
    return np.where(valid[..., None], found, 0).astype(np.uint8)


def colored(flow: Array) -> Array:
    """Return the formula of ``flow2rgb``."""
    wheel = cfgtrain.make_color_wheel()
    radius = np.sqrt((flow**2).sum(-1))
    flow = flow / radius.max()
    radius = np.sqrt((flow**2).sum(-1))[..., None]
    position = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(position).astype(int)
    part = (position - low)[..., None]
    color = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
    return np.where(radius <= 1, 1 - radius * (1 - color), color * 0.75)


def seconds(action: Action, calls: int) -> Callable[[], float]:
    """Return a function that measures the CPU seconds of one call."""

    def measure() -> float:
        begin = time.process_time()
        for _ in range(calls):
            action()
        return (time.process_time() - begin) / calls

    return measure


def compared(ours: Action, theirs: Action, pairs: int) -> Comparison:
    """Compare the CPU times of two actions, each repeated until it takes long enough."""
    ours(), theirs()
    calls = []
    for action in (ours, theirs):
        once = max(seconds(action, 1)(), 1e-6)
        calls.append(max(1, int(LEAST_SECONDS / once)))
    return compare(seconds(ours, calls[0]), seconds(theirs, calls[1]), pairs)


def check(case: Case) -> None:
    """Raise if a function and its formula have different results."""
    if case.formula is None or case.tolerance is None:
        return
    ours, formula = case.ours(), case.formula()
    for a, b in zip(*((each if isinstance(each, list) else [each]) for each in (ours, formula)), strict=True):
        worst = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
        if worst > case.tolerance:
            raise ValueError(f"{case.name} differs from its formula by {worst}")


def main() -> int:
    """Print the table; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="pairs of measurements [%(default)s]")
    parser.add_argument("--only", default="", help="part of the names of functions")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    img = photograph()
    missed = 0
    print(
        f"{WIDTH} x {HEIGHT} x 3 uint8, one thread, median of {args.pairs} pairs; a * marks a missed target"
    )
    print(f"{'':20}{'us':>7}  {'NumPy takes':28}{'of OpenCV':24}of albumentations")
    for case in point_cases(img) + other_cases(img):
        if args.only not in case.name:
            continue
        check(case)
        cells, own = [], 0.0
        for peer, target in ((case.formula, case.target), (case.opencv, None), (case.albumentations, None)):
            if peer is None:
                cells.append("")
                continue
            is_formula = peer is case.formula
            result = compared(case.ours, peer, args.pairs)
            own = result.a
            if is_formula:
                text = f"{1 / result.ratio:.1f} x ({1 / result.high:.1f} to {1 / result.low:.1f})"
                failed = target is not None and 1 / result.ratio < target
                text += f" / {target:g}" if target else ""
            else:
                text = f"{result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})"
                failed = result.ratio > 1.1 and result.b > WORTH_COMPARING
            missed += failed
            cells.append(text + " *" * failed)
        print(f"{case.name:20}{1e6 * own:7.0f}  {cells[0]:28}{cells[1]:24}{cells[2]}".rstrip(), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
