from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Recorder, TinyNet, make_runner, numbers, same
from torch import nn

from cfgtrain.runner import GradientCumulativeOptimizerHook, OptimizerHook


def trained(kind: str, length: int, batches: list[Any], **hook: Any) -> Any:
    """The weight of a ``Scalar`` at the end of a training."""
    runner = make_runner(kind, length)
    runner.register_hook(OptimizerHook(**hook))
    runner.run([batches], [("train", 1)])
    return runner.model.w.item()


def grouped(batches: list[torch.Tensor], size: int) -> list[torch.Tensor]:
    return [torch.cat(batches[i : i + size]) for i in range(0, len(batches), size)]


class Squared(nn.Module):
    """A linear layer with a loss whose gradient depends on the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 1)
        nn.init.constant_(self.fc.weight, 0.5)
        nn.init.constant_(self.fc.bias, 0.1)

    def train_step(self, data: torch.Tensor, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
        loss = ((self.fc(data[:, None]) - 1) ** 2).mean()
        return {"loss": loss, "log_vars": {}, "num_samples": len(data)}


def weights(kind: str, length: int, batches: list[Any], **hook: Any) -> torch.Tensor:
    model = Squared()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    runner = make_runner(kind, length, model, optimizer=optimizer)
    runner.register_hook(OptimizerHook(**hook))
    runner.run([batches], [("train", 1)])
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_step_follows_the_gradient() -> None:
    """Each iteration steps once against the gradient of its own batch, not of the ones before."""
    assert trained("epoch", 1, [torch.tensor([2.0]), torch.tensor([3.0])]) == pytest.approx(
        1 - 0.1 * 2 - 0.1 * 3
    )


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.5}])
def test_accumulation_equals_one_big_batch(clip: Any) -> None:
    """Three iterations of one sample are a step of a batch of three, clipped or not."""
    batches = numbers(6)
    small = weights("epoch", 3, batches, cumulative_iters=3, grad_clip=clip)
    big = weights("epoch", 3, grouped(batches, 3), grad_clip=clip)
    assert torch.allclose(small, big, atol=1e-6)


def test_remainder_of_a_run_is_a_smaller_batch() -> None:
    """Eight iterations in windows of three are two batches of three and one of two."""
    batches = numbers(8)
    small = weights("iter", 8, batches, cumulative_iters=3)
    big = weights("iter", 3, grouped(batches, 3))
    assert torch.allclose(small, big, atol=1e-6)


def test_windows_cross_epochs() -> None:
    """Windows are counted over the run: five iterations per epoch leave none short but the last."""
    runner = make_runner("epoch", 2)
    runner.register_optimizer_hook({"cumulative_iters": 3})
    recorder = Recorder(lambda stage, r: r.window_open if stage == "after_train_iter" else None)
    runner.register_hook(recorder)
    runner.run([numbers(5)], [("train", 1)])
    assert recorder.seen == [True, True, False] * 3 + [False]


@pytest.mark.parametrize(
    ("max_iters", "start", "factors"),
    [
        (8, 0, [3, 3, 3, 3, 3, 3, 2, 2]),
        (10, 0, [3] * 9 + [1]),
        (10, 5, [3] * 4 + [1]),
        (8, 3, [3] * 3 + [2, 2]),
        (2, 0, [2, 2]),
    ],
)
def test_losses_are_divided_by_their_window(max_iters: int, start: int, factors: list[int]) -> None:
    """The divisor of each loss is the length of its window, in a run that was resumed as well."""
    seen: list[int] = []

    class Spy(OptimizerHook):
        def backward(self, runner: Any, loss: Any) -> None:
            seen.append(self._window_length(runner))
            super().backward(runner, loss)

    runner = make_runner("iter", max_iters)
    runner._iter = start
    runner.register_hook(Spy(cumulative_iters=3))
    runner.run([numbers(4)], [("train", 1)])
    assert seen == factors


def test_clipping_bounds_the_step_and_logs_the_norm() -> None:
    """Gradients are scaled to ``max_norm``; the norm before that is logged."""
    runner = make_runner("epoch", 1)
    runner.register_hook(OptimizerHook(grad_clip={"max_norm": 1.0}))
    runner.run([[torch.tensor([4.0])]], [("train", 1)])
    runner.log_buffer.average()
    assert runner.model.w.item() == pytest.approx(1 - 0.1)
    assert runner.log_buffer.output["grad_norm"] == 4.0


def test_norm_is_logged_once_per_window() -> None:
    """With accumulation, clipping happens when the window closes."""
    runner = make_runner("epoch", 1)
    runner.register_hook(OptimizerHook(grad_clip={"max_norm": 9.0}, cumulative_iters=2))
    runner.run([numbers(4)], [("train", 1)])
    runner.log_buffer.average()
    assert list(runner.log_buffer.val_history["grad_norm"]) == [0.5, 2.5]


def test_nothing_is_clipped_without_gradients() -> None:
    """Parameters that have no gradient have no norm."""
    hook = OptimizerHook(grad_clip={"max_norm": 1.0})
    assert hook.clip_grads([nn.Parameter(torch.ones(2)), torch.ones(2)]) is None


def test_all_optimizers_step() -> None:
    """Each of a dict of optimizers steps."""
    model = TinyNet()
    parts = {"norm": model.norm, "fc": model.fc}
    optimizers = {name: torch.optim.SGD(part.parameters(), lr=0.1) for name, part in parts.items()}
    runner = make_runner("epoch", 1, model, optimizer=optimizers)
    runner.register_hook(OptimizerHook())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    runner.run([[{"img": torch.randn(4, 36), "gt_label": torch.tensor([0, 1, 2, 0])}]], [("train", 1)])
    assert not any(same(before[name], model.state_dict()[name]) for name in ("norm.weight", "fc.weight"))


def test_mmcv_name_of_accumulation() -> None:
    """``GradientCumulativeOptimizerHook`` is the same hook with its arguments in MMCV's order."""
    hook = GradientCumulativeOptimizerHook(4, {"max_norm": 2})
    assert (hook.cumulative_iters, hook.grad_clip) == (4, {"max_norm": 2})


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", None])
def test_windows_have_a_positive_length(wrong: Any) -> None:
    """``cumulative_iters`` is a positive int; anything else is refused with MMCV's kind of error."""
    with pytest.raises(AssertionError, match="cumulative_iters is a positive int"):
        OptimizerHook(cumulative_iters=wrong)
