from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cfgtrain.amp import (
    LossScaler,
    as_half_dtype,
    auto_fp16,
    cast_tensor_type,
    force_fp32,
    patch_forward_method,
    patch_norm_fp32,
    wrap_fp16_model,
)

Pair = namedtuple("Pair", "a b")
SINGLE, HALF = torch.float32, torch.float16


def dtypes(value: Any) -> Any:
    """Return a structure with each tensor replaced by its dtype."""
    if isinstance(value, dict):
        return type(value)((k, dtypes(v)) for k, v in value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(dtypes, value))
    return (
        type(value)(map(dtypes, value))
        if isinstance(value, (list, tuple))
        else getattr(value, "dtype", value)
    )


T, I = torch.zeros(2), torch.zeros(2, dtype=torch.int64)  # noqa: E741


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T, HALF),
        (I, torch.int64),
        (T.double(), torch.float64),
        ([T, I], [HALF, torch.int64]),
        ((T, "text", 3, None), (HALF, "text", 3, None)),
        ({"a": T, "b": {"c": [T]}}, {"a": HALF, "b": {"c": [HALF]}}),
        (OrderedDict(a=T), OrderedDict(a=HALF)),
        (Pair(T, [T]), Pair(HALF, [HALF])),
    ],
)
def test_nested_tensors_are_cast(value: Any, expected: Any) -> None:
    """Tensors with the source dtype are cast at any depth; everything else is unchanged."""
    assert dtypes(cast_tensor_type(value, SINGLE, HALF)) == expected


def test_other_values_are_unchanged() -> None:
    """Arrays, modules and iterators are returned themselves."""
    array, module, numbers = np.zeros(2), nn.Linear(1, 1), iter([1])
    assert all(cast_tensor_type(each, SINGLE, HALF) is each for each in (array, module, numbers))


class Net(nn.Module):
    """Its methods return the dtypes of their arguments."""

    def __init__(self, enabled: bool | None = True) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        if enabled is not None:
            self.fp16_enabled = enabled

    @auto_fp16()
    def every(self, x: Any, *rest: Any, y: Any = None, **more: Any) -> Any:
        return dtypes([x, *rest, y, *more.values()])

    @auto_fp16(apply_to=("x", "y"))
    def some(self, x: Any, z: Any, *, y: Any) -> Any:
        return dtypes([x, z, y])

    @auto_fp16(out_fp32=True)
    def run(self, x: Any) -> Any:
        assert self.fc(x).dtype == getattr(self, "amp_dtype", HALF)
        return {"out": self.fc(x)}

    @force_fp32()
    def loss(self, x: Any, *rest: Any) -> Any:
        return dtypes([x, *rest, self.fc(x)])

    @force_fp32(apply_to=("x",), out_fp16=True)
    def part(self, x: Any, z: Any) -> Any:
        assert (x.dtype, z.dtype) == (SINGLE, HALF)
        return x


def test_auto_fp16_casts_all_arguments() -> None:
    """Positional, variadic, keyword and keyword-only arguments are cast to half precision."""
    assert Net().every(T, T, y=[T], w=I) == [HALF, HALF, [HALF], torch.int64]
    assert Net(enabled=False).every(T, T, y=T) == [SINGLE] * 3
    assert Net(enabled=None).every(T) == [SINGLE, None]


def test_auto_fp16_casts_named_arguments() -> None:
    """With ``apply_to`` the other arguments are not cast, whether positional or keyword."""
    assert Net().some(T, T, y=T) == Net().some(x=T, z=T, y=T) == [HALF, SINGLE, HALF]


def test_auto_fp16_casts_results_back() -> None:
    """With ``out_fp32`` the results are cast back to float32."""
    assert dtypes(Net().run(torch.zeros(1, 2))) == {"out": SINGLE}


def test_force_fp32_disables_autocast() -> None:
    """In an autocast region a decorated method computes in float32."""
    x = torch.zeros(1, 2, dtype=HALF)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Net().loss(x, x) == [SINGLE] * 3
        assert Net().part(x, x).dtype == HALF


