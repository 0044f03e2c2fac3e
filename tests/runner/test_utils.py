from __future__ import annotations

import getpass
import importlib
import re
import socket
import types

import pytest
import torch
from torch import nn

from cfgtrain import runner
from cfgtrain.runner import get_host_info, get_time_str, obj_from_dict


def test_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is ``user@host``."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert get_host_info() == f"ann@{socket.gethostname()}"


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no name"), ImportError("pwd")])
def test_unknown_user(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name of the user there is a warning, and the host is empty."""

    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    with pytest.warns(UserWarning, match="is unknown"):
        assert get_host_info() == ""


def test_time() -> None:
    """The time is in the form of MMCV's file names."""
    assert re.fullmatch(r"\d{8}_\d{6}", get_time_str())


def test_objects_from_dicts() -> None:
    """``type`` is a name in the parent, an import path or a class, and default arguments can be overridden."""
    info = {"type": "Linear", "in_features": 2}
    layer = obj_from_dict(info, nn, {"out_features": 3, "in_features": 5})
    assert (layer.in_features, layer.out_features) == (2, 3)
    assert info == {"type": "Linear", "in_features": 2}
    assert isinstance(obj_from_dict({"type": "torch.nn.ReLU"}), nn.ReLU)
    assert obj_from_dict({"type": dict}, default_args={"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("info", "error", "message"),
    [
        ([], TypeError, "info must be a dict"),
        ({}, AssertionError, "key 'type'"),
        ({"type": 3}, TypeError, "a str or a class, not 3"),
        ({"type": "Linaer"}, ValueError, r"no 'Linaer' in torch\.nn.*Did you mean 'Linear'"),
    ],
)
def test_invalid_dicts(info: object, error: type[Exception], message: str) -> None:
    """What is wrong with the dict is said, with MMCV's exceptions."""
    with pytest.raises(error, match=message):
        obj_from_dict(info, nn)  # type: ignore[arg-type]  # this is the test
    with pytest.raises(TypeError, match="default_args"):
        obj_from_dict({"type": dict}, default_args=3)  # type: ignore[arg-type]  # this is the test


def test_name_that_is_not_found() -> None:
    """A wrong import path is an error."""
    with pytest.raises(ValueError, match=r"no 'torch\.nn\.ReLUU'"):
        obj_from_dict({"type": "torch.nn.ReLUU"})
    with pytest.raises(ValueError, match="no 'a' in "):
        obj_from_dict({"type": "a"}, types.SimpleNamespace())


def test_modules_of_mmcv() -> None:
    """The modules in which MMCV defines these names have them too."""
    for module, name in [
        ("dist_utils", "init_dist"),
        ("dist_utils", "allreduce_params"),
        ("utils", "set_random_seed"),
    ]:
        found = importlib.import_module(f"cfgtrain.runner.{module}")
        assert getattr(found, name) is getattr(runner, name)


def test_deprecated_reduction() -> None:
    """The name in ``fp16_utils`` issues a warning and does what the other does."""
    from cfgtrain.runner.fp16_utils import allreduce_grads

    with pytest.warns(DeprecationWarning, match="use cfgtrain.runner.allreduce_grads"):
        allreduce_grads([torch.nn.Parameter(torch.ones(1))])
