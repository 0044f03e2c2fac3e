from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TO_TENSORS, Scalar, Squares, TinyNet, make_runner, numbers, squares_loader
from torch import nn

from cfgtrain.errors import NonFiniteLossError
from cfgtrain.random_state import RandomState
from cfgtrain.runner.hooks.nan_guard import NaNGuardHook, all_finite


class Broken(TinyNet):
    """Its loss is not finite when sample 7 is in the batch."""

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        outputs = super().train_step({k: data[k] for k in ("img", "gt_label")}, optimizer)
        if data["img"].mean() > 1e3:
            outputs["loss"] = outputs["loss"] * float("inf")
        outputs["log_vars"]["extra"] = 2.0
        return outputs


class WithOutlier(Squares):
    """Sample 7 is an outlier."""

    def __getitem__(self, index: int) -> Any:
        sample = super().__getitem__(index)
        return {**sample, "img": sample["img"] + 1e6} if index == 7 else sample

    def source(self, index: int) -> str:
        return f"squares/{index}.png"


def guarded(kind: str, length: int, model: nn.Module, folder: Path, **words: Any) -> Any:
    runner = make_runner(kind, length, model, work_dir=folder)
    runner.register_training_hooks(None, {})
    runner.register_custom_hooks({"type": "NaNGuardHook", **words})
    return runner


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_non_finite_loss(kind: str, tmp_path: Path) -> None:
    """The run stops before the step, names the samples, and saves what is needed to repeat the iteration."""
    from cfgtrain.data.builder import build_dataloader

    loader = build_dataloader(WithOutlier(pipeline=TO_TENSORS), 5, seed=3)
    runner = guarded(kind, 9, Broken(dropout=0.5), tmp_path)
    with pytest.raises(NonFiniteLossError, match=r"loss is inf at iteration \d+ .*samples .*7") as caught:
        runner.run([loader], [("train", 1)])
    (file,) = tmp_path.glob("nan_iter_*.pt")
    assert str(file) in caught.value.__notes__[0]
    saved = torch.load(file, weights_only=False)
    assert 7 in saved["indices"]
    assert saved["sources"] == [f"squares/{index}.png" for index in saved["indices"]]
    assert saved["scalars"]["iteration"]["extra"] == 2.0
    assert saved["what"] == "loss"
    model = Broken(dropout=0.5)
    model.load_state_dict(saved["state_dict"])
    RandomState.restore(saved["random"])
    again = model.train_step(saved["batch"])
    assert not again["loss"].isfinite()
    assert len(saved["batch"]["img"]) == len(saved["indices"])


def test_non_finite_gradient(tmp_path: Path) -> None:
    """A non-finite gradient of a finite loss stops the run before the weights change."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {
        "loss": (model.w - 1).abs().sqrt() + batch.sum(),
        "num_samples": 1,
    }
    runner = guarded("epoch", 1, model, tmp_path)
    with pytest.raises(NonFiniteLossError, match=r"gradient of w is (nan|inf) at iteration 1 "):
        runner.run([numbers(2)], [("train", 1)])
    assert model.w.item() == 1.0
    assert not runner.optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("clip", [None, {"max_norm": 1.0}])
def test_overflow_is_handled_by_the_loss_scale(clip: Any, fused: bool, tmp_path: Path) -> None:
    """A step whose scaled gradients overflow is skipped, also by a fused optimizer, and the run continues."""
    model = Scalar()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
    runner = make_runner("iter", 2, model, optimizer=optimizer, work_dir=tmp_path)
    runner.register_optimizer_hook({"loss_scale": {"init_scale": 4.0}, "grad_clip": clip})
    runner.register_custom_hooks({"type": "NaNGuardHook"})
    runner.run([[torch.tensor([1e38]), torch.tensor([1.0])]], [("train", 1)])
    assert model.w.item() == pytest.approx(0.9)


def test_finite_run_is_not_stopped(tmp_path: Path) -> None:
    """Large finite numbers do not stop the run, and no file is written."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"loss": model.w * 1e18, "num_samples": 1}
    runner = guarded("iter", 3, model, tmp_path)
    runner.run([numbers(2)], [("train", 1)])
    assert runner.iter == 3
    assert not list(tmp_path.glob("nan_*"))


def test_checks_at_intervals(tmp_path: Path) -> None:
    """With an interval of three the third iteration is checked, and the first two are not."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"loss": model.w * float("nan"), "num_samples": 1}
    runner = guarded("iter", 9, model, tmp_path, interval=3, save=False)
    with pytest.raises(NonFiniteLossError, match="iteration 3 "):
        runner.run([numbers(2)], [("train", 1)])
    assert not list(tmp_path.glob("nan_*"))


@pytest.mark.parametrize("interval", [0, -1, 1.5])
def test_interval_is_a_positive_int(interval: Any) -> None:
    """Another interval is refused."""
    with pytest.raises(ValueError, match=r"interval must be (at least 1|an integer)"):
        NaNGuardHook(interval=interval)


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ([], True),
        ([torch.zeros(0), torch.ones(2)], True),
        ([torch.zeros(0)], True),
        ([torch.full((2,), 1e300, dtype=torch.float64), torch.ones(1)], True),
        ([torch.ones(2, dtype=torch.bfloat16), torch.tensor([1.0, float("nan")])], False),
        ([torch.eye(3).to_sparse()], True),
        ([torch.tensor([0.0, float("-inf")]).to_sparse()], False),
        ([torch.full((70,), 60000.0, dtype=torch.float16)], True),
        ([torch.tensor([1.0, float("-inf")]), torch.ones(2)], False),
        ([torch.ones(2, dtype=torch.complex64), torch.tensor([1, 2]), torch.tensor(True)], True),
        ([torch.tensor([1.0, complex(0, float("inf"))])], False),
    ],
)
def test_all_finite(tensors: list[torch.Tensor], expected: bool) -> None:
    """Empty and sparse tensors, complex numbers, integers and numbers at the end of a range are checked correctly."""
    assert all_finite(tensors) is expected


def test_gradient_outside_the_model(tmp_path: Path) -> None:
    """A parameter of the optimizer that is not in the model stops the run as well."""
    runner = guarded("epoch", 1, Scalar(), tmp_path)
    own = nn.Parameter(torch.ones(1))
    own.grad = torch.tensor([float("inf")])
    runner.optimizer.add_param_group({"params": [own]})
    runner.optimizer.zero_grad = lambda: None
    with pytest.raises(NonFiniteLossError, match="gradient of a parameter is inf"):
        runner.run([numbers(2)], [("train", 1)])


def test_batch_that_cannot_be_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the file cannot be written, that is logged as an error, and the run stops with the original error."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"loss": model.w * float("nan"), "num_samples": 1}
    runner = guarded("iter", 1, model, tmp_path)
    with pytest.raises(NonFiniteLossError):
        runner.run([[lambda: None]], [("train", 1)])
    assert "cannot be written" in caplog.text


def test_does_not_change_the_run(tmp_path: Path) -> None:
    """The checks do not use random numbers."""

    def end(guard: bool) -> Any:
        torch.manual_seed(1)
        runner = make_runner("epoch", 2, TinyNet(dropout=0.5), work_dir=tmp_path)
        runner.register_training_hooks(
            None, {}, custom_hooks_config={"type": "NaNGuardHook"} if guard else None
        )
        runner.run([squares_loader()], [("train", 1)])
        return runner.model.fc.weight

    assert torch.equal(end(True), end(False))
