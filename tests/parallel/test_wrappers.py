from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import in_processes
from tiny import same
from torch import Tensor, nn

from cfgtrain.parallel import (
    MODULE_WRAPPERS,
    DataContainer,
    MMDataParallel,
    OnDevice,
    is_module_wrapper,
    unwrap_model,
)
from cfgtrain.parallel.wrappers import has_forward_with_loss
from cfgtrain.registry import Registry

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


def test_custom_module_wrappers() -> None:
    """Classes that are registered, there or in a child registry, are wrappers, and so are their subclasses."""
    child = Registry("module wrapper", parent=MODULE_WRAPPERS, scope="wrapper_tests")
    grandchild = Registry("module wrapper", parent=child, scope="inner")

    @grandchild.register_module()
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

    class Derived(Wrapper):
        pass

    try:
        net = Net()
        assert is_module_wrapper(Wrapper(net))
        assert unwrap_model(Derived(MMDataParallel(net))) is net
    finally:
        MODULE_WRAPPERS.children.pop("wrapper_tests")
    assert not is_module_wrapper(Wrapper(net))


class Scored(Net):
    """Predicts and returns losses at once; notes what its wrapper holds during a step."""

    wrapper: Any = None

    def forward_with_loss(self, x: Tensor) -> Any:
        return x * 2, {"loss": x.sum()}

    def train_step(self, data: Any, optimizer: Any, **kwargs: Any) -> Any:
        assert self.wrapper[0].module is self
        return {"loss": self(**data).sum(), "meta": kwargs}


def on_cpu(net: nn.Module) -> MMDataParallel:
    """The wrapper on the CPU, on every machine."""
    return MMDataParallel(net, device_ids=[-1])


def test_data_parallel_on_the_cpu() -> None:
    """Without CUDA the model is called with unpacked containers, in its steps and by itself."""
    net = Scored()
    model = on_cpu(net)
    net.wrapper = [model]
    batch = {"x": DataContainer([torch.ones(2)]), "flag": DataContainer([[True]], cpu_only=True)}
    assert model(**batch).tolist() == [1, 1]
    step = model.train_step(batch, None, a=1)
    assert (step["loss"].item(), step["meta"]) == (2, {"a": 1})
    assert net.calls == [(torch.device("cpu"), None, [True])] * 2
    assert has_forward_with_loss(model)
    assert model.forward_with_loss(x=batch["x"])[1]["loss"] == 2
    assert not has_forward_with_loss(on_cpu(Net()))
    assert list(model.state_dict()) == ["module.w"]


def test_a_step_that_fails() -> None:
    """After an exception the wrapper holds its model as before."""
    model = on_cpu(Net())
    net = model.module
    with pytest.raises(KeyError):
        model.train_step({}, None)
    assert model.module is net


def test_copies_of_a_wrapper() -> None:
    """A deep copy trains its own model, and replacing the model of a wrapper changes what its steps train."""
    model = on_cpu(Net())
    model.train_step({"x": torch.ones(1)}, None)
    twin = copy.deepcopy(model)
    twin.train_step({"x": torch.ones(1)}, None)
    assert (len(model.module.calls), len(twin.module.calls)) == (1, 2)
    model.module = other = Net()
    model.train_step({"x": torch.ones(1)}, None)
    assert len(other.calls) == 1
    assert [name for name, _ in model.named_parameters()] == ["module.w"]


def test_steps_need_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step on several devices is MMCV's AssertionError."""
    model = on_cpu(Net())
    monkeypatch.setattr(model, "device_ids", [0, 1])
    with pytest.raises(AssertionError, match="val_step with one device only, and it has 2"):
        model.val_step({})


def test_hooks_run_around_a_step() -> None:
    """The forward hooks of the wrapper run for a step, and those of the model for its own call in the step."""
    net = Scored()
    model = on_cpu(net)
    net.wrapper = [model]
    seen: list[str] = []
    model.register_forward_hook(lambda *_: seen.append("wrapper"))
    net.register_forward_hook(lambda *_: seen.append("model"))
    model.train_step({"x": torch.ones(2)}, None)
    assert seen == ["model", "wrapper"]


def test_distributed_steps(tmp_path: Path) -> None:
    """Steps of two processes train as those of one process with both batches, with each option of torch."""
    first, second = in_processes("train_distributed", 2, tmp_path)
    for options, (weights, expected) in first.items():
        assert same(weights, second[options][0]), options
        assert all(map(torch.allclose, weights, expected)), options


@pytest.mark.gpu
def test_data_parallel_on_cuda() -> None:
    """The batch of a step is copied to the device of the model, and a step on another one is an error."""
    net = Net().cuda()
    model = MMDataParallel(net, device_ids=[0])
    model.train_step({"x": DataContainer([torch.ones(1)])}, "optimizer")
    model.val_step({"x": torch.ones(1)})
    assert [call[1].type for call in net.calls] == ["cuda", "cuda"]
    net.cpu()
    with pytest.raises(RuntimeError, match="on device"):
        model.val_step({"x": torch.ones(1)})
    assert MMDataParallel(Net(), device_ids=[-1])(torch.ones(1)).device.type == "cpu"
