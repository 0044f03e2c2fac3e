from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same
from torch import Tensor, nn

from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.errors import ConfigValueError
from cfgtrain.experiment.assembly import build_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner import Hook
from cfgtrain.train import train

Load = Callable[..., Config]
FREEZE = ["backbone.0", "backbone.stem.*"]


@MODELS.register_module()
class NormNet(nn.Sequential):
    """Two convolutions with batch normalizations, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.append(nn.Conv2d(1, 2, 3, stride=4))
        self.add_module("stem", nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
        self.add_module("conv", nn.Conv2d(2, 4, 3, stride=4))
        self.add_module("norm", nn.BatchNorm2d(4))
        self.add_module("fc", nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(self.stem(self[0](x))))
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def load(configs: Path) -> Load:
    """A short training of a network with batch normalizations on the digits."""

    def call(epochs: int = 2, **keys: Any) -> Config:
        cfg = Config.fromfile(configs / "digits" / "lenet5.py")
        cfg.model.backbone = {"type": "NormNet"}
        cfg.lr_config = {"policy": "fixed"}
        cfg.runner.max_epochs = epochs
        cfg.device = "cpu"
        for key, value in keys.items():
            cfg[key] = value
        return cfg

    return call


def saved(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def is_frozen(name: str) -> bool:
    return name.startswith(("backbone.0.", "backbone.stem."))


def test_frozen_parts_do_not_change_in_training(load: Load, tmp_path: Path) -> None:
    """Frozen weights and running statistics keep the loaded values through a run with evaluations; others change."""
    start = build_model(load()).state_dict()
    torch.save(start, tmp_path / "start.pth")
    modes = set()

    @HOOKS.register_module()
    class WatchModes(Hook):
        def before_train_iter(self, runner: Any) -> None:
            net = runner.model.backbone
            modes.add((net.stem[0].training, net.norm.training, net[0].weight.requires_grad))

    cfg = load(
        freeze=FREEZE,
        load_from=str(tmp_path / "start.pth"),
        work_dir=str(tmp_path / "run"),
        custom_hooks=[{"type": "WatchModes"}],
    )
    cfg.optimizer.weight_decay = 0.1
    result = train(cfg)
    assert modes == {(False, True, False)}
    for name, value in result.runner.model.state_dict().items():
        assert torch.equal(value, start[name]) == is_frozen(name), name
    log = next((tmp_path / "run").glob("*.log")).read_text()
    assert "Frozen: 2 modules, 24 of 278 parameters" in log


def test_resume_is_exact(load: Load, tmp_path: Path) -> None:
    """A run with frozen parts that is interrupted and resumed has the bits of an uninterrupted one."""
    train(load(2, freeze=FREEZE, work_dir=str(tmp_path / "whole")))
    train(load(1, freeze=FREEZE, work_dir=str(tmp_path / "parts")))
    train(load(2, freeze=FREEZE, work_dir=str(tmp_path / "parts"), resume_from="auto"))
    whole, parts = (saved(tmp_path / run / "epoch_2.pth") for run in ("whole", "parts"))
    assert same(whole["state_dict"], parts["state_dict"])
    assert same(whole["optimizer"], parts["optimizer"])


def test_freezing_can_begin_when_a_run_is_resumed(load: Load, tmp_path: Path) -> None:
    """With ``freeze`` added to the config, the resumed run trains only the rest."""
    train(load(1, work_dir=str(tmp_path)))
    before = saved(tmp_path / "epoch_1.pth")["state_dict"]
    train(load(2, freeze=FREEZE, work_dir=str(tmp_path), resume_from="auto"))
    after = saved(tmp_path / "epoch_2.pth")["state_dict"]
    for name, value in after.items():
        assert torch.equal(value, before[name]) == is_frozen(name), name


def test_wrong_pattern(load: Load, tmp_path: Path) -> None:
    """A pattern that matches nothing, and one that leaves nothing to train, is an error before the run."""
    with pytest.raises(
        ConfigValueError, match=r"'backbone\.sten\.\*' matches no .* Did you mean 'backbone\.stem'"
    ):
        train(load(freeze=["backbone.sten.*"], work_dir=str(tmp_path / "run")))
    assert not list((tmp_path / "run").glob("*.pth"))
    with pytest.raises(ConfigValueError, match="Every parameter is frozen"):
        build_model(load(freeze=["*"]))
    with pytest.raises(ConfigValueError, match="freeze is a list of names"):
        train(load(freeze="backbone"))


def test_no_freezing(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """None and an empty list freeze nothing and log nothing."""
    with caplog.at_level("INFO"):
        for value in (None, []):
            assert all(each.requires_grad for each in build_model(load(freeze=value)).parameters())
    assert "Frozen" not in caplog.text


def test_checkpoints_know_the_classes(load: Load, tmp_path: Path) -> None:
    """A checkpoint contains the metainfo of the training dataset, and its classes also under MMCV's name."""
    result = train(load(epochs=1, work_dir=str(tmp_path)))
    meta = saved(result.work_dir / "epoch_1.pth")["meta"]
    assert meta["metainfo"] == {"classes": list("0123456789")}
    assert meta["CLASSES"] == list("0123456789")
