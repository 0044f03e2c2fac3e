from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, TinyNet, make_runner, numbers, same
from torch import nn

from cfgtrain.amp import auto_fp16
from cfgtrain.errors import HookError, NonFiniteLossError
from cfgtrain.runner import (
    Fp16OptimizerHook,
    GradientCumulativeFp16OptimizerHook,
    GradientCumulativeOptimizerHook,
    Hook,
    OptimizerHook,
    TextLoggerHook,
)
from cfgtrain.runner.hooks.hook import stage_method


def trained(kind: str, length: int, batches: list[Any], **hook: Any) -> Any:
    """Return the weight of a ``Scalar`` at the end of a training."""
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
    """Each iteration steps along the gradient of its own batch only."""
    assert trained("epoch", 1, [torch.tensor([2.0]), torch.tensor([3.0])]) == pytest.approx(
        1 - 0.1 * 2 - 0.1 * 3
    )


class OldHook(OptimizerHook):
    """An optimizer hook of a project for MMCV 1.x, which does not call the ``__init__`` of its base."""

    def __init__(self, grad_clip: Any = None, bucket_size_mb: int = -1) -> None:
        self.grad_clip, self.bucket_size_mb = grad_clip, bucket_size_mb


class OldStep(OldHook):
    """One with a step of its own."""

    def after_train_iter(self, runner: Any) -> None:
        runner.optimizer.zero_grad()
        runner.outputs["loss"].backward()
        if self.grad_clip is not None:
            self.clip_grads(runner.model.parameters())
        runner.optimizer.step()


@pytest.mark.parametrize("kind", [OldHook, OldStep])
@pytest.mark.parametrize("clip", [None, {"max_norm": 0.5}])
def test_a_subclass_that_does_not_initialize_its_base(kind: Any, clip: Any) -> None:
    """It trains as the hook itself does."""
    batches = numbers(3)
    runner = make_runner("epoch", 1)
    runner.register_hook(kind(grad_clip=clip))
    runner.run([batches], [("train", 1)])
    assert runner.model.w.item() == trained("epoch", 1, batches, grad_clip=clip)


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.5}])
def test_accumulation_equals_one_big_batch(clip: Any) -> None:
    """Three iterations of one sample equal a step with a batch of three, clipped or not."""
    batches = numbers(6)
    small = weights("epoch", 3, batches, cumulative_iters=3, grad_clip=clip)
    big = weights("epoch", 3, grouped(batches, 3), grad_clip=clip)
    assert torch.allclose(small, big, atol=1e-6)


def test_last_window_may_be_shorter() -> None:
    """Eight iterations in windows of three equal two batches of three and one of two."""
    batches = numbers(8)
    small = weights("iter", 8, batches, cumulative_iters=3)
    big = weights("iter", 3, grouped(batches, 3))
    assert torch.allclose(small, big, atol=1e-6)


