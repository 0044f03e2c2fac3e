"""The input of predictions: what the test pipeline of a config makes of files and arrays without labels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from cfgtrain.config.config import Config
from cfgtrain.data.builder import pipeline_registry
from cfgtrain.data.transforms.compose import Compose, build_pipeline
from cfgtrain.data.transforms.loading import LoadImageFromFile
from cfgtrain.errors import ArgumentTypeError, ConfigKeyError, ConfigValueError, SampleError
from cfgtrain.image.colorspace import bgr2gray, gray2bgr
from cfgtrain.introspection.signatures import callable_name
from cfgtrain.metrics.metric import TARGET_KEYS
from cfgtrain.origin import Origin, location
from cfgtrain.registries import DATASETS, PIPELINES
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import Registry, resolve_cfg

__all__ = ["ImageInputs", "UnlabelledPipeline", "PredictionSource", "image_pipeline", "prediction_source"]

Results = dict[str, Any]
Input = str | Path | np.ndarray[Any, Any]

# Results that datasets take from annotations. MMCV's names of annotations begin with gt_.
_LABELS = ("ann_info", *TARGET_KEYS)


class PredictionSource(NamedTuple):
    """The dataset of a config that prepares the inputs of a prediction.

    Attributes:
        part: Its name in ``data``.
        node: Its config.
        target: Its class, or a function that returns it.
    """

    part: str
    node: Mapping[str, Any]
    target: Any


def prediction_source(cfg: Config) -> PredictionSource:
    """Return the dataset whose pipeline serves prediction, without building it.

    It is ``data.test``, or else ``data.val``; of a wrapper around other datasets, the first of those.

    Raises:
        ConfigError: There is neither, or its type is unknown.
    """
    data = cfg.get("data") or {}
    part = next((part for part in ("test", "val") if data.get(part)), None)
    if part is None:
        origin = Origin(cfg.filename) if cfg.filename else None
        message = "The config has neither data.test nor data.val, whose pipeline prepares the inputs of a prediction."
        raise ConfigKeyError(message, origin=origin, key="data")
    node = data[part]
    while "pipeline" not in node:
        several = node.get("datasets")
        inner = several[0] if isinstance(several, list | tuple) and several else node.get("dataset")
        if not isinstance(inner, Mapping):
            break
        node = inner
    target, _ = resolve_cfg(node, registry_for(node, DATASETS))
    return PredictionSource(part, node, target)


def image_pipeline(source: PredictionSource, model: nn.Module) -> UnlabelledPipeline:
    """Return the pipeline of an image dataset for inputs without labels.

    If the pipeline has no loading step, because the samples of the dataset contain the images, files are read as the
    attribute ``COLOR_TYPE`` of the class says: ``color``, ``grayscale`` or ``unchanged``. Without this attribute, they
    are read in gray if the first convolution of the model has one input channel, else in color.

    Args:
        source: The dataset.
        model: The model that predicts.

    Raises:
        ConfigError: The dataset has no pipeline, or a step cannot be built.
    """
    _, node, target = source
    pipeline = node.get("pipeline")
    if not isinstance(pipeline, list | tuple):
        name = getattr(target, "__name__", str(target))
        raise ConfigValueError(
            f"{name} has no pipeline that prepares the inputs of a prediction.",
            hint="Datasets with a pipeline, or with a classmethod for_prediction, can be used.",
            **location(node, "type"),
        )
    convs = (each for each in model.modules() if isinstance(each, nn.Conv2d))
    gray = getattr(next(convs, None), "in_channels", None) == 1
    color_type = getattr(target, "COLOR_TYPE", "grayscale" if gray else "color")
    return UnlabelledPipeline(pipeline, color_type, pipeline_registry(node) or PIPELINES)


class UnlabelledPipeline:
    """A pipeline that is applied to results without labels.

    Keys of labels are left out of the steps with ``keys``, such as ``Collect`` and ``ToTensor``: those that are not
    in the results. A step that needs a label is left out: one that raises a ``KeyError`` for a key ``gt_*``,
    ``ann_info``, ``label``, ``labels``, ``target`` or ``targets`` that is not in the results.

    Args:
        transforms: The transforms, each a config or a callable.
        color_type: How files are read if no transform loads them; see ``LoadImageFromFile``. The name of the class
            of a transform that loads begins with ``Load``.
        registry: Where the transforms are looked up.
    """

    def __init__(
        self, transforms: Sequence[Any], color_type: str = "color", registry: Registry = PIPELINES
    ) -> None:
        pipeline = build_pipeline(transforms, registry)
        self.loading = next(filter(_is_loading, _flat(pipeline)), None)
        self.first = None if self.loading is not None else LoadImageFromFile(color_type=color_type)  # type: ignore[arg-type]  # checked there
        self.pipeline = _without_labels(pipeline)

    def __call__(self, source: str | Path | np.ndarray[Any, Any]) -> Any:
        """Return the sample of an image.

        Args:
            source: Path of a file, or an image (H, W) or (H, W, C) in the order BGR, which is converted to gray or
                color as the loading transform would do.

        Raises:
            ArgumentTypeError: The array does not have the shape of an image.
            TransformError: A transform failed.
            SampleError: A transform dropped the sample.
        """
        results: Results
        if isinstance(source, np.ndarray):
            img = _as_loaded(source, self.loading or self.first)
            results = {"img": img, "img_shape": img.shape, "ori_shape": img.shape}
        else:
            path = str(source)
            results = {"img_path": path, getattr(self.loading, "key", "img_path"): path}
            if self.loading is not None and not isinstance(self.loading, LoadImageFromFile):
                # Loading transforms of projects for MMCV 1.x join these two.
                results |= {"img_info": {"filename": path}, "img_prefix": None}
            results = self.first(results) if self.first is not None else results
        sample = self.pipeline(results)
        if sample is None:
            raise SampleError("A transform of the pipeline returned None, which drops the sample.")
        return sample


class ImageInputs:
    """A dataset of unlabelled images.

    Args:
        inputs: Paths of files, and images as arrays.
        pipeline: Makes the samples.
    """

    def __init__(self, inputs: Sequence[Input], pipeline: UnlabelledPipeline) -> None:
        self.inputs = inputs
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline(self.inputs[index])

    def source(self, index: int) -> str:
        """Return the path of an image, or for an array its place among the inputs."""
        given = self.inputs[index]
        return f"array {index}" if isinstance(given, np.ndarray) else str(given)


def _flat(step: Any) -> list[Any]:
    """Return the transforms of a composition, also of nested ones."""
    return (
        [each for inner in step.transforms for each in _flat(inner)] if isinstance(step, Compose) else [step]
    )


def _is_loading(step: Any) -> bool:
    return type(step).__name__.startswith("Load")


def _without_labels(step: Any) -> Any:
    """Return a transform that is left out as far as it needs labels; of a composition, each one in it."""
    if isinstance(step, Compose):
        return Compose([_without_labels(each) for each in step.transforms])
    return _WithoutLabels(step)


class _WithoutLabels:
    """A transform that is left out as far as it needs labels, or loads an image that is there already."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self.__qualname__ = callable_name(step)  # in error messages

    def __call__(self, results: Any) -> Any:
        if not isinstance(results, Mapping):  # the end of a custom pipeline
            return self.step(results)
        if _is_loading(self.step) and "img" in results and "img_path" not in results:  # of an array
            return results
        step, keys = self.step, getattr(self.step, "keys", None)
        if isinstance(keys, list | tuple):
            known = [key for key in keys if key in results]
            if not known:
                return results
            if len(known) < len(keys):
                step = copy.copy(step)
                step.keys = known
        try:
            return step(dict(results))
        except KeyError as error:
            key = error.args[0] if error.args else None
            if _is_label(key) and key not in results:
                return results
            raise


