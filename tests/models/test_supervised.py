from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from cfgtrain.check import check
from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.config import Config
from cfgtrain.errors import ArgumentError, CfgTrainError, CheckError, ConfigValueError
from cfgtrain.model_summary import summarize_model
from cfgtrain.models import SupervisedModel
from cfgtrain.registries import MODELS
from cfgtrain.train import train

Write = Callable[[str, str], Path]

ROWS = torch.linspace(-1, 1, 20).reshape(10, 2)
NET = {
    "type": "torch.nn.Sequential",
    "args": [
        {"type": "torch.nn.Linear", "in_features": 2, "out_features": 4},
        {"type": "torch.nn.BatchNorm1d", "num_features": 4},
        {"type": "torch.nn.Dropout", "p": 0.2},
        {"type": "torch.nn.Linear", "in_features": 4, "out_features": 1},
    ],
}


class Adder(nn.Module):
    """Adds its inputs, each scaled by the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, *inputs: Tensor) -> Tensor:
        return sum(self.w * each for each in inputs)  # type: ignore[return-value]


class Wrapper(nn.Module):
    """Takes a module, a list of modules, and configs that it would build itself."""

    def __init__(
        self, body: Any, parts: Any = (), act_cfg: Any = None, extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.given = (body, parts, act_cfg, extra)


def test_nested_configs() -> None:
    """Configs inside the config of a class that does not build them are built, at any depth."""
    model = SupervisedModel(NET, "MSELoss")
    assert [type(layer).__name__ for layer in model.net] == ["Linear", "BatchNorm1d", "Dropout", "Linear"]
    listed = SupervisedModel(NET["args"], "MSELoss")  # type: ignore[arg-type]
    assert [type(layer).__name__ for layer in listed.net] == ["Linear", "BatchNorm1d", "Dropout", "Linear"]
    relu = {"type": "torch.nn.ReLU"}
    wrapper = {
        "type": f"{__name__}.Wrapper",
        "body": {"type": "torch.nn.Sequential", "args": [relu]},
        "parts": {"a": [relu, 3]},
        "act_cfg": {"type": "ReLU"},
        "extra": {"type": "ReLU"},
    }
    body, parts, act_cfg, extra = SupervisedModel(wrapper, "MSELoss").net.given
    assert isinstance(body[0], nn.ReLU)
    assert isinstance(parts["a"][0], nn.ReLU)
    assert parts["a"][1] == 3
    assert act_cfg == extra == {"type": "ReLU"}


def test_a_function_and_a_registered_network() -> None:
    """The network can be what a function returns, or a network of the registry, which builds its own configs."""
    made = SupervisedModel({"type": f"{__name__}.make_net", "width": 3}, "MSELoss")
    assert made.net.out_features == 3
    lenet = SupervisedModel({"type": "LeNet5", "num_classes": 4}, "CrossEntropyLoss")
    assert lenet(torch.zeros(2, 1, 32, 32), return_loss=False).shape == (2, 4)


def make_net(width: int) -> nn.Module:
    return nn.Linear(2, width)


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        ({}, {"inputs": 3.0, "targets": 1.0}),
        ({}, {"img": 3.0, "gt_label": 1.0, "index": 5.0}),
        ({}, {"row": 3.0, "label": 1.0}),
        ({"inputs": "a", "targets": "b"}, {"b": 1.0, "a": 3.0, "targets": 7.0}),
        ({"inputs": ["a", "c"]}, {"a": 1.0, "c": 2.0, "target": 1.0}),
        ({}, (3.0, 1.0)),
        ({}, (1.0, 2.0, 1.0)),
        ({"inputs": 1, "targets": 0}, (1.0, 3.0, 9.0)),
        ({"inputs": [0, 2]}, [1.0, 9.0, 2.0, 1.0]),
    ],
)
def test_inputs_and_targets(settings: dict[str, Any], batch: Any) -> None:
    """They are found by name or position, in dicts and tuples; here the inputs sum to 3 and the target is 1."""
    if isinstance(batch, dict):
        batch = {key: torch.full((2, 1), value) for key, value in batch.items()}
    else:
        batch = type(batch)(torch.full((2, 1), value) for value in batch)
    model = SupervisedModel(Adder(), "MSELoss", **settings)
    outputs = model.train_step(batch, None)
    outputs["loss"].backward()
    assert outputs["loss"] == 4
    assert model.net.w.grad == 12
    assert model.val_step(batch)["loss"] == 4
    items, named = ((), batch) if isinstance(batch, dict) else (batch, {})
    predicted, losses = model.forward_with_loss(*items, **named)
    assert torch.equal(predicted, torch.full((2, 1), 3.0))
    assert losses["loss"] == 4
    assert torch.equal(model(*items, **named, return_loss=False), predicted)


def test_predictions_need_no_targets() -> None:
    """A batch without targets can be predicted; a single item of a tuple is the input."""
    model = SupervisedModel(Adder(), "BCEWithLogitsLoss")
    x = torch.tensor([[0.0], [2.0]])
    for batch, items in (({"inputs": x}, ()), ({}, (x,))):
        assert torch.equal(model(*items, **batch, return_loss=False), x.sigmoid())
        assert model.forward_with_loss(*items, **batch)[1] == {}
    outputs = SupervisedModel(Adder(), "BCEWithLogitsLoss", predictions="outputs")
    assert torch.equal(outputs(x, return_loss=False), x)


@pytest.mark.parametrize(
    ("settings", "batch", "message"),
    [
        ({}, {"x": 1}, "needs the targets 'gt_label' or 'targets' .* and a batch has 'x'"),
        ({"targets": "prize"}, {"x": 1, "price": 2}, "needs the targets 'prize' .*Did you mean 'price'"),
        ({"inputs": "imgs"}, {"img": 1, "targets": 2}, "needs the inputs 'imgs' .*Did you mean 'img'"),
        ({}, {"a": 1, "b": 2, "targets": 3}, "needs the inputs 'inputs' or .*Name their key with inputs="),
        ({"inputs": 4}, (1, 2), "needs the inputs 4 of a batch, and a batch has 0, 1"),
    ],
)
def test_missing_inputs_or_targets(settings: dict[str, Any], batch: Any, message: str) -> None:
    """The error names what is missing, and what the batch has."""
    with pytest.raises(ArgumentError, match=message):
        SupervisedModel(Adder(), "MSELoss", **settings).train_step(batch)


def test_timm_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """``init_weights`` of timm's networks is not called, since it would replace pretrained weights."""

    class Pretrained(nn.Linear):
        def init_weights(self) -> None:
            raise AssertionError

    Pretrained.__module__ = "timm.models.x"
    SupervisedModel(Pretrained(1, 1), "MSELoss").init_weights()