class Unsized:
    """A loader without a length."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


@pytest.mark.parametrize("hook", [{}, {"grad_clip": {"max_norm": 0.01}}, {"loss_scale": 8.0}])
def test_unknown_end_of_the_run_closes_the_window(hook: dict[str, Any], tmp_path: Path) -> None:
    """A run of unknown length steps with the remaining gradients at its end, and is saved after that."""
    batches: Any = numbers(5)
    model, known = Squared(), weights("epoch", 2, batches, cumulative_iters=4, **hook)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    runner = make_runner("epoch", 2, model, optimizer=optimizer, work_dir=tmp_path)
    runner.register_training_hooks(None, {"cumulative_iters": 4, **hook}, {"interval": 1})
    runner.run([Unsized(batches)], [("train", 1)])
    assert torch.allclose(torch.cat([p.detach().flatten() for p in model.parameters()]), known)
    saved = torch.load(tmp_path / "epoch_2.pth")
    assert saved["meta"]["iter"] == 10
    assert same(saved["state_dict"], dict(model.state_dict()))


def test_windows_cross_epochs() -> None:
    """Windows are counted over the run: with five iterations per epoch only the last window is shorter."""
    runner = make_runner("epoch", 2)
    runner.register_optimizer_hook({"cumulative_iters": 3})
    recorder = Recorder(lambda stage, r: r.accumulating if stage == "after_train_iter" else None)
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
    """Each loss is divided by the length of its window, also in a resumed run."""
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


def test_clipping_limits_the_step_and_logs_the_norm() -> None:
    """Gradients are scaled to ``max_norm``; the previous norm is logged."""
    runner = make_runner("epoch", 1)
    runner.register_hook(OptimizerHook(grad_clip={"max_norm": 1.0}))
    runner.run([[torch.tensor([4.0])]], [("train", 1)])
    runner.log_buffer.average()
    assert runner.model.w.item() == pytest.approx(1 - 0.1)
    assert runner.log_buffer.output["grad_norm"] == 4.0


def test_norm_is_logged_once_per_window() -> None:
    """With accumulation, gradients are clipped at the end of the window."""
    runner = make_runner("epoch", 1)
    runner.register_hook(OptimizerHook(grad_clip={"max_norm": 9.0}, cumulative_iters=2))
    runner.run([numbers(4)], [("train", 1)])
    runner.log_buffer.average()
    assert list(runner.log_buffer.val_history["grad_norm"]) == [0.5, 2.5]


def test_nothing_is_clipped_without_gradients() -> None:
    """Without gradients there is no norm."""
    hook = OptimizerHook(grad_clip={"max_norm": 1.0})
    assert hook.clip_grads([nn.Parameter(torch.ones(2)), torch.ones(2)]) is None


def test_all_optimizers_step() -> None:
    """Each optimizer of a dict steps."""
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
    """``GradientCumulativeOptimizerHook`` is the same hook with the argument order of MMCV."""
    hook = GradientCumulativeOptimizerHook(4, {"max_norm": 2})
    assert (hook.cumulative_iters, hook.grad_clip) == (4, {"max_norm": 2})


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", None])
def test_windows_have_a_positive_length(wrong: Any) -> None:
    """``cumulative_iters`` is a positive int; other values raise the type of error that MMCV raises."""
    with pytest.raises(AssertionError, match=r"cumulative_iters must be (at least 1|an integer)"):
        OptimizerHook(cumulative_iters=wrong)


class Branches(nn.Module):
    """Three layers, of which the loss depends only on the first one; the last is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.frozen = nn.Linear(1, 1), nn.Linear(1, 2), nn.Linear(1, 1)
        self.frozen.requires_grad_(False)

    def train_step(self, data: torch.Tensor, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
        self.unused(data[:, None])
        return {"loss": self.used(data[:, None]).sum(), "num_samples": len(data)}


def test_parameters_without_influence_on_the_loss_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each trainable parameter that the loss does not depend on is logged as an error, with its shape."""
    runner = make_runner("iter", 1, Branches())
    runner.register_hook(OptimizerHook(detect_anomalous_params=True))
    with caplog.at_level(logging.ERROR):
        runner.run([numbers(1)], [("train", 1)])
    logged = [record.message for record in caplog.records]
    assert logged == [
        "The loss does not depend on unused.weight with shape (2, 1).",
        "The loss does not depend on unused.bias with shape (2,).",
    ]


def test_values_of_gradients_can_be_clipped() -> None:
    """``clip_value`` limits each element; no norm is logged."""
    runner = make_runner("epoch", 1)
    runner.register_hook(OptimizerHook(grad_clip={"clip_value": 0.5}))
    runner.run([[torch.tensor([4.0])]], [("train", 1)])
    assert runner.model.w.item() == pytest.approx(1 - 0.1 * 0.5)
    assert "grad_norm" not in runner.log_buffer.val_history


class Words(nn.Module):
    """An embedding whose gradient is sparse, behind a layer whose gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 2, sparse=True)
        self.fc = nn.Linear(2, 1)

    def train_step(self, data: torch.Tensor, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
        return {"loss": self.fc(self.words(data.long())).pow(2).mean(), "num_samples": len(data)}


@pytest.mark.parametrize("clip", [{"max_norm": 1.0}, {"clip_value": 0.5}])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.LBFGS])
def test_sparse_gradients_that_cannot_be_clipped_are_named(kind: Any, clip: dict[str, float]) -> None:
    """The error about sparse gradients names the parameter; without clipping they are trained."""

    def run(**hook: Any) -> Words:
        model = Words()
        runner = make_runner("iter", 2, model, optimizer=kind(model.parameters(), lr=0.1))
        runner.register_hook(OptimizerHook(**hook))
        runner.run([numbers(2)], [("train", 1)])
        return model

    with pytest.raises(HookError, match=r"cannot clip sparse gradients, and words\.weight got one"):
        run(grad_clip=clip)
    assert run().words.weight.isfinite().all()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (
            {"grad_clip": {"max_norn": 1}},
            "grad_clip: clip_grad_norm_ takes no argument 'max_norn'. Did you mean 'max_norm'",
        ),
        ({"grad_clip": 35}, "grad_clip must be a dict such as"),
        ({"loss_scale": "static"}, "loss_scale must be a positive number, 'dynamic'"),
        ({"loss_scale": -1}, "loss_scale must be a positive number"),
        ({"loss_scale": {"init_scal": 1}}, "Did you mean 'init_scale'"),
        ({"dtype": "float8"}, "'float16' or 'bfloat16', not 'float8'"),
    ],
)
def test_invalid_settings(args: dict[str, Any], text: str) -> None:
    """Invalid settings are refused when the hook is built."""
    with pytest.raises(ValueError, match=text):
        OptimizerHook(**args)


