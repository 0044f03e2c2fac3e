from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import initialize, update_init_info
from cfgtrain.runner import BaseModule


def with_record(model: nn.Module) -> Any:
    """Give all modules a record of the kind that code written for MMCV makes."""
    record: Any = defaultdict(dict)
    for name, parameter in model.named_parameters():
        record[parameter]["init_info"] = f"{name} is unchanged"
        record[parameter]["tmp_mean_value"] = parameter.data.mean()
    for module in model.modules():
        module._params_init_info = record
    return record


def test_record_of_mmcv_is_updated() -> None:
    """The description and the mean of parameters that have changed are written into the dict."""
    model = nn.Linear(2, 2)
    record = with_record(model)
    update_init_info(model, "nothing")
    assert record[model.weight]["init_info"] == "weight is unchanged"
    nn.init.constant_(model.weight, 3)
    update_init_info(model, "constant")
    assert record[model.weight]["init_info"] == "constant"
    assert record[model.weight]["tmp_mean_value"] == 3
    assert record[model.bias]["init_info"] == "bias is unchanged"


def test_change_that_keeps_the_mean_is_recorded() -> None:
    """Values that are written are a change even if their mean is the same."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    record = with_record(model)
    update_init_info(model, "nothing")
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 2.0]]))
    update_init_info(model, "copied")
    assert record[model.weight]["init_info"] == "copied"


def test_initializers_write_into_it() -> None:
    """``initialize`` and ``init_weights`` of a part work with the dict that a parent has made."""

    class Part(BaseModule):
        def __init__(self) -> None:
            super().__init__({"type": "Constant", "val": 2, "layer": "Linear"})
            self.fc = nn.Linear(1, 1)

    parent = nn.Sequential(nn.Conv2d(1, 1, 1), Part())
    record = with_record(parent)
    initialize(parent, {"type": "Normal", "layer": "Conv2d"})
    parent[1].init_weights()
    assert record[parent[0].weight]["init_info"].startswith("NormalInit: mean=0, std=1, bias=0")
    assert record[parent[1].fc.weight]["init_info"].startswith("ConstantInit: val=2, bias=0")
    assert parent[1]._params_init_info is record


def test_new_parameter() -> None:
    """A parameter that is not in the dict was created during the initialization, which is an error."""
    model = nn.Linear(1, 1)
    model._params_init_info = defaultdict(dict)  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="got a new parameter 'weight' during init_weights"):
        update_init_info(model, "x")


def test_unusual_entries() -> None:
    """An entry without a mean is updated; parameters without values or without a mean are supported."""
    model = nn.Module()
    model.plain = nn.Parameter(torch.zeros(1))
    model.meta = nn.Parameter(torch.zeros(1, device="meta"))
    model.index = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    record: Any = {parameter: {} for parameter in model.parameters()}
    model._params_init_info = record
    for info in ("first", "second"):
        update_init_info(model, info)
        assert {entry["init_info"] for entry in record.values()} == {"first"}
