from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from tiny import same

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.parallel import DataContainer, collate, to_device, unpack_containers

META = torch.device("meta")


def tensors(*shapes: tuple[int, ...], **settings: Any) -> list[DataContainer]:
    """Containers of tensors of some shapes, filled with 1, 2, ..."""
    return [DataContainer(torch.full(shape, i + 1.0), **settings) for i, shape in enumerate(shapes)]


def test_properties() -> None:
    """A container has its value and settings as read-only properties, and the length of its value."""
    container = DataContainer(torch.ones(2, 3), stack=True, padding_value=255, cpu_only=True, pad_dims=1)
    values = (container.stack, container.padding_value, container.cpu_only, container.pad_dims)
    assert values == (True, 255, True, 1)
    assert container.datatype == "torch.FloatTensor"
    assert (len(container), container.size(), container.size(1), container.dim()) == (2, (2, 3), 3, 2)
    assert repr(DataContainer([1])) == "DataContainer([1])"
    with pytest.raises(AttributeError):
        container.data = 3  # type: ignore[misc]  # this is the test


def test_defaults() -> None:
    """By default values are not stacked, go to the device, and are padded with 0 in two dimensions."""
    container = DataContainer({"a": 1})
    values = (container.stack, container.padding_value, container.cpu_only, container.pad_dims)
    assert values == (False, 0, False, 2)
    assert container.datatype is dict


@pytest.mark.parametrize("pad_dims", [0, 4, "2", [2]])
def test_invalid_pad_dims(pad_dims: Any) -> None:
    """``pad_dims`` is None, 1, 2 or 3, and anything else raises MMCV's AssertionError."""
    with pytest.raises(AssertionError, match="pad_dims must be"):
        DataContainer(torch.ones(2), pad_dims=pad_dims)


@pytest.mark.parametrize("method", ["size", "dim"])
def test_only_tensors_have_a_size(method: str) -> None:
    """``size()`` and ``dim()`` of another value raise AttributeError."""
    with pytest.raises(AttributeError, match="list has no"):
        getattr(DataContainer([1]), method)()


def test_stacking_pads_to_the_size_of_the_chunk() -> None:
    """Tensors are padded to the greatest size in their chunk, at the end of the last two dimensions."""
    samples = tensors(*((3, i, 2) for i in range(1, 5)), stack=True, padding_value=7)
    merged = collate(samples, samples_per_gpu=2)
    assert [tuple(chunk.shape) for chunk in merged.data] == [(2, 3, 2, 2), (2, 3, 4, 2)]
    assert merged.data[0][0, 0].tolist() == [[1, 1], [7, 7]]
    assert (merged.stack, merged.padding_value, merged.cpu_only) == (True, 7, False)


@pytest.mark.parametrize(
    ("pad_dims", "shapes", "merged"),
    [
        (1, [(2, 1), (2, 3)], (2, 2, 3)),
        (2, [(2, 1, 5), (2, 3, 4)], (2, 2, 3, 5)),
        (3, [(1, 2, 1, 5), (1, 1, 3, 4)], (2, 1, 2, 3, 5)),
        (None, [(4,), (4,)], (2, 4)),
    ],
)
def test_padded_dimensions(
    pad_dims: int | None, shapes: list[tuple[int, ...]], merged: tuple[int, ...]
) -> None:
    """The last ``pad_dims`` dimensions are padded; with None the shapes are equal already."""
    batch = collate(tensors(*shapes, stack=True, pad_dims=pad_dims), 2)
    assert tuple(batch.data[0].shape) == merged


@pytest.mark.parametrize(
    ("shapes", "pad_dims"), [([(3, 1, 2), (1, 1, 2)], 2), ([(2, 2), (2, 2)], 2), ([(2,), (1, 2)], 1)]
)
def test_shapes_that_cannot_be_padded(shapes: list[tuple[int, ...]], pad_dims: int) -> None:
    """Other dimensions must have equal sizes, and there must be one more than are padded."""
    with pytest.raises(AssertionError, match=r"The shapes are \("):
        collate(tensors(*shapes, stack=True, pad_dims=pad_dims), 2)