def test_missing_optimizer_or_loss_is_an_error() -> None:
    """Without an optimizer, or without a loss, the error says what is missing."""
    runner = make_runner("iter", 1, optimizer=None)
    runner.register_hook(OptimizerHook())
    with pytest.raises(HookError, match=r"no optimizer to step.*optimizer_config=None"):
        runner.run([numbers(1)], [("train", 1)])
    runner = make_runner("iter", 1)
    runner.model.train_step = lambda *args, **kwargs: {"losses": 1}
    runner.register_hook(OptimizerHook())
    with pytest.raises(HookError, match="train_step of Scalar returns 'losses', but no 'loss'"):
        runner.run([numbers(1)], [("train", 1)])


def minimum(optimizer: Any, **hook: Any) -> float:
    """Return the weight after one iteration on a parabola with the minimum 3, from the weight 1."""

    class Parabola(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(()))

        def train_step(self, data: Any, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
            return {"loss": (self.w - data).pow(2).mean(), "num_samples": 1}

    model = Parabola()
    runner = make_runner("iter", 1, model, optimizer=optimizer(model))
    runner.register_hook(OptimizerHook(**hook))
    runner.run([[torch.tensor([3.0])]], [("train", 1)])
    return model.w.item()


def lbfgs(model: nn.Module) -> Any:
    return torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=20)


def test_optimizer_that_needs_a_closure() -> None:
    """LBFGS evaluates the model several times: one iteration reaches the minimum."""
    assert minimum(lbfgs) == pytest.approx(3, abs=1e-4)
    assert 1 < minimum(lbfgs, grad_clip={"max_norm": 0.01}) < 3


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ({"cumulative_iters": 2}, "cannot be combined with cumulative_iters"),
        ({"loss_scale": 8.0, "dtype": "float16"}, "cannot be combined with a loss scale and a dtype"),
    ],
)
def test_closure_excludes_other_settings(hook: dict[str, Any], text: str) -> None:
    """Settings that cannot be combined with a closure are refused before the run."""
    with pytest.raises(HookError, match=text):
        minimum(lbfgs, **hook)
    with pytest.raises(HookError, match="several optimizers"):
        minimum(lambda model: {"a": lbfgs(model), "b": lbfgs(model)})


