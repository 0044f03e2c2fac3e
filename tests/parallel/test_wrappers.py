from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.parallel import OnDevice, is_module_wrapper, unwrap_model

META = torch.device("meta")


class Net(nn.Module):
    """Records what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
        self.calls: list[Any] = []

    def forward(self, x: Tensor, *, y: Tensor | None = None, flag: bool = False) -> Tensor:
        self.calls.append((x.device, y.device if y is not None else None, flag))
        return x * self.w

    def train_step(self, data: Any, optimizer: Any, **kwargs: Any) -> Any:
        self.calls.append(("train", data["x"].device, optimizer, kwargs))
        return {"loss": 1}

    def val_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> Any:
        self.calls.append(("val", data["x"].device, optimizer, kwargs))
        return {"loss": 2}


def test_model_is_on_device() -> None:
    """The parameters of a wrapped model are on the device."""
    assert OnDevice(Net(), META).module.w.device == META


def test_inputs_are_moved() -> None:
    """Positional and keyword tensors are moved; other arguments are passed on unchanged."""
    net = Net()
    out = OnDevice(net, META)(torch.ones(2), y=torch.ones(1), flag=True)
    assert net.calls == [(META, META, True)]
    assert out.device == META


def test_batches_of_steps_are_moved() -> None:
    """The batch of a step is moved; the optimizer and other arguments are passed on unchanged."""
    net = Net()
    model = OnDevice(net, META)
    assert model.train_step({"x": torch.ones(1)}, "optimizer", a=1) == {"loss": 1}
    assert model.val_step({"x": torch.ones(1)}, b=2) == {"loss": 2}
    assert net.calls == [("train", META, "optimizer", {"a": 1}), ("val", META, None, {"b": 2})]


def test_is_module_wrapper() -> None:
    """OnDevice and torch's wrappers are wrappers; a model with a child called ``module`` is not."""
    odd = nn.Module()
    odd.module = Net()
    assert is_module_wrapper(OnDevice(Net(), META))
    assert is_module_wrapper(nn.DataParallel(Net()))
    assert not is_module_wrapper(odd)
    assert not is_module_wrapper(Net())


def test_unwrap_model() -> None:
    """The model inside nested wrappers is returned; a model without a wrapper is returned itself."""
    net = Net()
    assert unwrap_model(nn.DataParallel(OnDevice(net, torch.device("cpu")))) is net
    assert unwrap_model(net) is net
