from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.data.transforms import Collect, Compose, ImageToTensor, Normalize, RandomCrop, Resize, ToTensor
from cfgtrain.errors import ArgumentError, BuildError
from cfgtrain.parallel import collate


def image(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)


def test_pipeline() -> None:
    """A pipeline of configs and functions passes the results on."""
    pipeline = Compose([{"type": "Collect", "keys": ["a"]}, lambda results: {**results, "b": 2}])
    assert pipeline({"a": 1, "c": 3}) == {"a": 1, "b": 2}
    assert Compose([])({"a": 1}) == {"a": 1}


def test_none_ends_the_pipeline() -> None:
    """If a transform returns None, the sample is dropped and the later transforms are not called."""
    assert Compose([lambda results: None, lambda results: 1 / 0])({}) is None


def test_invalid_pipeline() -> None:
    """A single config is not a pipeline, and an invalid step raises an error that names it."""
    with pytest.raises(TypeError, match="transforms must be a list of transforms"):
        Compose({"type": "Resize"})
    with pytest.raises(BuildError, match=r"no argument 'scales'. Did you mean 'scale'"):
        Compose([{"type": "Resize", "scales": (1, 1)}])
    assert "Compose" in repr(Compose([len]))


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 4), (6, 10)), ((8, 4, 3), (6, 10, 3)), ((8, 4, 1), (6, 10, 1))]
)
def test_resize(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """``scale`` is (w, h); the channels and the dtype are kept."""
    img = Resize(scale=[10, 6])({"img": image(*shape)})["img"]
    assert img.shape == expected
    assert img.dtype == np.uint8


def test_random_crop() -> None:
    """All positions occur, and each crop is a window of the padded image."""
    img = image(4, 4) + 1
    padded = np.pad(img, 1, constant_values=9)
    windows = {padded[top : top + 4, left : left + 4].tobytes() for top in range(3) for left in range(3)}
    np.random.seed(0)
    crop = RandomCrop(4, padding=1, pad_val=9)
    assert {crop({"img": img})["img"].tobytes() for _ in range(200)} == windows


def test_random_crop_of_colour_images() -> None:
    """Channels are not padded; a window with the size of the image is the whole image."""
    img = image(4, 4, 3)
    assert RandomCrop(3)({"img": img})["img"].shape == (3, 3, 3)
    assert RandomCrop(4, padding=2)({"img": img})["img"].shape == (4, 4, 3)
    assert (RandomCrop(4)({"img": img})["img"] == img).all()


def test_too_large_crop() -> None:
    """A window larger than the padded image raises an error with both sizes."""
    with pytest.raises(ArgumentError, match=r"7x7 window does not fit into a padded image of shape \(6, 6\)"):
        RandomCrop(7, padding=1)({"img": image(4, 4)})


def test_normalize() -> None:
    """Images are converted to float32, shifted and scaled, per channel if several values are given."""
    assert Normalize(2, 4)({"img": np.array([[2, 6]], dtype=np.uint8)})["img"].tolist() == [[0, 1]]
    colours = Normalize([0, 1, 2], [1, 1, 2])({"img": np.full((1, 1, 3), 4, dtype=np.uint8)})["img"]
    assert colours.tolist() == [[[4, 3, 1]]]
    assert colours.dtype == np.float32


@pytest.mark.parametrize("std", [0, -1, [1, 0]])
def test_std_must_be_positive(std: Any) -> None:
    """A standard deviation of zero or less raises an error."""
    with pytest.raises(ArgumentError, match="std must be positive"):
        Normalize(0, std)


@pytest.mark.parametrize(
    ("shape", "expected"), [((4, 5), (1, 4, 5)), ((4, 5, 1), (1, 4, 5)), ((4, 5, 3), (3, 4, 5))]
)
def test_image_to_tensor(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Channels come first, the dtype is kept, and the tensor is contiguous."""
    img = image(*shape)
    tensor = ImageToTensor(["img"])({"img": img})["img"]
    assert tuple(tensor.shape) == expected
    assert tensor.dtype == torch.uint8
    assert tensor.is_contiguous()
    assert (tensor.permute(1, 2, 0).numpy().reshape(shape) == img).all()


def test_to_tensor() -> None:
    """Numbers, lists and arrays become tensors with the corresponding dtype."""
    results = ToTensor(["n", "x", "a"])({"n": 3, "x": [0.5], "a": np.ones(2, dtype=np.int16), "other": 1})
    assert [results[key].dtype for key in "nxa"] == [torch.int64, torch.float32, torch.int16]
    assert results["other"] == 1


def test_collect() -> None:
    """Only the selected keys are kept, and a missing key raises a KeyError."""
    assert Collect(["b"])({"a": 1, "b": 2}) == {"b": 2}
    with pytest.raises(KeyError, match="c"):
        Collect(["c"])({"a": 1})


def test_collect_information() -> None:
    """Information about the image becomes one dict, which MMCV's collate passes on as it is."""
    collect = Collect(["img"], meta_keys=("filename", "ori_shape"))
    samples = [
        collect({"img": torch.zeros(2), "filename": name, "ori_shape": (3, 4), "x": 1}) for name in "ab"
    ]
    assert set(samples[0]) == {"img", "img_metas"}
    metas = collate(samples, samples_per_gpu=2)["img_metas"]
    assert metas.data == [[{"filename": name, "ori_shape": (3, 4)} for name in "ab"]]
    with pytest.raises(KeyError, match="flip"):
        Collect([], meta_keys=["flip"])({"img": 1})
