"""What is said about weights that do not fit."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Scalar, TinyNet
from torch import nn

from cfgtrain.checkpoint import get_state_dict, load_checkpoint, load_state_dict
from cfgtrain.checkpoint.publish import strip_checkpoint
from cfgtrain.errors import CheckpointError


class Detector(nn.Module):
    """A model with parts."""

    def __init__(self, classes: int = 3, depth: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(*(nn.Linear(4 + i, 5 + i) for i in range(depth)))
        self.head = nn.Linear(4 + depth, classes)


def report_of(model: nn.Module, weights: dict[str, Any], caplog: pytest.LogCaptureFixture) -> str:
    """Load weights and return what is logged."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "cfgtrain"):
        load_state_dict(model, weights)
    (message,) = caplog.messages
    assert max(map(len, message.splitlines())) <= 80
    return message


def test_a_complete_load_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """If everything matches, the number of tensors is logged."""
    assert report_of(Detector(), Detector().state_dict(), caplog) == "All 8 tensors loaded."


def test_other_shapes_are_a_table(caplog: pytest.LogCaptureFixture) -> None:
    """Tensors of other shapes keep their initial values, and both shapes are shown."""
    model = Detector()
    before = model.head.weight.detach().clone()
    text = report_of(model, Detector(classes=10).state_dict(), caplog)
    assert text.splitlines() == [
        "6 of 8 tensors loaded; 2 left as initialized:",
        "  tensor       in the model  in the file",
        "  head.weight  (3, 7)        (10, 7)",
        "  head.bias    (3,)          (10,)",
    ]
    assert torch.equal(model.head.weight, before)


def test_nothing_that_fits_is_an_error() -> None:
    """A file of which nothing fits is an error, strict or not, with the table."""
    torch.save({"a": torch.ones(2), "b": torch.ones(3)}, "a.pth")
    for strict in (False, True):
        with pytest.raises(
            CheckpointError, match=r"^a\.pth: The model and the loaded weights do not match at all"
        ) as caught:
            load_checkpoint(Scalar(), "a.pth", strict=strict)
        assert "0 of 1 tensors loaded; 1 left as initialized, 2 of the file not used:" in str(caught.value)
        assert "  a       not there     (2,)" in str(caught.value)
    with pytest.raises(CheckpointError, match="0 of 1 tensors"):
        load_state_dict(Scalar(), {})


