from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import ResNet
from cfgtrain.cnn.tools import freeze


def net() -> nn.Module:
    model = nn.Module()
    model.backbone = ResNet(18, num_stages=2, bn_eval=False)
    model.head = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model.scale = nn.Parameter(torch.ones(1))
    return model


def frozen_names(model: nn.Module) -> set[str]:
    return {name for name, each in model.named_parameters() if not each.requires_grad}


CASES: list[tuple[list[str], Any]] = [
    (["backbone.conv1"], lambda name: name == "backbone.conv1.weight"),
    (["backbone.layer1.*"], lambda name: "layer1" in name),
    (["backbone.layer1"], lambda name: "layer1" in name),
    (["backbone.layer[12].0", "head.1"], lambda name: "r1.0" in name or "r2.0" in name or "head.1" in name),
    (["backbone"], lambda name: "backbone" in name),
    (["*bn1"], lambda name: "bn1" in name),
    (["scale", "head.?.weight"], lambda name: name in ("scale", "head.0.weight", "head.1.weight")),
    ([], lambda name: False),
]


@pytest.mark.parametrize(("patterns", "is_frozen"), CASES)
def test_parameters_are_frozen(patterns: list[str], is_frozen: Any) -> None:
    """The parameters of the modules that match, and of those inside them, require no gradient."""
    model = net()
    found = freeze(model, patterns)
    assert frozen_names(model) == {name for name, _ in model.named_parameters() if is_frozen(name)}
    assert found.params == sum(each.numel() for each in model.parameters() if not each.requires_grad)
    assert found.total == sum(each.numel() for each in model.parameters())


def test_counts() -> None:
    """Modules are counted that have frozen parameters of their own."""
    found = freeze(net(), ["backbone.conv1", "backbone.layer1.*"])
    assert str(found) == "9 modules, 157,376 of 683,083 parameters"


def test_norm_layers_stay_in_eval_mode() -> None:
    """Frozen norm layers stay in eval mode after train(), of the model, a part or the layer; others do not."""
    model = net()
    freeze(model, ["backbone.layer1", "head"])
    for part in (model, model.backbone, model.backbone.layer1, model.backbone.layer1[0].bn1, model.head[1]):
        assert part.train() is part
        norms = (nn.BatchNorm2d, nn.LayerNorm)
        frozen = [
            m for m in (*model.backbone.layer1.modules(), *model.head.modules()) if isinstance(m, norms)
        ]
        assert len(frozen) == 5
        assert not any(layer.training for layer in frozen)
    assert model.backbone.layer2[0].bn1.training
    assert model.backbone.layer1[0].conv1.training
    model.eval()
    assert not model.backbone.layer2[0].bn1.training


def test_copies_are_frozen() -> None:
    """A copy of a model, or a pickled one, has frozen layers of its own."""
    model = net()
    freeze(model, ["backbone.layer1"])
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        layer = copied.backbone.layer1[0].bn1
        layer.training = True
        copied.train()
        assert not layer.training
        assert layer.train() is layer
        assert frozen_names(copied) == frozen_names(model)


def test_trained_values_do_not_change() -> None:
    """Weights and running statistics of frozen layers are the same after steps in training mode."""
    torch.manual_seed(0)
    model = ResNet(18, num_stages=2, bn_eval=False, out_indices=[1])
    freeze(model, ["conv1", "bn1", "layer1.*"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    for _ in range(2):
        model.train()
        optimizer.zero_grad()
        model(torch.randn(2, 3, 32, 32)).square().mean().backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("layer2")), name


def test_lazy_modules() -> None:
    """A parameter without a shape counts as 0."""
    model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 3))
    assert freeze(model, ["1"]).total == 12


@pytest.mark.parametrize(
    ("patterns", "error", "text"),
    [
        (["backbone.layr1.*"], ValueError, "'backbone.layr1.*' matches no module or parameter of Module. Did you mean 'backbone.layer1'"),
        (["layer2.*"], ValueError, "Did you mean 'backbone.layer2'?"),
        (["bakbone.layer1"], ValueError, "Did you mean 'backbone'?"),
        (["backbone.xyz"], ValueError, "'backbone' contains backbone.conv1, backbone.bn1"),
        (["q"], ValueError, "The model contains backbone, head, scale"),
        (["*"], AssertionError, "Every parameter is frozen"),
        ("backbone", TypeError, "patterns must be a list of names"),
        ([1], TypeError, "patterns must be a list of names"),
    ],
)  # fmt: skip
def test_invalid_patterns(patterns: Any, error: type[Exception], text: str) -> None:
    """A pattern that matches nothing is an error with suggestions or the names that exist."""
    with pytest.raises(error) as caught:
        freeze(net(), patterns)
    assert text in str(caught.value)