def test_values_that_stay_on_the_cpu() -> None:
    """With ``cpu_only`` a batch has one list of raw values per chunk."""
    merged = collate([DataContainer({"id": i}, cpu_only=True) for i in range(3)], samples_per_gpu=2)
    assert merged.data == [[{"id": 0}, {"id": 1}], [{"id": 2}]]
    assert merged.cpu_only


def test_values_that_are_not_stacked() -> None:
    """Without ``stack`` a batch has one list of tensors per chunk, in their own shapes."""
    merged = collate(tensors((1, 2), (3, 2), (2, 2)), samples_per_gpu=2)
    assert [[tuple(each.shape) for each in chunk] for chunk in merged.data] == [[(1, 2), (3, 2)], [(2, 2)]]
    assert not merged.cpu_only


class Point(NamedTuple):
    x: float
    name: str


def test_nested_samples() -> None:
    """Dicts, tuples and lists are merged by key and item, and the rest as torch's ``default_collate`` does."""
    samples = [
        {
            "img": DataContainer(torch.ones(1, i, 1), stack=True),
            "label": i,
            "name": f"n{i}",
            "pair": (i, [i, "x"]),
        }
        for i in (1, 2)
    ]
    merged = collate(samples, samples_per_gpu=2)
    assert tuple(merged["img"].data[0].shape) == (2, 1, 2, 1)
    del merged["img"]
    label = torch.tensor([1, 2])
    assert same(merged, {"label": label, "name": ["n1", "n2"], "pair": [label, [label, ["x", "x"]]]})
    assert collate([Point(1.0, "a"), Point(2.0, "b")])[1] == ["a", "b"]


def test_strings_and_bytes() -> None:
    """A str or bytes is one value, not a sequence of characters."""
    assert collate(["ab", "c"]) == ["ab", "c"]
    assert collate([(b"ab", ""), (b"c", "d")]) == [[b"ab", b"c"], ["", "d"]]


@pytest.mark.parametrize("batch", [3, {"a": 1}, "text"])
def test_batch_that_is_not_a_sequence(batch: Any) -> None:
    """A batch that is not a sequence of samples is a TypeError."""
    with pytest.raises(TypeError, match="must be a sequence of samples"):
        collate(batch)
    with pytest.raises(ArgumentTypeError):
        collate(batch)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "at least one sample"),
        ([{"a": 1}, {"b": 1}], "no 'a'"),
        ([(1, 2), (1,)], r"different lengths cannot be merged: \[1, 2\]"),
        ([DataContainer(1), 1], "both DataContainers and a int"),
        ([DataContainer(1, stack=True)], "Only tensors can be stacked, not int"),
    ],
)
def test_samples_that_cannot_be_merged(batch: list[Any], message: str) -> None:
    """Samples without a common structure raise an error that says what differs."""
    with pytest.raises(ArgumentError, match=message):
        collate(batch)


def test_containers_are_unpacked_for_a_device() -> None:
    """The chunk of a container is moved to the device, except one that stays on the CPU."""
    samples = [
        {
            "img": DataContainer(torch.ones(1, 2, 2), stack=True),
            "boxes": DataContainer(torch.ones(i, 4)),
            "img_metas": DataContainer({"id": i}, cpu_only=True),
        }
        for i in range(2)
    ]
    batch = collate(samples, samples_per_gpu=2)
    moved = to_device(batch, META)
    assert (moved["img"].device, tuple(moved["img"].shape)) == (META, (2, 1, 2, 2))
    assert [(each.device, len(each)) for each in moved["boxes"]] == [(META, 0), (META, 1)]
    assert moved["img_metas"] == [{"id": 0}, {"id": 1}]
    assert unpack_containers(batch)["img"].device.type == "cpu"
    assert isinstance(batch["img"], DataContainer)


def test_container_that_is_not_merged() -> None:
    """The value of a single container that ``collate`` has not merged is moved as it is."""
    assert to_device(DataContainer(torch.ones(2, 3)), META).shape == (2, 3)


def test_containers_for_several_devices() -> None:
    """A batch in two chunks is an error for a model on one device."""
    batch = collate(tensors((1, 2), (1, 2)), samples_per_gpu=1)
    with pytest.raises(ArgumentError, match="data for 2 devices"):
        to_device([batch], META)