def test_a_model_without_weights_takes_any_file(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can fit a model that has no tensors, so this is not an error."""
    assert "not used" in report_of(nn.ReLU(), {"a": torch.ones(2)}, caplog)


def test_long_tables_are_folded_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Of many rows, modules that are missing as a whole are one row each, and the rest is counted."""
    model, weights = Detector(depth=30), Detector(depth=30).state_dict()
    text = report_of(model, {name: each for name, each in weights.items() if "head" in name}, caplog)
    assert "  backbone.*  60 tensors    not there" in text.splitlines()
    assert len(text.splitlines()) == 3
    partly = {name: each for name, each in weights.items() if not name.endswith(".bias") or "head" in name}
    lines = report_of(model, partly, caplog).splitlines()
    assert len(lines) == 1 + 1 + 20 + 1
    assert lines[-1] == "  and 10 more"


def test_long_names_are_shortened(caplog: pytest.LogCaptureFixture) -> None:
    """A row is never wider than a terminal."""
    model = nn.Sequential(OrderedDict({"a" * 100: nn.Conv2d(3, 4, 5), "b": nn.Linear(1, 1)}))
    text = report_of(model, {"b.weight": torch.ones(1, 1)}, caplog)
    assert "aaa...aaa" in text
    assert "(4, 3, 5, 5)" in text


RENAMES = [
    ("backbone.", "", r"(r'^backbone\.', '')", "without 'backbone.' at the beginning of the names"),
    ("", "backbone.", r"('^', 'backbone.')", "with 'backbone.' before the names"),
    ("a.b.", "encoder.", r"(r'^a\.b\.', 'encoder.')", "with 'encoder.' in place of 'a.b.' in the names"),
]


@pytest.mark.parametrize(("old", "new", "pair", "told"), RENAMES)
def test_renamed_prefixes_are_suggested(old: str, new: str, pair: str, told: str) -> None:
    """The report says which ``revise_keys`` would make more tensors fit; with them, they do."""
    inner = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    model: nn.Module = inner
    for part in reversed(new.split(".")[:-1]):
        model = nn.Sequential(OrderedDict({part: model}))
    torch.save({old + name: each for name, each in inner.state_dict().items()}, "a.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, "a.pth")
    text = str(caught.value)
    assert f"4 more would fit {told}:" in text
    assert f"load_checkpoint(..., revise_keys=[{pair}])" in text
    assert f"--rename {old}={new}" in text
    load_checkpoint(model, "a.pth", strict=True, revise_keys=[eval(pair)])


def test_a_suggestion_keeps_the_revision_that_was_needed() -> None:
    """If ``module.`` was removed by default, the suggestion still removes it."""
    inner = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    torch.save({f"module.net.{name}": each for name, each in inner.state_dict().items()}, "a.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(inner, "a.pth")
    assert r"revise_keys=[(r'^module\.', ''), (r'^net\.', '')]" in str(caught.value)
    assert str(caught.value).endswith("strip FILE -o NEW_FILE --rename module.= --rename net.=")
    strip_checkpoint("a.pth", Path("b.pth"), renames=[("module.", ""), ("net.", "")])
    load_checkpoint(inner, "b.pth", strict=True)


@pytest.mark.parametrize("pattern", [r"^mod\w+\.", "module.", "^(module)[.]"])
def test_no_command_is_suggested_for_a_revision_that_it_cannot_do(pattern: str) -> None:
    """``strip`` replaces the beginning of names; a revision by another expression is suggested as code alone."""
    inner = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    torch.save({f"module.net.{name}": each for name, each in inner.state_dict().items()}, "a.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(inner, "a.pth", revise_keys=[(pattern, "")])
    assert "revise_keys=[" in str(caught.value)
    assert "checkpoint strip" not in str(caught.value)


def test_tensors_of_other_shapes_are_no_suggestion() -> None:
    """A prefix is suggested only if the shapes match."""
    torch.save({"net.0.weight": torch.ones(9, 9), "net.0.bias": torch.ones(9)}, "a.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(nn.Sequential(nn.Linear(2, 3)), "a.pth")
    assert "would fit" not in str(caught.value)


@pytest.mark.parametrize("key", ["model", "model_state_dict", "module", "net"])
def test_weights_of_other_tools_are_found(key: str) -> None:
    """A file of another tool may have its weights below another key."""
    saved, model = TinyNet(), TinyNet()
    with torch.no_grad():
        saved.fc.bias.fill_(7)
    torch.save({key: saved.state_dict(), "epoch": 3}, "a.pth")
    load_checkpoint(model, "a.pth", strict=True)
    assert model.fc.bias.tolist() == saved.fc.bias.tolist()


@pytest.mark.parametrize(
    ("content", "told"),
    [({"state_dict": [1]}, "must be a dict of weights, not a list"), ({3: torch.ones(1)}, "has the key 3")],
)
def test_other_contents_are_refused(content: Any, told: str) -> None:
    """A state dict is a dict with names."""
    torch.save(content, "a.pth")
    with pytest.raises(CheckpointError, match=told):
        load_checkpoint(TinyNet(), "a.pth")


def test_a_weight_that_is_not_a_tensor_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Another value in the place of a weight is skipped like one of another shape."""
    weights = {**TinyNet().state_dict(), "fc.bias": "no tensor"}
    assert "6 of 7 tensors loaded; 1 left as initialized" in report_of(TinyNet(), weights, caplog)


def wrapped_in_depth() -> nn.Module:
    """Return a model with a wrapped part."""
    model = Detector()
    model.backbone = nn.DataParallel(model.backbone)
    return nn.DataParallel(model)


def test_wrappers_at_any_depth_are_left_out() -> None:
    """The names of a state dict are those of the model without wrappers, and it loads into either."""
    plain, wrapped = Detector(), wrapped_in_depth()
    weights = get_state_dict(wrapped)
    assert list(weights) == list(plain.state_dict())
    assert list(weights._metadata) == list(plain.state_dict()._metadata)  # type: ignore[attr-defined]
    load_state_dict(plain, weights, strict=True)
    load_state_dict(wrapped, Detector().state_dict(), strict=True)
    load_state_dict(wrapped, weights, strict=True)


def test_get_state_dict_takes_the_arguments_of_torch() -> None:
    """``destination``, ``prefix`` and ``keep_vars`` work as in ``nn.Module.state_dict``."""
    target: OrderedDict[str, Any] = OrderedDict(a=1)
    found = get_state_dict(Scalar(), target, "x.", keep_vars=True)
    assert found is target
    assert list(found) == ["a", "x.w"]
    assert found["x.w"].requires_grad
    assert not get_state_dict(Scalar())["w"].requires_grad


def test_a_lazy_layer_takes_the_shape_of_the_file() -> None:
    """A layer that does not know its shape yet is no mismatch."""
    model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
    load_state_dict(model, nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2)).state_dict(), strict=True)
    assert model[0].weight.shape == (3, 5)
