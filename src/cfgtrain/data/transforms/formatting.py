"""Convert results to tensors, and choose what the model gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registries import PIPELINES

Results = dict[str, Any]

__all__ = ["Collect", "ImageToTensor", "ToTensor"]


@PIPELINES.register_module()
class ImageToTensor:
    """Make images (C, H, W) tensors.

    Args:
        keys: Which results to convert.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = _checked(keys)

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
        self.keys = _checked(keys)

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
        self.keys = _checked(keys)

    def __call__(self, results: Results) -> Results:
        """Return a new dict of the kept results."""
        return {key: results[key] for key in self.keys}


def _checked(keys: Sequence[str]) -> Sequence[str]:
    if isinstance(keys, str):
        raise ArgumentTypeError(
            f"keys is a list of names, such as [{keys!r}], not {keys!r}.", argument="keys"
        )
    return keys
