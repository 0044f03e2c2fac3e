from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same

from cfgtrain.checkpoint.averages import average_names
from cfgtrain.config import Config
from cfgtrain.errors import ArgumentError, CheckpointError, CheckpointNotFoundError, ConfigError
from cfgtrain.experiment.assembly import build_model
from cfgtrain.experiment.saved_config import write_config
from cfgtrain.experiment.trained_model import load_trained_model, read_config

Load = Callable[..., Config]
DIGITS = {"classes": list("0123456789")}


@pytest.fixture
def cfg(configs: Path) -> Config:
    cfg = Config.fromfile(configs / "digits" / "lenet5.py")
    cfg.device = "cpu"
    return cfg


def save(cfg: Config, name: str = "a.pth", **meta: Any) -> dict[str, Any]:
    weights = build_model(cfg).state_dict()
    torch.save({"meta": meta, "state_dict": weights} if meta else weights, name)
    return weights


def test_weights_mode_and_meta(cfg: Config) -> None:
    """The model has the weights of the checkpoint and is in eval mode; the metainfo is that of its meta."""
    weights = save(cfg, metainfo=DIGITS, epoch=3)
    trained = load_trained_model(cfg, "a.pth")
    assert same(trained.model.state_dict(), weights)
    assert not any(each.training for each in trained.model.modules())
    assert trained.metainfo == DIGITS
    assert (trained.meta["epoch"], trained.checkpoint) == (3, "a.pth")


@pytest.mark.parametrize(
    ("meta", "metainfo"), [({}, {}), ({"epoch": 1}, {}), ({"CLASSES": ("a", "b")}, {"classes": ["a", "b"]})]
)
def test_metainfo_of_other_checkpoints(cfg: Config, meta: dict[str, Any], metainfo: dict[str, Any]) -> None:
    """A checkpoint of MMCV has the names of classes; a file of ``torch.save(model.state_dict())`` has none."""
    save(cfg, **meta)
    assert load_trained_model(cfg, "a.pth").metainfo == metainfo


def test_neither_init_cfg_nor_data_is_read(cfg: Config) -> None:
    """Initial weights that do not exist, and a missing dataset, do not matter."""
    save(cfg)
    cfg.model.init_cfg = {"type": "Pretrained", "checkpoint": "missing.pth"}
    cfg.data.test.type = "Missing"
    assert load_trained_model(cfg, "a.pth").meta == {}


def test_second_versions_of_averaged_weights_are_left_out(cfg: Config) -> None:
    """A checkpoint of a run with ``EMAHook`` fits, with the weights that it has under their names."""
    model = build_model(cfg)
    weights = model.state_dict()
    names = {name: "ema_" + name.replace(".", "_") for name in weights}
    torch.save(
        {"state_dict": {**weights, **{new: weights[old] + 1 for old, new in names.items()}}}, "ema.pth"
    )
    assert average_names(torch.load("ema.pth")["state_dict"]) == names
    assert same(load_trained_model(cfg, "ema.pth").model.state_dict(), weights)


def test_other_architecture_is_an_error_with_the_report(cfg: Config) -> None:
    """The error names the checkpoint and lists each tensor that differs."""
    save(cfg)
    cfg.model.backbone.num_classes = 7
    with pytest.raises(
        CheckpointError, match=r"a\.pth: The model and the loaded weights do not match exactly"
    ) as info:
        load_trained_model(cfg, "a.pth")
    assert "backbone.classifier.2.weight  (7, 84)       (10, 84)" in str(info.value)


def test_missing_checkpoint_and_device(cfg: Config) -> None:
    """A checkpoint that is not there is named with the nearest one; a device must be available."""
    save(cfg, "epoch_1.pth")
    with pytest.raises(CheckpointNotFoundError, match=r"Did you mean 'epoch_1\.pth'"):
        load_trained_model(cfg, "epoch1.pth")
    with pytest.raises(ArgumentError, match="'gpu' is not a device"):
        load_trained_model(cfg, "epoch_1.pth", "gpu")


def test_config_is_given_as_path_object_or_work_dir(cfg: Config, configs: Path, tmp_path: Path) -> None:
    """Each of the three gives the same config; a folder without one is an error."""
    assert read_config(cfg) is cfg
    file = configs / "digits" / "lenet5.py"
    assert read_config(str(file)).model == cfg.model
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ConfigError, match="holds no config"):
        read_config(folder)
    write_config(cfg, folder)
    assert read_config(folder).model == cfg.model
