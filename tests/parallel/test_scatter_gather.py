"""Dividing inputs between devices."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from tiny import same

from cfgtrain.parallel import DataContainer, Scatter, collate, get_input_device, scatter, scatter_kwargs

META = torch.device("meta")
ONE = torch.arange(4.0).reshape(4, 1)  # (4, 1)


class Pair(NamedTuple):
    image: Any
    name: str


@pytest.mark.parametrize("devices", [[-1], [META], [torch.device("cpu")]])
def test_one_device(devices: list[Any]) -> None:
    """For one device the inputs are moved there, and containers are unpacked."""
    args, kwargs = scatter_kwargs(
        (DataContainer([ONE]),), {"a": DataContainer([[1]], cpu_only=True), "b": 3, "c": [(ONE,)]}, devices
    )
    assert len(args) == len(kwargs) == 1
    assert (
        args[0][0].device.type == kwargs[0]["c"][0][0].device.type == ("meta" if devices == [META] else "cpu")
    )
    assert (kwargs[0]["a"], kwargs[0]["b"]) == ([1], 3)
    assert type(kwargs[0]["c"][0]) is tuple


def test_two_devices() -> None:
    """Tensors are divided, each device gets a chunk of a container, and other values are the same for all."""
    boxes = DataContainer([[ONE], [ONE, ONE]])
    inputs = {"img": ONE, "boxes": boxes, "pair": Pair([ONE], "x"), "flag": True, "scale": torch.tensor(2)}
    first, second = scatter(inputs, [-1, META])
    assert first["img"].tolist() == [[0], [1]]
    assert (tuple(second["img"].shape), second["img"].device) == ((2, 1), META)
    assert (len(first["boxes"]), len(second["boxes"])) == (1, 2)
    assert second["boxes"][1].device == second["scale"].device == META
    assert (first["pair"].name, tuple(first["pair"].image[0].shape)) == ("x", (2, 1))
    assert first["flag"] is second["flag"] is True


def test_dimension() -> None:
    """Tensors are divided along ``dim``."""
    assert [tuple(each.shape) for each in scatter(torch.ones(3, 4), [-1, -1], dim=1)] == [(3, 2), (3, 2)]


@pytest.mark.parametrize("value", ["text", (), {}, [], None, {"a": ["b"]}])
def test_values_that_are_the_same_for_all_devices(value: Any) -> None:
    """What has no tensors is the same for each device."""
    assert scatter(value, [-1, -1, -1]) == [value] * 3
    assert scatter_kwargs((), {}, [-1, -1]) == (((), ()), ({}, {}))


def test_small_batches() -> None:
    """A batch with fewer samples than devices is for some of them."""
    assert same(scatter((ONE[:2], "x"), [-1, -1, -1]), [(ONE[:1], "x"), (ONE[1:2], "x")])
    batch = collate([{"id": DataContainer(i, cpu_only=True)} for i in range(2)], samples_per_gpu=2)
    assert scatter(batch, [-1, -1]) == [{"id": [0, 1]}]


def test_no_sample_is_lost() -> None:
    """Values with different numbers of parts, and containers with more chunks than devices, are errors."""
    with pytest.raises(ValueError, match=r"different numbers of parts: \[1, 2\]"):
        scatter({"img": ONE, "id": DataContainer([[1]], cpu_only=True)}, [-1, -1])
    with pytest.raises(ValueError, match="data for 2 devices, and there are 1"):
        scatter(DataContainer([ONE, ONE]), [-1])
    with pytest.raises(ValueError, match="at least one device"):
        scatter(ONE, [])


def test_scatter_class() -> None:
    """``Scatter`` copies a tensor to the first device, and divides the items of a list between devices."""
    (only,) = Scatter.forward([-1], ONE)
    assert torch.equal(only, ONE)
    moved = Scatter.forward([-1, META], [ONE, [ONE], ONE])
    assert isinstance(moved, tuple)
    assert [each.device.type for each in (moved[0], moved[1][0], moved[2])] == ["cpu", "cpu", "meta"]
    assert Scatter.forward([-1], []) == ()


@pytest.mark.parametrize("value", ["text", 3, [ONE, 3]])
def test_scatter_class_with_other_values(value: Any) -> None:
    """Anything but tensors and lists is a TypeError."""
    with pytest.raises(TypeError, match=r"must be a tensor or a list, not (str|int)"):
        Scatter.forward([-1], value)


def test_input_device() -> None:
    """The index of tensors on the CPU is -1."""
    assert get_input_device(ONE) == get_input_device([[], [ONE]]) == -1


@pytest.mark.gpu
def test_input_on_cuda() -> None:
    """Inputs are copied to a CUDA device, whose index is returned."""
    args, kwargs = scatter_kwargs((DataContainer([ONE]),), {"b": [ONE]}, [0])
    assert get_input_device([ONE, args[0][0]]) == get_input_device(kwargs[0]["b"]) == 0
    assert Scatter.forward([0], [ONE])[0].is_cuda
