"""Transforms: the steps of a pipeline, from one dict of results to the next.

A transform is a callable ``results -> results``; ``None`` drops the sample, and the data set has to return another. The keys are
MMCV's: ``img`` an (H, W) or (H, W, C) array, channels BGR, and ``gt_label`` an int.
Random ones draw from the global generators, which a loader sets for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.resize import Interpolation, imresize
from cfgtrain.registries import PIPELINES

__all__ = ["Collect", "Compose", "ImageToTensor", "Normalize", "RandomCrop", "Resize", "ToTensor"]

Results = dict[str, Any]


@PIPELINES.register_module()
class Compose:
    """Transforms one after the other.

    Args:
        transforms: Configs or callables.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        if not isinstance(transforms, (list, tuple)):
            raise ArgumentTypeError(f"A pipeline is a list of transforms, not {transforms!r}.")
        self.transforms: list[Callable[[Results], Results | None]] = [
            PIPELINES.build(step) if isinstance(step, dict) else step for step in transforms
        ]

    def __call__(self, results: Results) -> Results | None:
        """Return the transformed results, or None as soon as one transform returns it."""
        current: Results | None = results
        for transform in self.transforms:
            if current is None:
                return None
            current = transform(current)
        return current

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


@PIPELINES.register_module()
class Resize:
    """Resize ``img`` to a fixed size.

    Args:
        scale: Target (w, h) in pixels.
        interpolation: One of nearest, bilinear, bicubic, area, lanczos.
    """

    def __init__(self, scale: Sequence[int], interpolation: Interpolation = "bilinear") -> None:
        self.scale = (int(scale[0]), int(scale[1]))
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img``."""
        results["img"] = imresize(results["img"], self.scale, interpolation=self.interpolation)
        return results


@PIPELINES.register_module()
class RandomCrop:
    """Pad ``img`` on all sides and cut out a window at a random place: a random shift.

    Args:
        size: Side of the square window, in pixels.
        padding: Pixels added on each side first.
        pad_val: What they are filled with.
    """

    def __init__(self, size: int, padding: int = 0, pad_val: float = 0) -> None:
        self.size = size
        self.padding = padding
        self.pad_val = pad_val

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a (size, size) or (size, size, C) window."""
        img = results["img"]
        around = [(self.padding, self.padding)] * 2 + [(0, 0)] * (img.ndim - 2)
        img = np.pad(img, around, constant_values=self.pad_val)
        room = img.shape[0] - self.size, img.shape[1] - self.size
        if min(room) < 0:
            raise ArgumentError(
                f"A {self.size}x{self.size} window does not fit into a padded {img.shape[:2]} image."
            )
        top, left = np.random.randint(room[0] + 1), np.random.randint(room[1] + 1)
        results["img"] = img[top : top + self.size, left : left + self.size]
        return results


@PIPELINES.register_module()
class Normalize:
    """Make ``img`` float32 with ``(img - mean) / std``.

    Args:
        mean: A number, or one per channel, in the units of the image.
        std: Likewise, above 0.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.asarray(mean, dtype=np.float32)
        self.std = np.asarray(std, dtype=np.float32)
        if not (self.std > 0).all():
            raise ArgumentError(f"std is above 0, not {std!r}.")

    def __call__(self, results: Results) -> Results:
        """Replace ``img``."""
        results["img"] = (results["img"].astype(np.float32) - self.mean) / self.std
        return results


@PIPELINES.register_module()
class ImageToTensor:
    """Make images (C, H, W) tensors.

    Args:
        keys: Which results to convert.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def __call__(self, results: Results) -> Results:
        """Replace the arrays, (H, W) or (H, W, C), by (C, H, W) tensors of the same dtype."""
        for key in self.keys:
            img = results[key] if results[key].ndim == 3 else results[key][..., None]
            results[key] = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))
        return results


@PIPELINES.register_module()
class ToTensor:
    """Make numbers and arrays tensors of the same kind.

    Args:
        keys: Which results to convert.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def __call__(self, results: Results) -> Results:
        """Replace the values."""
        for key in self.keys:
            results[key] = torch.as_tensor(results[key])
        return results


@PIPELINES.register_module()
class Collect:
    """Keep some results and drop the others: what the model is called with.

    Args:
        keys: Which results to keep.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def __call__(self, results: Results) -> Results:
        """Return a new dict of the kept results."""
        return {key: results[key] for key in self.keys}
