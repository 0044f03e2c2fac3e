from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn.tools.compiling import (
    check_compile_settings,
    compile_model,
    compile_settings,
    try_compiler,
)
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (None, None),
        (False, None),
        (True, {"dynamic": False}),
        ({"mode": "max-autotune"}, {"dynamic": False, "mode": "max-autotune"}),
        ({"dynamic": True, "backend": "eager"}, {"dynamic": True, "backend": "eager"}),
    ],
)
def test_settings(value: Any, settings: Any) -> None:
    """Shapes are compiled on their own unless the config says otherwise."""
    check_compile_settings(value)
    assert compile_settings(value) == settings


@pytest.mark.parametrize(
    ("value", "argument", "message"),
    [
        (1, (), "compile must be True, False or a dict"),
        ({"mod": "default"}, ("mod",), "Did you mean 'mode'"),
        ({"mode": "max-autotun"}, ("mode",), "Did you mean 'max-autotune'"),
        ({"mode": 3}, ("mode",), "mode must be the name of a mode, not 3"),
        ({"backend": "inductr"}, ("backend",), "Did you mean 'inductor'"),
        ({"dynamic": None}, ("dynamic",), "dynamic must be True or False, not None"),
        ({"backend": "eager", "mode": "default"}, ("mode",), "which 'eager' does not have"),
        ({"mode": "default", "options": {}}, ("mode",), "Only one of mode and options"),
    ],
)
def test_wrong_settings(value: Any, argument: tuple[str, ...], message: str) -> None:
    """The error names the argument and suggests what was probably meant."""
    with pytest.raises(ArgumentError, match=message) as caught:
        check_compile_settings(value)
    assert caught.value.argument == argument


class Net(nn.Module):
    """A linear layer whose training step calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        return {"loss": self.fc(x).sum(), "parts": [x * 2], "name": "net"}


def test_a_model_is_compiled_in_place() -> None:
    """Each shape is compiled once when it is first seen, and the names of the weights do not change."""
    torch.compiler.reset()
    shapes: list[tuple[int, ...]] = []

    def backend(graph: Any, inputs: list[torch.Tensor]) -> Any:
        shapes.extend(
            tuple(each.shape)
            for each in inputs
            if each.ndim == 2 and each.shape[1] == 3 and not each.requires_grad
        )
        return graph

    model = Net()
    compile_model(model, {"backend": backend, "dynamic": False})
    assert shapes == []
    for size in (4, 3, 4, 3):
        model(torch.ones(size, 3))["loss"].backward()
    assert shapes == [(4, 3), (3, 3)]
    assert list(model.state_dict()) == ["fc.weight", "fc.bias"]
    torch.compiler.reset()


def test_outputs_of_cuda_graphs_are_copied() -> None:
    """Outputs that the next call would overwrite are copied, with their gradients."""
    model = Net()
    model.compile = lambda **settings: vars(model).update(_compiled_call_impl=model.forward)
    compile_model(model, {"mode": "reduce-overhead"})
    x = torch.ones(1, 3)
    out = model(x)
    assert out["loss"].grad_fn.name() == "CloneBackward0"
    assert (out["name"], out["parts"][0].tolist()) == ("net", [[2.0] * 3])


def test_a_compiler_that_does_not_work_is_an_error() -> None:
    """The message has the reason, and says what is needed."""

    def backend(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found.")

    state = torch.get_rng_state()
    try_compiler({"backend": "eager", "dynamic": False}, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ArgumentError, match=r"torch\.compile does not work on this machine: .*No working C"):
        try_compiler({"backend": backend, "dynamic": False}, torch.device("cpu"))
    torch.compiler.reset()