class Precise(Squared):
    """Records the type that its layer computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.dtype] = []
        self.fc.register_forward_hook(lambda module, args, out: self.seen.append(out.dtype))


class Decorated(Precise):
    """Decorates its own method, like models of MMCV."""

    def __init__(self) -> None:
        super().__init__()
        self.fp16_enabled = False

    @auto_fp16(out_fp32=True)
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        assert x.dtype in (torch.float16, torch.bfloat16)
        return self.fc(x)

    def train_step(self, data: torch.Tensor, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
        loss = ((self.predict(data[:, None]) - 1) ** 2).mean()
        return {"loss": loss, "log_vars": {}, "num_samples": len(data)}


HALF = [
    (OptimizerHook(dtype="bfloat16"), torch.bfloat16),
    (OptimizerHook(dtype="float16"), torch.float16),
    (Fp16OptimizerHook(), torch.float16),
    (Fp16OptimizerHook(loss_scale="dynamic"), torch.float16),
    (Fp16OptimizerHook(loss_scale={"init_scale": 64, "growth_interval": 2}), torch.float16),
    (Fp16OptimizerHook(loss_scale=8, dtype="bf16"), torch.bfloat16),
]


@pytest.mark.parametrize("model", [Precise, Decorated])
@pytest.mark.parametrize(("hook", "dtype"), HALF)
def test_half_precision(hook: OptimizerHook, dtype: torch.dtype, model: Any) -> None:
    """The step computes in 16 bits, the weights remain in 32 bits, and the result is nearly the same."""
    torch.manual_seed(0)
    net = model()
    runner = make_runner("epoch", 2, net, optimizer=torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.5))
    hook.__dict__.pop("priority", None)  # of the previous run
    runner.register_hook(hook)
    runner.run([numbers(3)], [("train", 1)])
    trained = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert set(net.seen) == {dtype}
    assert trained.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    if hook.loss_scale != "dynamic":  # which starts so high that the first steps are skipped
        assert torch.allclose(trained, weights("epoch", 2, numbers(3)), atol=0.02)


class Look(Hook):
    """Lets the model predict before and after each training step."""

    def __init__(self) -> None:
        self.dtypes: set[torch.dtype] = set()

    def before_train_iter(self, runner: Any) -> None:
        with torch.no_grad():
            self.dtypes.add(runner.model.fc(torch.ones(1, 1)).dtype)

    after_train_iter = before_train_iter


class Validated(Precise):
    """Has a ``val_step``."""

    def val_step(self, data: torch.Tensor, optimizer: Any, **kwargs: Any) -> dict[str, Any]:
        self.seen.clear()
        self.fc(data[:, None])
        return {}


def test_half_precision_is_limited_to_the_step() -> None:
    """Hooks before and after a step, and val flows, use full precision, and hooks do not change the step."""
    models = [Squared(), Squared()]
    looks = [Look(), Look()]
    for model, hooks in zip(models, ([], looks), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        runner = make_runner("iter", 3, model, optimizer=optimizer)
        runner.register_optimizer_hook({"dtype": "bfloat16"})
        for hook, priority in zip(hooks, ("HIGHEST", "LOWEST"), strict=False):
            runner.register_hook(hook, priority)
        runner.run([numbers(3)], [("train", 1)])
    assert [look.dtypes for look in looks] == [{torch.float32}] * 2
    assert same(models[0].state_dict(), models[1].state_dict())
    model = Validated()
    runner = make_runner("epoch", 1, model)
    runner.register_optimizer_hook({"dtype": "bfloat16"})
    runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    assert model.seen == [torch.float32]
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_ends_when_a_step_fails() -> None:
    """Autocast is disabled after a step that fails."""
    runner = make_runner("iter", 1)
    runner.model.train_step = lambda *args, **kwargs: 1 / 0
    runner.register_hook(OptimizerHook(dtype="bf16"))
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.5}])
def test_half_precision_accumulates(clip: Any) -> None:
    """Accumulated float16 steps equal those of one big batch, clipped or not."""
    results = []
    for hook, batches in (
        (GradientCumulativeFp16OptimizerHook(3, grad_clip=clip), numbers(6)),
        (Fp16OptimizerHook(grad_clip=clip), grouped(numbers(6), 3)),
    ):
        model = Squared()
        runner = make_runner("epoch", 2, model)
        runner.register_hook(hook)
        runner.run([batches], [("train", 1)])
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*results, atol=2e-3)


def test_overflow_reduces_the_scale() -> None:
    """A step whose gradients overflow is skipped and the scale is halved; hook and meta contain it."""
    runner = make_runner("iter", 2, meta={})
    hook = OptimizerHook(loss_scale={"init_scale": 4.0, "growth_interval": 100})
    runner.register_hook(hook)
    runner.run([[torch.tensor([1e38]), torch.tensor([2.0])]], [("train", 1)])
    assert runner.model.w.item() == pytest.approx(1 - 0.1 * 2)
    assert hook.state_dict()["loss_scaler"]["scale"] == 2.0
    assert runner.meta["fp16"]["loss_scaler"]["scale"] == 2.0


def test_scale_is_restored() -> None:
    """A resumed run restores the scale that MMCV, or its own checkpoint, has saved."""
    hook = OptimizerHook(loss_scale="dynamic")
    saved = torch.amp.GradScaler("cpu", init_scale=16.0).state_dict()
    runner = make_runner("iter", 1, meta={"fp16": {"loss_scaler": saved}})
    runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert hook.state_dict()["loss_scaler"]["scale"] == 16.0
    hook.load_state_dict({"loss_scaler": {**saved, "scale": 8.0}})
    assert hook.state_dict()["loss_scaler"]["scale"] == 8.0


def test_gradients_are_exchanged_once_per_window() -> None:
    """Processes exchange gradients in the last iteration of a window, and always after the run."""
    runner = make_runner("iter", 5)
    runner.model.require_backward_grad_sync = True
    runner.register_hook(OptimizerHook(cumulative_iters=2))
    recorder = Recorder(
        lambda stage, r: r.model.require_backward_grad_sync if stage == "after_train_iter" else None
    )
    runner.register_hook(recorder)
    runner.run([numbers(5)], [("train", 1)])
    assert recorder.seen == [False, True, False, True, True]
    assert runner.model.require_backward_grad_sync


def test_limits_of_accumulation_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Batch normalization, a partial first window and a shorter last window are logged before the run."""
    model = TinyNet()
    runner = make_runner("iter", 7, model)
    runner._iter = 2
    runner.register_hook(OptimizerHook(cumulative_iters=3))
    batch = {"img": torch.randn(4, 36), "gt_label": torch.tensor([0, 1, 2, 0])}
    with caplog.at_level(logging.INFO):
        runner.run([[batch]], [("train", 1)])
    assert caplog.text.count("has batch normalization") == 1
    assert caplog.text.count("in the middle of a window of 3") == 1
    assert caplog.text.count("The last window of the run has 1 iterations") == 1


