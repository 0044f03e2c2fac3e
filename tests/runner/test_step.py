from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import make_runner
from torch import Tensor, nn

from cfgtrain.errors import ArgumentError, ArgumentTypeError, HookError
from cfgtrain.runner.step import count_samples

BATCHES = [torch.tensor([1.0, 3.0]), torch.tensor([5.0])]


class Mean(nn.Module):
    """One weight; a step returns what ``make`` makes of the mean of the weighted batch."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))
        self.make = make

    def train_step(self, batch: Tensor, optimizer: Any = None) -> Any:
        return self.make((self.w * batch).mean())

    val_step = train_step


def run(make: Callable[[Tensor], Any], optimizer: Callable[..., Any] | None = None) -> Any:
    """Train ``Mean`` on two batches of two and one samples, and return the runner."""
    model = Mean(make)
    steps = (optimizer or torch.optim.SGD)(model.parameters(), lr=0.0)
    runner = make_runner("epoch", 1, model, optimizer=steps)
    runner.register_optimizer_hook({})
    runner.run([BATCHES], [("train", 1)])
    runner.log_buffer.average()
    return runner


@pytest.mark.parametrize(
    ("make", "logged"),
    [
        (lambda loss: {"loss": loss}, {"loss": 3.0}),
        (lambda loss: loss, {"loss": 3.0}),
        (lambda loss: {"loss": loss, "num_samples": 1}, {"loss": 3.5}),
        (lambda loss: {"loss": loss, "log_vars": {"a": 2 * loss}}, {"a": 6.0}),
        (lambda loss: {"loss": loss, "log_vars": {"a": loss}, "num_samples": 1}, {"a": 3.5}),
        (lambda loss: {"loss": loss, "log_vars": {}}, {}),
    ],
)
def test_what_is_logged(make: Callable[[Tensor], Any], logged: dict[str, float]) -> None:
    """By default the loss is logged, weighted by the number of samples in the batch; a step may return it alone."""
    runner = run(make)
    assert runner.log_buffer.output == logged
    assert runner.outputs["loss"].item() == 5
    assert runner.model.w.grad == 5


def test_loss_alone_with_an_optimizer_that_needs_a_closure() -> None:
    """LBFGS calls the step again, which may return only the loss, too."""
    assert run(lambda loss: loss, torch.optim.LBFGS).model.w.grad == 5


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (None, "not None"),
        (2.5, "not a float, 2.5"),
        (torch.zeros(2, 3), r"not a tensor of shape \(2, 3\)"),
        ((1, {"a": 2}), r"not a tuple, \(1, \{'a': 2\}\)"),
        ("x" * 90, r"not a str\."),
    ],
)
@pytest.mark.parametrize("mode", ["train", "val"])
def test_wrong_outputs(mode: str, returned: Any, what: str) -> None:
    """The error shows what a step returned, and what it must return."""
    runner = make_runner("epoch", 1, Mean(lambda loss: returned))
    with pytest.raises(
        ArgumentTypeError, match=rf"{mode}_step of Mean .*{what}.*Return \{{\"loss\": loss\}}"
    ):
        runner.run([BATCHES, BATCHES], [(mode, 1), ("train", 1)])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda loss: {"loss": loss.item()}, HookError, r"a float as the loss, 2\.0: it must be a tensor"),
        (lambda loss: {"loss": loss.detach()}, HookError, "Mean returns does not depend on any parameter"),
        (lambda loss: {"loss": loss.expand(2)}, ArgumentError, r"'loss' is a tensor of shape \(2,\)"),
        (lambda loss: {"losses": loss}, HookError, "returns 'losses', but no 'loss'"),
    ],
)
def test_wrong_losses(make: Callable[[Tensor], Any], error: type[Exception], message: str) -> None:
    """A loss that gradients cannot be computed of is an error that says why."""
    with pytest.raises(error, match=message):
        run(make)


def test_model_without_a_step() -> None:
    """The error names SupervisedModel, with the lines to write."""
    with pytest.raises(
        ArgumentError, match=r"(?s)Linear has no train_step.*SupervisedModel.*'torch\.nn\..*Linear'"
    ):
        make_runner("epoch", 1, nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        (torch.zeros(4, 2), 4),
        (torch.tensor(1.0), 1),
        ({"name": "x", "img": torch.zeros(3, 2)}, 3),
        ({"metas": [{}, {}], "scale": torch.tensor(1.0)}, 2),
        ((torch.zeros(5, 1), torch.zeros(5)), 5),
        ([{"img": torch.zeros(2, 1)}, 1], 2),
        (["a", "b", "c"], 3),
        ({"scale": 1}, 1),
        ([], 0),
        (None, 1),
    ],
)
def test_number_of_samples(batch: Any, count: int) -> None:
    """It is the length of the first tensor or sequence in a batch."""
    assert count_samples(batch) == count