def _as_loaded(img: np.ndarray[Any, Any], loading: Any) -> np.ndarray[Any, Any]:
    """Return an image in the order BGR as a loading transform would return it."""
    color_type = getattr(loading, "color_type", "unchanged")
    if img.ndim not in (2, 3) or not img.size:
        raise ArgumentTypeError(f"An image is an array (H, W) or (H, W, C), not one of shape {img.shape}.")
    if img.ndim == 3 and img.shape[2] not in (1, 3, 4) and color_type != "unchanged":
        raise ArgumentTypeError(
            f"An image is an array (H, W) or (H, W, C) with 1, 3 or 4 channels, not one of shape {img.shape}."
        )
    if img.dtype == np.float64:  # which OpenCV cannot convert
        img = img.astype(np.float32)
    gray = img.ndim == 2 or img.shape[2] == 1
    if color_type.startswith("grayscale"):
        img = img.reshape(img.shape[:2]) if gray else bgr2gray(img)
    elif color_type.startswith("color"):
        img = gray2bgr(img) if gray else img[..., :3]
    if getattr(loading, "channel_order", "bgr") == "rgb" and img.ndim == 3:
        img = img[..., ::-1]
    return img.astype(np.float32) if getattr(loading, "to_float32", False) else img


def _is_label(key: object) -> bool:
    return isinstance(key, str) and (key.startswith("gt_") or key in _LABELS)
