from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.errors import ArgumentError, CheckError, ConfigKeyError, ConfigValueError, UnknownNameError
from cfgtrain.model_summary import Input, summarize_model

Load = Callable[..., Config]


@pytest.fixture
def load(configs: Path) -> Load:
    """The digits experiment with some keys replaced."""

    def call(**keys: Any) -> Config:
        cfg = Config.fromfile(configs / "digits" / "lenet5.py")
        for key, value in keys.items():
            cfg[key] = value
        return cfg

    return call


@MODELS.register_module()
class Probe(nn.Module):
    """A layer, and a record of what it was given; ``item`` reads a value, which the meta device has not."""

    devices: ClassVar[list[str]] = []

    def __init__(self, item: bool = False, pretrained: str | None = None) -> None:
        super().__init__()
        assert pretrained is None
        self.fc = nn.Linear(4, 2)
        self.item = item

    def forward(self, x: Tensor) -> Tensor:
        self.devices.append(x.device.type)
        if self.item and self.fc(x).sum().item() > 1e9:
            raise ValueError
        return self.fc(x)  # type: ignore[no-any-return]

    def init_weights(self) -> None:
        raise AssertionError("weights are not initialized")


def test_sample_of_the_data(load: Load) -> None:
    """Without a shape, one sample of the test dataset goes through its pipeline and the model, as in a test."""
    summary = summarize_model(load())
    assert summary.part == "test"
    assert summary.inputs == [Input("img", (1, 1, 32, 32), "float32"), Input("gt_label", (1,), "int64")]
    layers = summary.measured.layers
    assert layers[""].outputs == [(1, 10)]
    assert layers["backbone.features"].outputs == [(1, 120, 1, 1)]
    assert layers["loss"].calls == 0
    assert layers["backbone.features.0"].module.weight.is_meta
    total = summary.measured.total()
    assert (total.params, total.trainable) == (61706, 61706)
    assert summary.weight_bytes == 4 * 61706


def test_part_of_the_sample(load: Load) -> None:
    """The validation and the training dataset replace a missing test dataset; without any, it is an error."""
    cfg = load()
    del cfg.data["test"]
    assert summarize_model(cfg).part == "val"
    del cfg.data["val"]
    assert summarize_model(cfg).part == "train"
    cfg.data = {"samples_per_gpu": 2}
    with pytest.raises(ConfigKeyError, match="data has no 'train'"):
        summarize_model(cfg)


def test_given_shape(load: Load) -> None:
    """With a shape, a config with only a model is enough, and no data is read."""
    cfg = Config({"model": {"type": "ResNet", "depth": 50}})
    summary = summarize_model(cfg, (3, 224, 224))
    assert summary.part is None
    assert summary.inputs == [Input("", (1, 3, 224, 224), "float32")]
    assert summary.measured.total().flops == 4_119_775_744
    assert len(summary.measured.layers[""].outputs) == 4
    cfg = load()
    cfg.data.test = {"type": "Digits", "split": "nothing"}
    assert summarize_model(cfg, [1, 32, 32]).measured.layers[""].outputs == [(1, 10)]


def test_weights_are_not_loaded() -> None:
    """``pretrained`` is disabled and ``init_weights`` is not called."""
    Probe.devices.clear()
    summarize_model(Config({"model": {"type": "Probe", "pretrained": "no.pth"}}), [4])
    assert Probe.devices == ["meta"]


def test_model_that_reads_values() -> None:
    """A model that cannot run on the meta device runs on the CPU."""
    Probe.devices.clear()
    summary = summarize_model(Config({"model": {"type": "Probe", "item": True}}), [4])
    assert Probe.devices == ["meta", "cpu"]
    assert summary.measured.total().flops == 16


