from __future__ import annotations

import torch
from torch import Tensor, nn

from cfgtrain.cnn import ResNet
from cfgtrain.cnn.tools.measurement import measure


def test_output_shapes_and_calls() -> None:
    """Each module has the shapes of the tensors it returns, in any structure, and its number of calls."""

    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)
            self.unused = nn.Linear(1, 1)

        def forward(self, x: Tensor) -> dict[str, object]:
            return {"a": self.layer(x), "b": [self.layer(x), (x,)], "c": 1}

    model = Several()
    layers = measure(model, lambda: model(torch.zeros(2, 3))).layers
    assert layers[""].outputs == [(2, 4), (2, 4), (2, 3)]
    assert (layers["layer"].calls, layers["layer"].outputs) == (2, [(2, 4)])
    assert (layers["unused"].calls, layers["unused"].outputs, layers["unused"].params) == (0, [], 2)


def test_totals_include_the_modules_inside() -> None:
    """The total of a module is the sum over those inside it, but not over others with a similar name."""
    model = nn.ModuleDict(
        {"a": nn.Sequential(nn.Linear(2, 3, bias=False)), "ab": nn.Linear(3, 5, bias=False)}
    )
    measured = measure(model, lambda: model["ab"](model["a"](torch.zeros(1, 2))))
    assert [measured.total(name).flops for name in ("", "a", "a.0", "ab")] == [21, 6, 6, 15]
    assert [measured.total(name).params for name in ("", "a", "a.0", "ab")] == [21, 6, 6, 15]


def saved_bytes(model: nn.Module, x: Tensor) -> dict[str, int]:
    layers = measure(model, lambda: model(x), memory=True).layers
    return {name: layer.memory for name, layer in layers.items() if layer.memory}


def test_memory_is_what_the_backward_pass_needs() -> None:
    """It is that of saved inputs and outputs; what shares memory, parameters and statistics are not counted."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False),  # saves its input: 16 floats
        nn.BatchNorm2d(2),  # saves its input: 32
        nn.ReLU(inplace=True),  # saves its output: 32
        nn.Flatten(),
        nn.Linear(32, 5),  # saves its input, the output of ReLU
        nn.Sigmoid(),  # saves its output: 5
    )
    for device in ("cpu", "meta"):
        found = saved_bytes(model.to(device), torch.zeros(1, 1, 4, 4, device=device))
        assert found.pop("1") in (128, 144)  # some kernels save the statistics of the batch, too
        assert found == {"0": 64, "2": 128, "5": 20}
    model.requires_grad_(False)
    assert saved_bytes(model, torch.zeros(1, 1, 4, 4, device="meta")) == {}


def test_memory_of_a_network() -> None:
    """Of a ResNet-50 it is twice the outputs of its convolutions, 11.1 million floats, less what is shared."""
    with torch.device("meta"):
        model = ResNet(50)
        total = sum(saved_bytes(model, torch.zeros(1, 3, 224, 224)).values())
    assert 80e6 < total < 2 * 4 * 11.2e6


def test_lazy_layers() -> None:
    """Layers that create their parameters in the first call are measured as the layers that they become."""
    model, plain = nn.Sequential(nn.LazyLinear(3), nn.ReLU()), nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    totals = [
        measure(each, lambda each=each: each(torch.zeros(2, 4)), memory=True) for each in (model, plain)
    ]  # type: ignore[misc]
    lazy, expected = (each.total() for each in totals)
    assert (lazy.params, lazy.flops, lazy.memory) == (expected.params, expected.flops, expected.memory)
    assert (lazy.calls, lazy.params) == (1, 15)
