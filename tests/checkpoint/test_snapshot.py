from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from tiny import TinyNet, same
from torch import nn

from cfgtrain.checkpoint.save import make_checkpoint
from cfgtrain.checkpoint.snapshot import Snapshots


def saved(value: Any) -> bytes:
    """Return the bytes that ``torch.save`` writes."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def checkpoint_of(model: nn.Module, steps: int = 1) -> dict[str, Any]:
    """Return the checkpoint of a model that was trained with Adam."""
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.rand_like(parameter)
        optimizer.step()
    hooks = {"a": [1, torch.ones(2)], "b": (np.arange(3), "text")}
    return make_checkpoint(model, optimizer, {"seed": 3}, {"hooks": hooks})


def test_a_snapshot_is_saved_as_the_same_file() -> None:
    """The bytes are those of the checkpoint itself."""
    checkpoint = checkpoint_of(TinyNet())
    assert saved(Snapshots().take(checkpoint)) == saved(checkpoint)


def test_a_snapshot_does_not_change_with_the_training() -> None:
    """Neither tensors nor containers are shared with the checkpoint."""
    model = TinyNet()
    checkpoint = checkpoint_of(model)
    before = saved(checkpoint)
    snapshot = Snapshots().take(checkpoint)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    for state in checkpoint["optimizer"]["state"].values():
        state["exp_avg"].fill_(7)
        state["step"] += 1
    checkpoint["optimizer"]["param_groups"][0]["lr"] = 9
    checkpoint["resume"]["hooks"]["a"][1].fill_(7)
    checkpoint["resume"]["hooks"]["a"].append(4)
    checkpoint["resume"]["hooks"]["b"][0].fill(7)
    assert saved(snapshot) == before


def test_memory_is_used_again() -> None:
    """A second snapshot of tensors of the same sizes is written to the memory of the first."""
    snapshots, model = Snapshots(), TinyNet()
    places = []
    for _ in range(2):
        checkpoint = checkpoint_of(model)
        snapshot = snapshots.take(checkpoint)
        assert saved(snapshot) == saved(checkpoint)
        places.append([tensor.data_ptr() for tensor in snapshot["state_dict"].values()])
    assert places[0] == places[1]
    larger = {"w": torch.rand(1000)}
    assert same(snapshots.take(larger), larger)


def test_shared_memory_stays_shared() -> None:
    """Tied weights and views are saved once, as parts of the same memory, and keep their layout."""
    base = torch.arange(12.0)
    value = OrderedDict(
        whole=base, tied=base, part=base[3:7], transposed=base.view(3, 4).t(), scalar=base[5], empty=base[:0]
    )
    snapshot = Snapshots().take(value)
    assert saved(snapshot) == saved(value)
    assert same(snapshot, value)
    assert snapshot["whole"] is snapshot["tied"]
    assert snapshot["transposed"].stride() == (1, 4)
    snapshot["whole"].fill_(0)
    assert not snapshot["part"].any()
    assert base[1] == 1


def test_all_kinds_of_tensors() -> None:
    """Parameters, sparse and conjugate tensors, and all dtypes are copied."""
    value: dict[str, Any] = {
        "parameter": nn.Parameter(torch.ones(3)),
        "sparse": torch.eye(3).to_sparse(),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "gradient": torch.ones(2, requires_grad=True),
        **{str(dtype): torch.ones(4, dtype=dtype) for dtype in (torch.bool, torch.bfloat16, torch.complex64)},
    }
    snapshot = Snapshots().take(value)
    assert type(snapshot["parameter"]) is nn.Parameter
    assert snapshot["gradient"].requires_grad
    assert same(snapshot.pop("sparse").to_dense(), value["sparse"].to_dense())
    with torch.no_grad():
        value["parameter"].fill_(5)
        value["conjugate"].fill_(5)
    assert snapshot["parameter"].tolist() == [1, 1, 1]
    assert snapshot["conjugate"].tolist() == [1 - 2j]
    assert snapshot["torch.bfloat16"].tolist() == [1, 1, 1, 1]
