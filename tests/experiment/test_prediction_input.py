from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from cfgtrain.cnn import LeNet5
from cfgtrain.config import Config
from cfgtrain.data.datasets.digits import Digits
from cfgtrain.errors import ArgumentTypeError, ConfigError, SampleError, TransformError
from cfgtrain.experiment.prediction_input import (
    PredictionSource,
    UnlabelledPipeline,
    image_pipeline,
    prediction_source,
)

TENSORS = [{"type": "ImageToTensor", "keys": ["img"]}, {"type": "ToTensor", "keys": ["gt_label"]}]
COLLECT = {"type": "Collect", "keys": ["img", "gt_label"]}
GRAY = {"type": "LoadImageFromFile", "color_type": "grayscale"}


@pytest.fixture
def photo() -> str:
    """A color image of 6x4 pixels in a file."""
    cv2.imwrite("a.png", np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    return "a.png"


def test_labels_are_left_out(photo: str) -> None:
    """``Collect`` and ``ToTensor`` use the keys that there are; the config is not changed."""
    pipeline = [*TENSORS, COLLECT]
    sample = UnlabelledPipeline(pipeline)(photo)
    assert list(sample) == ["img"]
    assert torch.equal(sample["img"], torch.from_numpy(cv2.imread(photo).transpose(2, 0, 1)))
    assert pipeline[-1]["keys"] == ["img", "gt_label"]


def test_steps_that_need_labels_are_left_out(photo: str) -> None:
    """They raise a KeyError for a key of labels; what they did to the results before is undone."""

    def smooth(results: dict[str, Any]) -> dict[str, Any]:
        results["img"] = None
        return {**results, "gt_label": results["gt_label"] * 0.9}

    sample = UnlabelledPipeline([{"type": "Compose", "transforms": [smooth, TENSORS[0]]}, COLLECT])(photo)
    assert sample["img"].shape == (3, 4, 6)


class LoadJoined:
    """Loads an image as projects for MMCV 1.x do: from ``img_info`` below ``img_prefix``."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results["img_info"]["filename"]
        path = name if results["img_prefix"] is None else f"{results['img_prefix']}/{name}"
        return {"img": cv2.imread(path)}


def test_a_loading_transform_for_mmcv(photo: str) -> None:
    """It finds the path as the file name of ``img_info``, with the prefix None; other samples have no such keys."""
    img = UnlabelledPipeline([LoadJoined()])(photo)["img"]
    assert np.array_equal(img, cv2.imread(photo))
    assert "img_info" not in UnlabelledPipeline([GRAY])(photo)


def test_other_missing_keys_are_errors(photo: str) -> None:
    """A step that needs something else that no step makes fails, as in training."""
    with pytest.raises(TransformError, match=r"Lambda \(pipeline\[1\]\) failed: KeyError: 'mask'"):
        UnlabelledPipeline([TENSORS[0], Lambda(lambda results: results["mask"])])(photo)


def test_a_loading_step_is_used_or_added(photo: str) -> None:
    """A pipeline with a loading step keeps it; another one reads files by the color type."""
    assert UnlabelledPipeline([GRAY])(photo)["img"].shape == (4, 6)
    assert UnlabelledPipeline([], "grayscale")(photo)["img"].shape == (4, 6)
    assert UnlabelledPipeline([])(photo)["img"].shape == (4, 6, 3)


@pytest.mark.parametrize(
    "load", [{"color_type": "grayscale"}, {"channel_order": "rgb"}, {"to_float32": True}, {}]
)
def test_arrays_are_converted_as_files_are(photo: str, load: dict[str, Any]) -> None:
    """An array of a file has the same result as the file, whatever the loading step does."""
    pipeline = UnlabelledPipeline([{"type": "LoadImageFromFile", **load}])
    of_array, of_file = pipeline(cv2.imread(photo))["img"], pipeline(photo)["img"]
    assert of_array.dtype == of_file.dtype
    np.testing.assert_array_equal(of_array, of_file)


def test_gray_arrays_of_color_models_and_the_reverse() -> None:
    """A gray array gets three channels, and an array with one channel none, as the model needs it."""
    assert UnlabelledPipeline([])(np.zeros((4, 6), np.uint8))["img"].shape == (4, 6, 3)
    assert UnlabelledPipeline([GRAY])(np.zeros((4, 6, 1), np.uint8))["img"].shape == (4, 6)
    with pytest.raises(ArgumentTypeError, match=r"not one of shape \(2, 4, 6, 3\)"):
        UnlabelledPipeline([])(np.zeros((2, 4, 6, 3), np.uint8))


def test_arrays_with_the_channels_first_or_in_float64() -> None:
    """An array (C, H, W) is an error, not an image with W channels; one of float64 is converted."""
    for shape in ((3, 4, 6), (0, 4), (4, 6, 2)):
        with pytest.raises(ArgumentTypeError, match="not one of shape"):
            UnlabelledPipeline([])(np.zeros(shape, np.uint8))
    assert UnlabelledPipeline([])(np.ones((4, 6)))["img"].shape == (4, 6, 3)
    several = UnlabelledPipeline([{"type": "LoadImageFromFile", "color_type": "unchanged"}])
    assert several(np.zeros((4, 6, 7), np.uint8))["img"].shape == (4, 6, 7)


def test_a_dropped_sample_is_an_error(photo: str) -> None:
    """A pipeline that returns None for an input has no sample to predict for."""
    with pytest.raises(SampleError, match="returned None, which drops the sample"):
        UnlabelledPipeline([Lambda(lambda results: None)])(photo)


class Lambda:
    """A transform that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, results: dict[str, Any]) -> Any:
        return self.function(results)