def test_plain_step_is_not_called_at_stages_that_it_does_not_need() -> None:
    """Without accumulation the hook is not called before iterations, and without half precision it has no context."""
    assert "before_train_iter" not in OptimizerHook(dtype="float16").get_triggered_stages()
    assert "before_train_iter" in OptimizerHook(cumulative_iters=2).get_triggered_stages()
    assert stage_method(OptimizerHook(), "step_context") is None
    assert stage_method(OptimizerHook(dtype="float16"), "step_context") is not None


class Lines(TextLoggerHook):
    """Records its lines."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(interval=1, **kwargs)
        self.lines: list[dict[str, Any]] = []

    def log(self, runner: Any) -> None:
        self.lines.append(dict(self.line(runner)))


def overflowing(kind: str, hook: OptimizerHook, factors: list[float], fused: bool = False) -> tuple[Any, Any]:
    """Train a ``Scalar`` on one batch per factor, and return the runner and its log lines.

    The gradient of a factor of 1e38 overflows under a loss scale of more than 3.
    """
    model = Scalar()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-40, fused=fused)
    runner = make_runner(kind, len(factors) if kind == "iter" else 1, model, optimizer=optimizer, meta={})
    lines = Lines(by_epoch=kind == "epoch")
    runner.register_hook(hook, "ABOVE_NORMAL")
    runner.register_hook(lines, "VERY_LOW")
    runner.run([[torch.tensor([factor]) for factor in factors]], [("train", 1)])
    return runner, lines.lines


HIGH = 1e38
SCALED = [
    OptimizerHook(loss_scale=8.0),
    OptimizerHook(loss_scale=8.0, dtype="bfloat16"),
    Fp16OptimizerHook(loss_scale=8.0, dtype="bfloat16"),
]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_skipped_steps_are_counted_and_logged(kind: str, fused: bool) -> None:
    """Each train line shows how many steps of the run were skipped so far."""
    hook = OptimizerHook(loss_scale=8.0)
    runner, lines = overflowing(kind, hook, [1.0, HIGH, 1.0, HIGH, HIGH, 1.0], fused)
    assert [line["skipped_steps"] for line in lines] == [0, 1, 1, 2, 3, 3]
    assert runner.model.w.item() == pytest.approx(1.0)


def test_skipped_steps_are_in_the_text_and_the_json_log(caplog: pytest.LogCaptureFixture) -> None:
    """Both logs show the number under its name."""
    caplog.set_level(logging.INFO)
    runner = make_runner("iter", 2, work_dir="run", meta={})
    runner.register_optimizer_hook({"loss_scale": 8.0})
    runner.register_logger_hooks({"interval": 1})
    runner.run([[torch.tensor([1.0]), torch.tensor([HIGH])]], [("train", 1)])
    assert "skipped_steps: 1" in caplog.text
    (log,) = Path("run").glob("*.log.json")
    assert '"skipped_steps": 1' in log.read_text().splitlines()[-1]


def test_a_run_without_a_loss_scale_logs_no_skipped_steps() -> None:
    """The key is only logged where steps can be skipped."""
    _, lines = overflowing("iter", OptimizerHook(), [1.0])
    assert "skipped_steps" not in lines[0]


def test_skipped_windows_are_counted() -> None:
    """With accumulation, a step is that of a window, and the shorter window at the end counts too."""
    hook = OptimizerHook(loss_scale=8.0, cumulative_iters=2)
    _, lines = overflowing("epoch", hook, [1.0, 1.0, 1.0, HIGH, HIGH])
    assert [line["skipped_steps"] for line in lines] == [0, 0, 0, 1, 2]


def test_skipped_steps_of_one_of_several_optimizers_are_counted() -> None:
    """A step in which one of the optimizers is skipped counts as skipped."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Scalar(), Scalar()

        def train_step(self, data: Any, optimizer: Any) -> dict[str, Any]:
            loss = self.a.w + self.b.w * data.sum()
            return {"loss": loss, "log_vars": {}, "num_samples": 1}

    model = Two()
    optimizers = {n: torch.optim.SGD(getattr(model, n).parameters(), lr=0.1) for n in "ab"}
    runner = make_runner("iter", 2, model, optimizer=optimizers, meta={})
    hook = OptimizerHook(loss_scale=8.0)
    runner.register_hook(hook)
    runner.run([[torch.tensor([HIGH]), torch.tensor([1.0])]], [("train", 1)])
    assert hook.state_dict()["skipped_steps"]["total"] == 1
    assert model.a.w.item() == pytest.approx(0.8)


