from __future__ import annotations

from typing import Any
from weakref import WeakSet

import pytest
import torch
from tiny import same

from cfgtrain.errors import ArgumentError, NonFiniteLossError
from cfgtrain.runner import log_buffer
from cfgtrain.runner.log_buffer import LogBuffer


def filled(values: list[Any], counts: list[int] | None = None) -> LogBuffer:
    buffer = LogBuffer()
    for value, count in zip(values, counts or [1] * len(values), strict=True):
        buffer.update({"x": value}, count)
    return buffer


@pytest.mark.parametrize(("n", "mean"), [(2, 32 / 9), (0, 40 / 15), (100, 40 / 15), (1, 4.0)])
def test_average_is_weighted(n: int, mean: float) -> None:
    """An average over the last ``n`` values, or all of them, weights each by its number of samples."""
    buffer = filled([0, 1, 2, 3, 4], [1, 2, 3, 4, 5])
    buffer.average(n)
    assert buffer.output == {"x": mean}
    assert buffer.ready


@pytest.mark.parametrize("n", [0, 3])
def test_tensors_are_numbers(n: int) -> None:
    """Tensors with one element, also with a gradient, are averaged like numbers."""
    buffer = filled([torch.tensor(1.0, requires_grad=True), 2, torch.tensor([3.0]), torch.tensor([[6]])])
    buffer.average(n)
    assert buffer.output == {"x": 11 / 3 if n else 3.0}


def test_tensors_of_many_kinds_keep_their_order() -> None:
    """Numbers and tensors of several dtypes keep the order in which they were added."""
    kinds = [torch.float32, torch.int64, torch.float64, torch.bfloat16]
    buffer = filled([0.0, *(torch.tensor(i + 1, dtype=kind) for i, kind in enumerate(kinds)), 5])
    buffer.fetch()
    assert list(buffer.val_history["x"]) == [0, 1, 2, 3, 4, 5]


def test_no_graph_is_kept() -> None:
    """The graph of a value with a gradient is freed before the next log line."""
    buffer, leaf, held = LogBuffer(), torch.ones(3, requires_grad=True), WeakSet()

    class Saved:
        def __init__(self, tensor: torch.Tensor) -> None:
            held.add(self)

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: torch.ones(3)):
        buffer.update({"x": (leaf * leaf).sum()})
    assert not held


def test_values_are_those_of_the_call() -> None:
    """A model that reuses one dict in each step does not change earlier values."""
    buffer, values = LogBuffer(), {"x": 1.0}
    buffer.update(values)
    values["x"] = 3.0
    buffer.update(values)
    buffer.average()
    assert buffer.output == {"x": 2.0}


def test_value_is_one_number() -> None:
    """A tensor with several elements is refused when it is added, with its name."""
    with pytest.raises(ArgumentError, match=r"one number; 'x' is a tensor of shape \(2,\)"):
        LogBuffer().update({"x": torch.ones(2)})


def test_tensors_are_fetched_when_they_are_needed() -> None:
    """Adding a tensor does not synchronize with its device; averaging does."""
    buffer, value = LogBuffer(), torch.tensor(1.0)
    buffer.update({"x": value})
    value.fill_(5.0)
    buffer.average()
    assert buffer.output == {"x": 5.0}


def test_each_name_has_its_own_last_values() -> None:
    """A name that is rarely logged is averaged over its own last values."""
    buffer = filled([1, 2, 3])
    buffer.update({"rare": 7})
    buffer.update({"x": 5})
    buffer.average(2)
    assert buffer.output == {"x": 4.0, "rare": 7.0}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_average_of_no_samples_is_left_out(n: int) -> None:
    """A name with zero samples has no average; the other names have theirs."""
    buffer = filled([1.0, 3.0], [0, 0])
    buffer.update({"y": 7})
    buffer.average(n)
    assert buffer.output == buffer.latest == {"y": 7.0}


def test_average_without_values_is_ready() -> None:
    """Without values the output is empty and ready to be logged."""
    buffer = LogBuffer()
    buffer.average()
    assert (dict(buffer.output), buffer.ready) == ({}, True)


def test_output_is_cleared_alone() -> None:
    """``clear_output`` keeps the history and the newest averages; ``clear`` clears the history too."""
    buffer = filled([1.0])
    buffer.average()
    buffer.mode = "val"
    buffer.clear_output()
    assert (dict(buffer.output), buffer.ready, buffer.mode) == ({}, False, None)
    assert buffer.latest == {"x": 1.0}
    buffer.average()
    assert buffer.output == {"x": 1.0}
    buffer.update({"x": 3})
    buffer.clear()
    buffer.average()
    assert buffer.output == {}


@pytest.mark.parametrize("values", [[("x", 1)], 3, None])
def test_values_are_a_dict(values: Any) -> None:
    """Any other type is a TypeError."""
    with pytest.raises(TypeError, match="Logged values are a dict"):
        LogBuffer().update(values)


def test_negative_window_is_refused() -> None:
    """An average over a negative number of values is an error."""
    with pytest.raises(ValueError, match="not -1"):
        LogBuffer().average(-1)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest values are kept, and the average over all values is still exact."""
    monkeypatch.setattr(log_buffer, "MAX_HISTORY", 10)
    monkeypatch.setattr(log_buffer, "MAX_PENDING", 5)
    buffer = filled([torch.tensor(float(i)) for i in range(100)])
    assert len(buffer._pending["x"]) <= 5
    buffer.average()
    assert buffer.output == {"x": 49.5}
    assert len(buffer.val_history["x"]) == len(buffer.n_history["x"]) == 10
    buffer.average(50)
    assert buffer.output == {"x": 94.5}


def test_state_can_be_saved_and_restored() -> None:
    """A buffer with the state of another continues like it, totals included."""
    first, second = filled([1, torch.tensor(2.0), 6], [1, 2, 3]), filled([100])
    first.output["score"] = 0.5
    first.mode, first.ready = "val", True
    state = first.state_dict()
    assert state["values"]["x"].tolist() == [1, 2, 6]
    second.load_state_dict(state)
    assert same(second.state_dict(), state)
    for buffer in (first, second):
        buffer.update({"x": 4})
        buffer.average()
    assert second.output == first.output
    assert (second.mode, second.ready) == ("val", True)


def test_non_finite_loss_is_reported_before_a_wrong_value() -> None:
    """The error that stops the run takes precedence over any other problem of the logged values."""
    buffer = LogBuffer()
    buffer.update({"a": "x", "loss": float("nan")})
    with pytest.raises(NonFiniteLossError):
        buffer.fetch()