def test_wrap_fp16_model() -> None:
    """``wrap_fp16_model`` enables the modules with ``fp16_enabled``, with the dtype passed to it."""
    model = nn.Sequential(Net(enabled=False), Net(enabled=None))
    assert wrap_fp16_model(model, torch.bfloat16)
    assert model[0].every(T) == [torch.bfloat16, None]
    assert dtypes(model[0].run(torch.zeros(1, 2))) == {"out": SINGLE}
    assert not hasattr(model[1], "fp16_enabled")
    assert not wrap_fp16_model(nn.Linear(1, 1))


def test_supported_types() -> None:
    """A decorated method of another class raises an error, unless the class is supported."""

    class Plain:
        fp16_enabled = True

        @auto_fp16()
        def wrong(self, x: Any) -> Any:
            return x

        @auto_fp16(supported_types=(object,))
        def right(self, x: Any) -> Any:
            return x.dtype

    with pytest.raises(TypeError, match="auto_fp16 decorates methods of Module, not of Plain"):
        Plain().wrong(T)
    assert Plain().right(T) == HALF


def test_misspelled_argument() -> None:
    """A name in ``apply_to`` that is not an argument raises an error when the method is decorated."""
    with pytest.raises(ValueError, match=r"no argument 'imgs'. Did you mean 'img'"):

        @auto_fp16(apply_to=("imgs",))
        def forward(self: Any, img: Any) -> Any:
            return img


@pytest.mark.parametrize("name", ["float16", "fp16", "half", torch.float16])
def test_names_of_dtypes(name: Any) -> None:
    """Half precision has several names; an unknown name raises an error with a suggestion."""
    assert as_half_dtype(name) == HALF
    with pytest.raises(ValueError, match="Did you mean 'bfloat16'"):
        as_half_dtype("bfloat")


def test_loss_scaler() -> None:
    """The scale is divided after an overflow, but not below one, and multiplied after a window without one."""
    scaler = LossScaler(init_scale=4, scale_window=2)
    scaler.update_scale(True)
    assert (scaler.loss_scale, scaler.last_overflow_iter) == (2, 0)
    for _ in range(2):
        scaler.update_scale(False)
    assert scaler.loss_scale == 4
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([float("inf")])
    assert scaler.has_overflow([parameter])
    assert not LossScaler(mode="static").has_overflow([parameter])
    other = LossScaler()
    other.load_state_dict(scaler.state_dict())
    assert vars(other) == vars(scaler)
    with pytest.raises(AssertionError, match="'dynamic' or 'static'"):
        LossScaler(mode="auto")


def test_patched_functions() -> None:
    """Arguments are cast at any depth, and results back unless that is not wanted."""
    seen: list[Any] = []

    def function(*args: Any, **kwargs: Any) -> Any:
        seen.append(dtypes((*args, kwargs)))
        return args[0], I

    half = T.half()
    assert dtypes(patch_forward_method(function, HALF, SINGLE)(half, T, a=[half])) == (HALF, torch.int64)
    assert dtypes(patch_forward_method(function, HALF, SINGLE, False)(half)) == (SINGLE, torch.int64)
    assert seen == [(SINGLE, SINGLE, {"a": [SINGLE]}), (SINGLE, {})]
    assert patch_forward_method(function, HALF, SINGLE).__name__ == "function"


def test_norm_layers_in_float32() -> None:
    """In a float16 model norm layers compute in float32 and return float16, and a copy has its own weights."""
    model = nn.Sequential(nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.GroupNorm(2, 4)).half()
    assert patch_norm_fp32(model) is model
    assert [layer.weight.dtype for layer in model] == [HALF, SINGLE, SINGLE]
    assert model[1].running_mean.dtype == SINGLE
    seen: list[Any] = []
    model[2].register_forward_hook(lambda layer, args, output: seen.append((args[0].dtype, output.dtype)))
    x = torch.rand(2, 4, 3).half()
    assert model(x).dtype == HALF
    assert seen == [(SINGLE, HALF)]
    twin = copy.deepcopy(model)
    nn.init.zeros_(twin[2].weight)
    assert not twin(x).any()
    assert model(x).any()