@pytest.mark.parametrize("hook", SCALED)
def test_static_scale_under_which_no_step_succeeds_stops_the_run(hook: OptimizerHook) -> None:
    """A long run is stopped early, and not after its last iteration."""
    with pytest.raises(
        NonFiniteLossError, match=r"last 20 steps were skipped .* loss scale of 8\. Use a lower"
    ):
        overflowing("iter", hook, [1.0, *[HIGH] * 50])


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_short_run_without_any_step_fails(kind: str, window: int) -> None:
    """A run in which the scale skipped every step does not end well."""
    hook = OptimizerHook(loss_scale=8.0, cumulative_iters=window)
    with pytest.raises(NonFiniteLossError, match=r"steps were skipped"):
        overflowing(kind, hook, [HIGH] * 5)


def test_run_of_unknown_length_without_any_step_fails() -> None:
    """It also fails if only the end of the loader shows which step was the last one."""
    runner = make_runner("epoch", 1, meta={})
    runner.register_hook(OptimizerHook(loss_scale=8.0, cumulative_iters=2))

    class Stream:
        def __iter__(self) -> Any:
            return iter([torch.tensor([HIGH])] * 3)

    with pytest.raises(NonFiniteLossError, match=r"steps were skipped"):
        runner.run([Stream()], [("train", 1)])


def test_dynamic_scale_at_its_floor_stops_the_run() -> None:
    """If steps are skipped however low the scale is, the run is stopped."""

    class Steep(Scalar):
        def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
            loss = (self.w - self.w.detach()).sqrt()  # 0, with an infinite gradient
            return {"loss": loss, "log_vars": {}, "num_samples": 1}

    runner = make_runner("iter", 100, Steep(), meta={})
    runner.register_hook(OptimizerHook(loss_scale="dynamic"))
    with pytest.raises(NonFiniteLossError, match=r"NaNGuardHook without a loss_scale"):
        runner.run([numbers(1)], [("train", 1)])
    assert runner.iter == 30


def test_dynamic_scale_may_begin_too_high(caplog: pytest.LogCaptureFixture) -> None:
    """A dynamic scale that is lowered until steps succeed is not an error; several in a row cause one warning."""
    hook = OptimizerHook(loss_scale={"init_scale": 2.0**16})
    _, lines = overflowing("iter", hook, [HIGH] * 20)
    assert lines[-1]["skipped_steps"] == 15
    assert caplog.text.count("steps were skipped") == 1
    _, lines = overflowing("iter", OptimizerHook(loss_scale="dynamic"), [HIGH] * 5)
    assert lines[-1]["skipped_steps"] == 5


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_count_of_skipped_steps_is_resumed(kind: str) -> None:
    """A resumed run continues the count."""
    batches = [torch.tensor([HIGH])] * 2

    def runner_of(length: int) -> Any:
        runner = make_runner(kind, length, work_dir="run", meta={})
        runner.register_hook(OptimizerHook(loss_scale={"init_scale": 2.0**16}), "ABOVE_NORMAL")
        runner.register_checkpoint_hook({"interval": 1})
        runner.register_hook(Lines(by_epoch=kind == "epoch"), "VERY_LOW")
        return runner

    runner_of(2).run([batches], [("train", 1)])
    second = runner_of(3)
    second.resume("run/latest.pth")
    second.run([batches], [("train", 1)])
    done = 2 * len(batches) if kind == "epoch" else 2
    assert second.hooks[-1].lines[0]["skipped_steps"] == done + 1
