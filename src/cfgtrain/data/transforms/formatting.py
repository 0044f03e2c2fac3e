"""Convert results to tensors, and select the results that are passed to the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cfgtrain.arguments import check_type
from cfgtrain.data.transforms.results import Results
from cfgtrain.parallel.data_container import DataContainer
from cfgtrain.registries import PIPELINES

__all__ = ["Collect", "ImageToTensor", "ToTensor"]


class _KeysTransform:
    """A transform that uses the results with some keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = check_type("keys", keys, list | tuple, "a list of names, such as ['img']")


@PIPELINES.register_module()
class ImageToTensor(_KeysTransform):
    """Converts images to tensors with channels first.

    Args:
        keys: Keys of the results to convert.
    """

    def __call__(self, results: Results) -> Results:
        """Replace (H, W) or (H, W, C) arrays by contiguous (C, H, W) tensors of the same dtype, in place."""
        for key in self.keys:
            img = results[key] if results[key].ndim == 3 else results[key][..., None]
            results[key] = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))
        return results


@PIPELINES.register_module()
class ToTensor(_KeysTransform):
    """Converts numbers, lists and arrays to tensors, with the dtype that ``torch.as_tensor`` infers.

    Args:
        keys: Keys of the results to convert.
    """

    def __call__(self, results: Results) -> Results:
        """Replace the values by tensors, in place."""
        for key in self.keys:
            results[key] = torch.as_tensor(results[key])
        return results


@PIPELINES.register_module()
class Collect(_KeysTransform):
    """Selects the results that are passed to the model, and drops the others.

    Args:
        keys: Keys of the results to keep.
        meta_keys: Keys of information about the image, such as ``('filename', 'ori_shape')``. It becomes a dict in a
            ``DataContainer`` with the key ``img_metas``, as in MMCV, and needs the loader setting
            ``collate_fn='collate'``.
    """

    def __init__(self, keys: Sequence[str], meta_keys: Sequence[str] = ()) -> None:
        super().__init__(keys)
        self.meta_keys = check_type("meta_keys", meta_keys, list | tuple, "a list of names")

    def __call__(self, results: Results) -> Results:
        """Return a new dict with the selected results.

        Raises:
            KeyError: A key is missing in the results.
        """
        selected = {key: results[key] for key in self.keys}
        if self.meta_keys:
            metas = {key: results[key] for key in self.meta_keys}
            selected["img_metas"] = DataContainer(metas, cpu_only=True)
        return selected
