from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Scalar, TinyNet
from torch import nn

from cfgtrain.errors import BuildError, UnknownNameError
from cfgtrain.optim import OPTIMIZERS, TORCH_OPTIMIZERS, build_optimizer
from cfgtrain.parallel import OnDevice


def test_every_optimizer_of_torch_is_registered() -> None:
    """All optimizers of ``torch.optim``, ``Optimizer`` itself among them, are known by their names."""
    assert {"SGD", "Adam", "AdamW", "RMSprop", "LBFGS", "Optimizer"} <= set(TORCH_OPTIMIZERS)
    assert all(OPTIMIZERS.get(name) is getattr(torch.optim, name) for name in TORCH_OPTIMIZERS)
    assert "lr_scheduler" not in OPTIMIZERS


def test_optimizer_gets_all_parameters() -> None:
    """The optimizer is over every parameter, also of a model in a wrapper; the config stays as it was."""
    model, cfg = TinyNet(), {"type": "SGD", "lr": 0.1, "momentum": 0.9}
    optimizer = build_optimizer(OnDevice(model, torch.device("cpu")), cfg)
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert (group["lr"], group["momentum"]) == (0.1, 0.9)
    assert cfg == {"type": "SGD", "lr": 0.1, "momentum": 0.9}


def test_own_optimizer_can_be_registered() -> None:
    """A registered class is built by its name."""

    @OPTIMIZERS.register_module()
    class Mine(torch.optim.SGD):
        pass

    assert isinstance(build_optimizer(Scalar(), {"type": "Mine", "lr": 1}), Mine)


@pytest.mark.parametrize(
    ("cfg", "error", "text"),
    [
        ({"type": "SDG", "lr": 1}, UnknownNameError, "Did you mean 'SGD'"),
        ({"type": "SGD", "lr": 1, "momentun": 0.9}, BuildError, "Did you mean 'momentum'"),
        ({"lr": 1}, KeyError, "type"),
    ],
)
def test_wrong_configs(cfg: dict[str, Any], error: type[Exception], text: str) -> None:
    """A slip in the name or an argument is an error with a suggestion."""
    with pytest.raises(error, match=text):
        build_optimizer(Scalar(), cfg)


def test_error_of_the_optimizer_itself_says_where_it_was_built() -> None:
    """What an optimizer refuses keeps its type and gains a note."""
    with pytest.raises(ValueError, match="learning rate") as error:
        build_optimizer(nn.Linear(1, 1), {"type": "SGD", "lr": -1})
    assert any("while building SGD" in note for note in error.value.__notes__)
