from __future__ import annotations

from collections import namedtuple
from types import MappingProxyType

import torch

from cfgtrain.parallel import to_device
from cfgtrain.parallel.data import map_tensors

META = torch.device("meta")
Pair = namedtuple("Pair", ["a", "b"])


def test_nested_tensors_are_moved() -> None:
    """Tensors in dicts, lists, tuples and named tuples are moved; the types of the containers are kept."""
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


def test_other_values_are_unchanged() -> None:
    """Values that are not tensors are returned themselves."""
    other = object()
    batch = {"name": "abc", "n": 3, "none": None, "other": other}
    assert to_device(batch, META) == batch
    assert to_device(other, META) is other


def test_batch_is_not_changed() -> None:
    """The batch that is passed in is not changed."""
    batch = {"a": [torch.ones(1)]}
    to_device(batch, META)
    assert batch["a"][0].device.type == "cpu"


def test_state_dicts_keep_the_versions_of_modules() -> None:
    """The state dict of a module is copied with what torch keeps beside its keys; the original is not changed."""
    state = torch.nn.BatchNorm1d(2).state_dict()
    copied = map_tensors(state, lambda tensor: tensor.to(META))
    assert copied._metadata == state._metadata
    assert type(copied) is type(state)
    assert copied["weight"].device == META
    assert state["weight"].device.type == "cpu"
