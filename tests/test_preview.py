from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.data import Digits
from cfgtrain.errors import ArgumentError, BuildError
from cfgtrain.preview import preview_schedule
from cfgtrain.runner import HOOKS, Hook, LrUpdaterHook
from cfgtrain.train import train

Load = Callable[..., Config]


@pytest.fixture
def load(configs: Path) -> Load:
    """The digits experiment, shortened, with some keys replaced."""

    def call(name: str = "lenet5", **keys: Any) -> Config:
        cfg = Config.fromfile(configs / "digits" / f"{name}.py")
        for key, value in keys.items():
            cfg[key] = value
        return cfg

    return call


EPOCHS = {"type": "EpochBasedRunner", "max_epochs": 2}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("lenet5", {"runner": EPOCHS}),
    ("lenet5", {"runner": EPOCHS, "momentum_config": {"policy": "OneCycle"},
                "lr_config": {"policy": "OneCycle", "max_lr": 0.2}}),
    ("lenet5", {"runner": EPOCHS, "lr_config": {"policy": "Torch", "by_epoch": False,
                                                "scheduler": {"type": "ExponentialLR", "gamma": 0.9}}}),
    ("lenet5_iter", {"runner": {"type": "IterBasedRunner", "max_iters": 21}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "keys"), CASES)
def test_preview_is_what_the_training_does(load: Load, name: str, keys: dict[str, Any]) -> None:
    """The values of each iteration are those of the real run, to the last bit."""
    seen: list[tuple[float, float]] = []

    @HOOKS.register_module()
    class WatchRates(Hook):
        def before_train_iter(self, runner: Any) -> None:
            seen.append((runner.current_lr()[0], runner.current_momentum()[0]))

    preview = preview_schedule(load(name, **keys))
    train(load(name, **keys, custom_hooks=[{"type": "WatchRates", "priority": "LOWEST"}], evaluation=None))
    (lr,), (momentum,) = preview.lr, preview.momentum
    assert list(zip(lr.values, momentum.values, strict=True)) == seen
    assert lr.at == momentum.at == list(range(preview.iters))


def test_parameters_with_equal_values_share_a_line(load: Load) -> None:
    """There is one line for all parameters with the same values, labelled with their names."""
    cfg = load(runner=EPOCHS)
    cfg.optimizer.paramwise_cfg = {"custom_keys": {"classifier": {"lr_mult": 0.5}}}
    preview = preview_schedule(cfg)
    assert [line.label for line in preview.lr] == [
        "backbone.features.0.weight and 5 more",
        "backbone.classifier.0.weight and 3 more",
    ]
    assert [line.label for line in preview.momentum] == ["all 10 parameters"]
    assert preview.lr[1].values == pytest.approx([value / 2 for value in preview.lr[0].values])


def test_several_optimizers_are_all_shown(load: Load) -> None:
    """Each optimizer in a dict of them has its lines."""
    parts = {
        "backbone.features": {"type": "SGD", "lr": 1.0},
        "backbone.classifier": {"type": "Adam", "lr": 2.0},
    }
    preview = preview_schedule(load(runner=EPOCHS, optimizer=parts, lr_config={"policy": "fixed"}))
    assert [line.values[0] for line in preview.lr] == [1.0, 2.0]
    assert [line.values[0] for line in preview.momentum] == [0.0, 0.9]


def test_long_runs_are_sampled(load: Load) -> None:
    """Of millions of iterations thousands are computed, among them the first and last of each epoch."""
    preview = preview_schedule(load(runner={**EPOCHS, "max_epochs": 30}), iters_per_epoch=100_000)
    at = preview.lr[0].at
    assert preview.iters == 3_000_000
    assert len(at) < 10_000
    assert at == sorted(set(at))
    assert {0, 99_999, 100_000, 2_999_999} <= set(at)


def test_a_given_length_needs_no_data(load: Load) -> None:
    """With ``iters_per_epoch`` the dataset is not built."""
    cfg = load(runner=EPOCHS)
    cfg.data.train = {"type": "torch.empty", "size": "not built"}
    assert preview_schedule(cfg, iters_per_epoch=3).iters == 6


