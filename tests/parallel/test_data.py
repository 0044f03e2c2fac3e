from __future__ import annotations

from collections import namedtuple
from types import MappingProxyType

import torch

from cfgtrain.parallel import to_device

META = torch.device("meta")
Pair = namedtuple("Pair", ["a", "b"])


def test_tensors_are_moved_wherever_they_are() -> None:
    """Tensors in nested dicts, lists, tuples and named tuples go to the device; the shapes of these stay."""
    tensor = torch.ones(2)
    batch = {
        "a": tensor,
        "b": [tensor, (tensor, 1)],
        "c": Pair(tensor, "x"),
        "d": MappingProxyType({"e": tensor}),
    }
    moved = to_device(batch, META)
    assert moved["a"].device == META
    assert moved["b"][0].device == moved["b"][1][0].device == META
    assert type(moved["b"]) is list
    assert type(moved["b"][1]) is tuple
    assert isinstance(moved["c"], Pair)
    assert moved["c"].a.device == moved["d"]["e"].device == META


def test_other_values_stay_as_they_are() -> None:
    """What is no tensor is handed on itself."""
    other = object()
    batch = {"name": "abc", "n": 3, "none": None, "other": other}
    assert to_device(batch, META) == batch
    assert to_device(other, META) is other


def test_batch_is_not_changed() -> None:
    """The batch that was given stays where it was."""
    batch = {"a": [torch.ones(1)]}
    to_device(batch, META)
    assert batch["a"][0].device.type == "cpu"