def test_freeze_is_applied(load: Load) -> None:
    """Frozen parameters are not counted as trained, and need no memory; a wrong pattern is an error."""
    whole = summarize_model(load()).measured.total()
    total = summarize_model(load(freeze=["backbone.features"])).measured.total()
    assert (total.params, total.trainable) == (61706, 61706 - 50692)
    assert total.memory < whole.memory / 10
    with pytest.raises(ConfigValueError, match=r"Did you mean 'backbone\.features'"):
        summarize_model(load(freeze=["backbone.featurs.*"]))


def test_forward_dummy() -> None:
    """A given shape is passed to the method that MMCV's tools call, if there is one."""

    @MODELS.register_module()
    class Detector(Probe):
        def forward(self, img: Tensor, img_metas: Any) -> Tensor:
            raise AssertionError

        def forward_dummy(self, img: Tensor) -> Tensor:
            return self.fc(img)  # type: ignore[no-any-return]

    total = summarize_model(Config({"model": {"type": "Detector"}}), [4]).measured.total()
    assert (total.flops, total.memory) == (8, 16)


@MODELS.register_module()
class TwoInputs(nn.Module):
    def forward(self, img: Tensor, mask: Tensor) -> Tensor:
        return img * mask


def test_model_with_several_inputs(load: Load) -> None:
    """A model that needs more than the tensor, or than what the sample has, is an error that says so."""
    cfg = load(model={"type": "TwoInputs"})
    with pytest.raises(ArgumentError) as caught:
        summarize_model(cfg, [1, 2])
    text = str(caught.value)
    assert (
        "TwoInputs.forward cannot be called with one tensor: missing a required argument: 'mask'; its arguments are (img, mask)."
        in text
    )
    assert "Leave out --shape" in text
    with pytest.raises(
        ArgumentError, match=r"sample of data.test, which has img, gt_label: missing .* 'mask'"
    ):
        summarize_model(cfg)


def test_model_with_named_inputs(load: Load) -> None:
    """Of a sample, the model gets the arguments that its forward has."""

    @MODELS.register_module()
    class Second(nn.Module):
        def forward(self, gt_label: Tensor) -> Tensor:
            return gt_label.float()

    summary = summarize_model(load(model={"type": "Second"}))
    assert summary.measured.layers[""].outputs == [(1,)]


def test_shape_that_does_not_fit(load: Load) -> None:
    """The error says in which layer the forward failed."""
    with pytest.raises(ArgumentError) as caught:
        summarize_model(load(), [1, 40, 40])
    text = str(caught.value)
    assert (
        "cannot process an input of shape (1, 1, 40, 40): RuntimeError in the layer backbone.classifier.0 (Linear)"
        in text
    )
    assert "mat1 and mat2 shapes cannot be multiplied" in text
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_error_of_the_model_itself() -> None:
    """An exception that no layer raises is the original one."""

    @MODELS.register_module()
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError, match="oops"):
        summarize_model(Config({"model": {"type": "Broken"}}), [1])


def test_wrong_configs(load: Load) -> None:
    """The model and, for a sample, the data are checked; the rest of the config is not."""
    with pytest.raises(ConfigKeyError, match="The config has no 'model', which is required here"):
        summarize_model(Config({}), [1])
    with pytest.raises(CheckError, match="2 problems"):
        summarize_model(Config({}))
    with pytest.raises(UnknownNameError, match="Did you mean 'LeNet5'"):
        summarize_model(load(model={"type": "LeNet6"}), [1])
    with pytest.raises(ConfigValueError, match="freeze is a list of names"):
        summarize_model(load(freeze="backbone"), [1])
    with pytest.raises(ConfigKeyError, match="data has no setting 'tst'"):
        summarize_model(load(data={"tst": {}, "train": {"type": "Digits", "split": "train"}}))
    assert summarize_model(load(runner={"type": "no"}), [1, 32, 32])
    empty = {"train": {"type": "torch.utils.data.TensorDataset"}}
    with pytest.raises(ConfigValueError, match=r"data\.train is empty"):
        summarize_model(load(data=empty | {"train": {"type": f"{__name__}.Empty"}}))


class Empty(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 0