class Pictures:
    """A dataset that does not say how files are read."""


@pytest.mark.parametrize(
    ("dataset", "model", "shape"),
    [
        (Digits, nn.Linear(1, 1), (4, 6)),  # by its COLOR_TYPE
        (Pictures, LeNet5(10), (4, 6)),  # its first convolution has one channel
        (Pictures, nn.Conv2d(3, 1, 1), (4, 6, 3)),
        (Pictures, nn.Linear(1, 1), (4, 6, 3)),
    ],
)
def test_color_of_files(photo: str, dataset: Any, model: nn.Module, shape: tuple[int, ...]) -> None:
    """The dataset, or else the model, decides whether files are read in gray or in color."""
    source = PredictionSource("test", {"type": dataset, "pipeline": []}, dataset)
    assert image_pipeline(source, model)(photo)["img"].shape == shape


@pytest.mark.parametrize(
    ("data", "split"),
    [
        ({"test": {"split": "test"}, "val": {"split": "val"}}, "test"),
        ({"train": {"split": "train"}, "val": {"split": "val"}, "test": None}, "val"),
        ({"test": {"type": "RepeatDataset", "times": 2, "dataset": {"split": "in"}}}, "in"),
        ({"test": {"type": "ConcatDataset", "datasets": [{"split": "1"}, {"split": "2"}]}}, "1"),
    ],
)
def test_dataset_that_serves_prediction(data: dict[str, Any], split: str) -> None:
    """It is the test dataset, or else that of the validation, inside of wrappers. It is not built."""

    def complete(node: Any) -> Any:
        if isinstance(node, list):
            return [complete(each) for each in node]
        if not isinstance(node, dict):
            return node
        node = {key: complete(value) for key, value in node.items()}
        return {"type": "Digits", "pipeline": [], **node} if "split" in node else node

    cfg = Config({"data": complete(data)})
    source = prediction_source(cfg)
    assert (source.node["split"], source.target) == (split, Digits)


def test_configs_without_such_a_dataset_are_errors(tmp_path: Path) -> None:
    """Without data.test and data.val, and without a pipeline, the message says what is missing."""
    with pytest.raises(ConfigError, match=r"neither data.test nor data.val"):
        prediction_source(Config({"data": {"train": {"type": "Digits"}}}))
    source = prediction_source(Config({"data": {"test": {"type": "torch.utils.data.TensorDataset"}}}))
    with pytest.raises(ConfigError, match="TensorDataset has no pipeline"):
        image_pipeline(source, nn.Identity())
