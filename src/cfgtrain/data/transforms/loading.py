"""Read the image of a sample from its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from cfgtrain.arguments import check_choice, check_type
from cfgtrain.data.transforms.results import Results
from cfgtrain.image.backends import Backend, supported_backends
from cfgtrain.image.io import ChannelOrder, imread
from cfgtrain.registries import PIPELINES

__all__ = ["LoadImageFromFile"]

ColorType = Literal[
    "color", "grayscale", "unchanged", "color_ignore_orientation", "grayscale_ignore_orientation"
]


@PIPELINES.register_module()
class LoadImageFromFile:
    """Reads ``img`` from the file ``img_path``.

    Results of datasets that are written for MMCV, with ``img_info["filename"]`` and ``img_prefix``, are accepted
    too.

    Args:
        to_float32: Whether to convert the image to float32.
        color_type: ``color`` for (H, W, 3) uint8, ``grayscale`` for (H, W) uint8, or ``unchanged`` for the channels
            and the bit depth of the file; see ``imfrombytes``.
        channel_order: ``bgr`` or ``rgb``.
        imdecode_backend: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``; by default the one set by
            ``use_backend``, which is ``cv2`` at first.
        file_client_args: Arguments of ``FileClient``. By default the storage backend is inferred from the path.
        key: Key of the path in the results.

    Raises:
        ArgumentError: A choice is unknown.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: ColorType = "color",
        channel_order: ChannelOrder = "bgr",
        imdecode_backend: Backend | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        key: str = "img_path",
    ) -> None:
        check_choice("color_type", color_type, get_args(ColorType))
        check_choice("channel_order", channel_order, get_args(ChannelOrder))
        if imdecode_backend is not None:
            check_choice("imdecode_backend", imdecode_backend, supported_backends)
        check_type("file_client_args", file_client_args, Mapping | None, "a dict or None")
        self.to_float32 = to_float32
        self.color_type = color_type
        self.channel_order = channel_order
        self.imdecode_backend = imdecode_backend
        self.file_client_args = file_client_args
        self.key = check_type("key", key, str, "the name of a key, such as 'img_path'")

    def __call__(self, results: Results) -> Results:
        """Add ``img``, ``img_path``, ``filename`` (the same path), ``img_shape`` and ``ori_shape``.

        Raises:
            KeyError: The results have no path.
            FileNotFoundError: The file does not exist.
            ImageDecodeError: The file is not a complete image. The message contains the path.
        """
        path = self._path(results)
        img = imread(path, self.color_type, self.channel_order, self.imdecode_backend, self.file_client_args)
        if self.to_float32:
            img = img.astype(np.float32)
        results["img"] = img
        results["img_path"] = results["filename"] = path
        results["img_shape"] = results["ori_shape"] = img.shape
        return results

    def _path(self, results: Results) -> str:
        if self.key not in results and "img_info" in results:
            prefix, name = results.get("img_prefix"), str(results["img_info"]["filename"])
            return name if not prefix else f"{str(prefix).rstrip('/')}/{name}"
        return str(results[self.key])
