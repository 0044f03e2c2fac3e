from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import same
from torch.utils.data import default_collate

from cfgtrain.data.builder import build_dataloader
from cfgtrain.data.collation import merge_samples
from cfgtrain.errors import SampleError
from cfgtrain.parallel.data_container import DataContainer


def merge(samples: list[Any]) -> Any:
    return merge_samples(samples, lambda at: f"file {at}.png")


def image(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


SAMPLES = [
    [{"img": image(1, 2, 2), "gt_label": i, "meta": {"name": f"n{i}", "scale": (1.0, 2)}} for i in range(3)],
    [(image(2), i) for i in range(2)],
    [(np.zeros(2, np.float32), np.float64(i)) for i in range(2)],
    [1, np.int64(2)],
    ["a", np.str_("b")],
]


@pytest.mark.parametrize("samples", SAMPLES)
def test_samples_of_one_structure(samples: list[Any]) -> None:
    """Dicts, tuples, tensors, arrays, numbers and strings are merged as by torch."""
    assert same(merge(samples), default_collate(samples))


BAD: list[tuple[list[Any], list[str]]] = [
    (
        [{"img": image(3, 4, 5)}, {"img": image(3, 4, 5)}, {"img": image(3, 6, 5)}],
        ["'img'", "different shapes", "(3, 4, 5): file 0.png; (3, 6, 5): file 2.png", "Resize", "CenterCrop", "Pad"],
    ),
    (
        [{"img": image(3, 4, 4)}, {"img": image(1, 4, 4)}],
        ["'img'", "different numbers of channels", "3 channels, (3, 4, 4): file 0.png", "1 channel, (1", "color_type"],
    ),
    (
        [{"img": np.zeros((4, 4), np.uint8)}, {"img": np.zeros((4, 4, 3), np.uint8)}],
        ["different numbers of channels (1 channel, (4, 4): file 0.png; 3 channels, (4, 4, 3): file 1.png)"],
    ),
    ([(image(3, 4, 4), 1), (image(3, 2, 4), 1)], ["'[0]'", "(3, 2, 4): file 1.png", "Resize"]),
    ([{"boxes": image(2, 4)}, {"boxes": image(3, 4)}], ["'boxes'", "(3, 4): file 1.png", "collate_fn='collate'"]),
    ([{"a": 1, "b": 1}, {"a": 1}], ["different keys (a, b: file 0.png; a: file 1.png)"]),
    ([{"a": {"x": 1}}, {"a": {"y": 1}}], ["'a'", "different keys"]),
    ([{"a": 1}, {"a": 1, "b": 1}], ["different keys"]),
    ([{"a": 1}, {"a": 1.5}], ["'a'", "different types (int: file 0.png; float: file 1.png)"]),
    ([{"a": 1}, {"a": True}], ["different types"]),
    ([{"a": image(1)}, {"a": None}], ["different types (Tensor: file 0.png; NoneType: file 1.png)"]),
    ([{"a": image(1)}, {"a": image(1).int()}], ["different dtypes (torch.float32: file 0.png; torch.int32: file 1.png)"]),
    ([{"a": [1, 2]}, {"a": [1]}], ["'a'", "different lengths (2: file 0.png; 1: file 1.png)"]),
    ([{"m": {"path": Path("a")}}], ["'m.path'", "cannot be merged, as each is a PosixPath", "Collect"]),
    ([{"m": [1, None]}], ["'m[1]'", "each is a NoneType"]),
    ([{"a": np.array(["x"])}], ["'a'", "each is a ndarray of dtype <U1"]),
    ([image(1), image(2)], ["The samples of a batch have different shapes"]),
]  # fmt: skip


@pytest.mark.parametrize(("samples", "texts"), BAD)
def test_samples_that_differ(samples: list[Any], texts: list[str]) -> None:
    """The error names the key, what differs in which samples, and for images the transform that helps."""
    with pytest.raises(SampleError) as caught:
        merge(samples)
    for text in texts:
        assert text in str(caught.value)


def test_few_samples_are_named() -> None:
    """Of many different samples, the error names four."""
    with pytest.raises(SampleError) as caught:
        merge([{"img": image(1, i, 2)} for i in range(9)])
    assert str(caught.value).count(".png") == 4


def test_samples_with_data_containers_are_merged_as_mmcv_does() -> None:
    """Without a collate_fn: what is not stacked is a list, and the model gets no containers."""
    samples = [
        {
            "img": DataContainer(torch.full((1, 1, 2), i), stack=True),
            "meta": DataContainer({"i": i}, cpu_only=True),
        }
        for i in range(3)
    ]
    (batch,) = build_dataloader(samples, 3, shuffle=False)
    assert batch["img"].tolist() == [[[[i, i]]] for i in range(3)]
    assert batch["meta"] == [{"i": 0}, {"i": 1}, {"i": 2}]