def test_stream_needs_a_given_length(load: Load) -> None:
    """Training data without a length can be previewed if the length of an epoch is given."""
    cfg = load(runner=EPOCHS, lr_config={"policy": "step", "step": 1})
    cfg.data.train = {"type": f"{__name__}.Stream"}
    with pytest.raises(ArgumentError, match="--iters-per-epoch"):
        preview_schedule(cfg)
    assert preview_schedule(cfg, iters_per_epoch=3).iters == 6


class Stream(torch.utils.data.IterableDataset[Any]):
    """Nothing, without a length."""

    def __iter__(self) -> Any:
        return iter(())


def test_a_schedule_that_follows_scores_is_marked(load: Load) -> None:
    """Scores are unknown before the run, so the preview says that the rate depends on them."""
    cfg = load(runner=EPOCHS, lr_config={"policy": "ReduceOnPlateau"})
    preview = preview_schedule(cfg)
    assert preview.follows_scores
    assert set(preview.lr[0].values) == {0.1}
    assert not preview_schedule(load(runner=EPOCHS)).follows_scores


def test_a_wrong_config_is_an_error(load: Load) -> None:
    """The config is checked as for a training run."""
    with pytest.raises(BuildError, match="Did you mean 'power'"):
        preview_schedule(load(lr_config={"policy": "poly", "pwer": 1}))


def test_a_custom_policy_is_previewed(load: Load) -> None:
    """A custom policy is called as in a run, epoch by epoch."""

    @HOOKS.register_module()
    class HalvingLrUpdaterHook(LrUpdaterHook):
        def get_lr(self, runner: Any, base_lr: float) -> float:
            return base_lr / 2**runner.epoch

    preview = preview_schedule(load(runner=EPOCHS, lr_config={"policy": "halving"}), iters_per_epoch=2)
    assert preview.lr[0].values == [0.1, 0.1, 0.05, 0.05]


def test_nothing_is_written(load: Load, tmp_path: Path) -> None:
    """A preview leaves no folder."""
    preview_schedule(load(runner=EPOCHS))
    assert list(tmp_path.iterdir()) == []


@MODELS.register_module()
class Watching(nn.Module):
    """Records the device of its weights; ``look`` reads one in the constructor."""

    seen: ClassVar[list[Any]] = []

    def __init__(self, look: bool = False, pretrained: Any = None) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.tied = self.fc
        self.seen.append((self.fc.weight.device.type, pretrained))
        if look:
            self.scale = self.fc.weight.detach().abs().max().item()

    def train_step(self, batch: Any, optimizer: Any) -> Any:
        raise AssertionError

    def init_weights(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("look", "pretrained", "seen"),
    [
        (False, "torchvision://resnet50", [("meta", None)]),
        (False, True, [("meta", False)]),
        (True, None, [("meta", None), ("cpu", None)]),
    ],
)
@pytest.mark.parametrize("fused", [False, True])
def test_model_is_built_without_weights(
    load: Load, look: bool, pretrained: Any, seen: list[Any], fused: bool
) -> None:
    """The weights need no memory and no file, unless the constructor reads them; any optimizer works."""
    Watching.seen.clear()
    cfg = load(runner=EPOCHS, model={"type": "Watching", "look": look, "pretrained": pretrained})
    cfg.load_from = "nothing.pth"
    cfg.optimizer = {"type": "Adam", "lr": 0.5, "fused": fused}
    cfg.lr_config = {"policy": "fixed"}
    preview = preview_schedule(cfg)
    assert Watching.seen == seen
    assert (preview.lr[0].label, set(preview.lr[0].values)) == ("all 2 parameters", {0.5})
    assert cfg.model.pretrained == pretrained


def test_no_sample_is_read(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the length of the training dataset is used."""
    monkeypatch.setattr(Digits, "__getitem__", None)  # a call of it fails
    assert preview_schedule(load(runner=EPOCHS)).iters == 34