CONFIG = """
model = dict(
    type='SupervisedModel',
    loss='MSELoss',
    net=dict(
        type='torch.nn.Sequential',
        args=[
            dict(type='torch.nn.Linear', in_features=2, out_features=1),
        ]))
data = dict(samples_per_gpu=3, train=dict(type='houses.Houses'))
optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
runner = dict(type='EpochBasedRunner', max_epochs=3)
checkpoint_config = dict(interval=1)
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
"""

HOUSES = '''
import torch


class Houses(torch.utils.data.Dataset):
    """Eleven rows of a table: two numbers and a price, as a tuple."""

    def __len__(self):
        return 11

    def __getitem__(self, index):
        x = torch.tensor([index / 10, (index * 7 % 10) / 10])
        return x + 0.01 * torch.randn(2), 3 * x[0] - x[1]
'''


@pytest.fixture
def houses(write: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Return a function that loads the config of a regression whose dataset returns tuples."""
    folder = write("houses.py", HOUSES).parent
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "houses", raising=False)

    def load(text: str = CONFIG, **keys: Any) -> Config:
        cfg = Config.fromfile(write("cfg.py", text))
        cfg.merge_from_dict({"seed": 3, "device": "cpu", **keys})
        return cfg

    return load


def test_a_regression_is_resumed_exactly(houses: Callable[..., Config], tmp_path: Path) -> None:
    """A run that is interrupted within an epoch, then ended by an error, ends with the bits of an unbroken run."""
    net = {"model.net": NET}
    whole = train(houses(**net, work_dir=str(tmp_path / "whole")))
    parts = {**net, "work_dir": str(tmp_path / "parts"), "resume_from": "auto"}
    for function, iteration in (("interrupt", 5), ("fail", 9)):
        hook = {
            "type": "ClosureHook",
            "fn_name": "before_train_iter",
            "fn": f"{__name__}.{function}_{iteration}",
        }
        cfg = houses(**parts, custom_hooks=[hook])
        if function == "fail":
            with pytest.raises(ZeroDivisionError):
                train(cfg)
        else:
            assert train(cfg).runner.interrupted
    train(houses(**parts))
    one, other = (
        read_checkpoint(tmp_path / name / "epoch_3.pth", trusted=True) for name in ("whole", "parts")
    )
    assert same(one["state_dict"], other["state_dict"])
    assert same(one["optimizer"], other["optimizer"])
    assert "loss" in whole.runner.log_buffer.latest


def interrupt_5(runner: Any) -> None:
    if runner.iter == 5:
        os.kill(os.getpid(), signal.SIGTERM)


def fail_9(runner: Any) -> None:
    if runner.iter == 9:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("out_features=1", "out_feature=1", 8, "Linear takes no argument 'out_feature'"),
        ("torch.nn.Linear", "torch.nn.Liner", 8, "'torch.nn' has no 'Liner'"),
        ("args=[", "arg=[", 7, "Sequential takes no argument 'arg'. Did you mean 'args'"),
        ("loss='MSELoss'", "loss='MSLoss'", 4, "no loss 'MSLoss'.*Did you mean 'MSELoss'"),
        ("loss='MSELoss'", "los='MSELoss'", 4, "takes no argument 'los'"),
        ("loss='MSELoss'", "loss='MSELoss', predictions='soft'", 4, "predictions .* must be 'auto' or"),
    ],
)
def test_check(houses: Callable[..., Config], old: str, new: str, line: int, message: str) -> None:
    """Misspelled arguments of nested layers, and of the loss, are found before the run, with their line."""
    check(houses())
    with pytest.raises(CfgTrainError, match=message) as caught:
        check(houses(CONFIG.replace(old, new)))
    error: Any = caught.value.errors[0] if isinstance(caught.value, CheckError) else caught.value
    assert (Path(error.file).name, error.line) == ("cfg.py", line)


def test_a_model_without_train_step(houses: Callable[..., Config], tmp_path: Path) -> None:
    """The check refuses a class, and the start of a run what a function returns, with the lines to write."""
    text = CONFIG.replace(
        "type='SupervisedModel',", "type='torch.nn.Linear', in_features=2, out_features=1)\nold = dict("
    )
    with pytest.raises(
        ConfigValueError, match=r"Linear has no train_step.*\n.*type='SupervisedModel'"
    ) as caught:
        check(houses(text))
    assert (caught.value.key, caught.value.line) == ("model", 2)
    made = {"type": f"{__name__}.make_net", "width": 1}
    cfg = houses(work_dir=str(tmp_path / "run"))
    cfg.model = made
    with pytest.raises(
        ConfigValueError, match=rf"Linear has no train_step.*\n.*type='{__name__}.make_net'"
    ) as made_error:
        train(cfg)
    assert made_error.value.key == "model"


def test_summary(houses: Callable[..., Config]) -> None:
    """``cfgtrain model`` measures the model with a tuple of the dataset, and with a shape."""
    summary = summarize_model(houses())
    assert [each.shape for each in summary.inputs] == [(1, 2), (1,)]
    assert summary.measured.total().params == 3
    assert summarize_model(houses(), (2,)).measured.layers["net"].outputs == [(1, 1)]


def test_torch_datasets_in_a_config() -> None:
    """The items of a TensorDataset go to the model as a tuple."""
    rows = TensorDataset(ROWS, ROWS.sum(1))
    model = MODELS.build({"type": "SupervisedModel", "net": NET, "loss": "HuberLoss"})
    batch = torch.utils.data.default_collate([rows[0], rows[1], rows[2]])
    assert model.train_step(batch)["loss"].ndim == 0
