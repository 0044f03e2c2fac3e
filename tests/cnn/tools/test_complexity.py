from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from state_dicts import randomized
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cfgtrain.cnn import VGG, AlexNet, ResNet, flops_to_string, get_model_complexity_info, params_to_string


def count(model: nn.Module, shape: Any, **args: Any) -> tuple[float, int]:
    return get_model_complexity_info(model, shape, print_per_layer_stat=False, as_strings=False, **args)


IMAGE = (3, 16, 16)

# What MMCV counts.
TABLE: list[tuple[nn.Module, tuple[int, ...], int, int]] = [
    (nn.Conv1d(3, 8, 3), (3, 16), 1120, 80),
    (nn.Conv2d(3, 8, 3), IMAGE, 43904, 224),
    (nn.Conv3d(3, 8, 3), (3, 3, 16, 16), 128576, 656),
    *((act, IMAGE, 768, 0) for act in (nn.ReLU(), nn.ELU(), nn.LeakyReLU(), nn.ReLU6())),
    (nn.PReLU(), IMAGE, 768, 1),
    (nn.MaxPool1d(2), (3, 16), 48, 0),
    (nn.AvgPool1d(2), (3, 16), 48, 0),
    (nn.AdaptiveAvgPool1d(2), (3, 16), 48, 0),
    (nn.AdaptiveMaxPool1d(2), (3, 16), 48, 0),
    (nn.MaxPool2d(2), IMAGE, 768, 0),
    (nn.AvgPool2d(2), IMAGE, 768, 0),
    (nn.AdaptiveAvgPool2d(2), IMAGE, 768, 0),
    (nn.AdaptiveMaxPool2d(2), IMAGE, 768, 0),
    (nn.MaxPool3d(2), (3, 3, 16, 16), 2304, 0),
    (nn.AvgPool3d(2), (3, 3, 16, 16), 2304, 0),
    (nn.AdaptiveAvgPool3d(2), (3, 3, 16, 16), 2304, 0),
    (nn.AdaptiveMaxPool3d(2), (3, 3, 16, 16), 2304, 0),
    (nn.BatchNorm1d(3), (3, 16), 96, 6),
    (nn.BatchNorm2d(3), IMAGE, 1536, 6),
    (nn.BatchNorm3d(3), (3, 3, 16, 16), 4608, 6),
    (nn.GroupNorm(2, 6), (6, 16, 16), 3072, 12),
    (nn.InstanceNorm1d(3, affine=True), (3, 16), 96, 6),
    (nn.InstanceNorm2d(3, affine=True), IMAGE, 1536, 6),
    (nn.InstanceNorm3d(3, affine=True), (3, 3, 16, 16), 4608, 6),
    (nn.LayerNorm(IMAGE), IMAGE, 1536, 1536),
    (nn.LayerNorm(IMAGE, elementwise_affine=False), IMAGE, 768, 0),
    (nn.Linear(1024, 2), (1024,), 2048, 2050),
    (nn.ConvTranspose2d(3, 8, 3), IMAGE, 57888, 224),
    (nn.Upsample((32, 32)), IMAGE, 3072, 0),
    (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(1568, 2)), IMAGE, 47040, 3362),
]  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("model", "shape", "flops", "params"), TABLE, ids=lambda each: str(each)[:20])
def test_layers_are_counted_as_in_mmcv(
    model: nn.Module, shape: tuple[int, ...], flops: int, params: int, device: str
) -> None:
    """The multiply-adds and trainable parameters of each layer are those of MMCV, on every device."""
    assert count(model if device == "cpu" else type_on_meta(model), shape) == (flops, params)


def type_on_meta(model: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(model).to("meta")


def test_large_layer_is_counted_on_the_meta_device() -> None:
    """The numbers are text by default; on the meta device nothing is computed."""
    with torch.device("meta"):
        model = nn.Conv3d(3, 8, 3)
        info = get_model_complexity_info(model, (3, 3, 512, 512), print_per_layer_stat=False)
    assert info == ("0.17 GFLOPs", "656")


@pytest.mark.parametrize(
    ("build", "flops", "params"),
    [
        (lambda: ResNet(18), "1.82 GFLOPs", "11.18 M"),
        (lambda: ResNet(50), "4.12 GFLOPs", "23.51 M"),
        (lambda: VGG(16, num_classes=1000), "15.5 GFLOPs", "138.36 M"),
        (lambda: AlexNet(1000), "0.72 GFLOPs", "61.1 M"),
    ],
    ids=["ResNet18", "ResNet50", "VGG16", "AlexNet"],
)
def test_networks(build: Any, flops: str, params: str) -> None:
    """Whole networks have the numbers that MMCV gives."""
    with torch.device("meta"):
        model = build()
    assert get_model_complexity_info(model, (3, 224, 224), False) == (flops, params)


class Own(nn.Conv2d):
    """A convolution that computes its weights, as ConvWS does."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3))
        self.inner = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x @ self.weight.t())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "shape", "flops"),
    [
        (Own(3, 8, 3), IMAGE, 43904),
        (nn.Conv2d(8, 8, 3, groups=4, bias=False), (8, 16, 16), 9 * 8 * 2 * 14 * 14),
        (nn.ConvTranspose1d(4, 6, 3, groups=2), (4, 10), 3 * 4 * 3 * 10 + 6 * 12),
        (nn.ConvTranspose3d(2, 4, 2), (2, 3, 3, 3), 8 * 2 * 4 * 27 + 4 * 64),
        (nn.SiLU(), IMAGE, 768),
        (nn.GELU(), IMAGE, 768),
        (nn.Hardswish(), IMAGE, 768),
        (Functional(), (7, 3), 7 * 3 * 4 + 7 * 4 * 5),
        (nn.Dropout(), IMAGE, 0),
    ],
    ids=lambda each: str(each)[:20],
)
def test_layers_that_mmcv_does_not_count(model: nn.Module, shape: tuple[int, ...], flops: int) -> None:
    """Subclasses, other activations, and products in the forward of other modules are counted."""
    assert count(model, shape)[0] == flops


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("need_weights", [False, True])
def test_attention(need_weights: bool, device: str) -> None:
    """Projections and products of an attention are counted, with each implementation of it."""

    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=need_weights)[0]  # type: ignore[no-any-return]

    flops, params = count(SelfAttention().to(device), (5, 8))
    assert flops == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    assert params == 4 * (8 * 8 + 8)
    assert torch.backends.mha.get_fastpath_enabled()


def test_products_are_those_of_the_flop_counter() -> None:
    """Of convolutions and linear layers without bias, PyTorch's counter finds two operations per multiply-add."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False),
        nn.ConvTranspose2d(8, 4, 2, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 14 * 14, 10, bias=False),
    )
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(1, *IMAGE))
    assert count(model, IMAGE)[0] == counter.get_total_flops() / 2


def test_shared_layers() -> None:
    """A layer that is called twice counts twice; its parameters count once, if they are trained."""
    layer = nn.Linear(4, 4, bias=False)
    assert count(nn.Sequential(layer, nn.ReLU(), layer), (4,)) == (16 + 4 + 16, 16)
    layer.weight.requires_grad_(False)
    assert count(layer, (4,)) == (16, 0)


def test_inputs_by_name() -> None:
    """``input_constructor`` gives keyword arguments, also to a single layer; the numbers are per sample."""

    def build(shape: Any) -> dict[str, Any]:
        return {"input": torch.zeros(4, *shape)}

    assert count(nn.Conv2d(3, 8, 3), IMAGE, input_constructor=build) == (43904, 224)
    assert count(nn.Upsample((32, 32)), IMAGE, input_constructor=build) == (3072, 0)


def state(model: nn.Module) -> Any:
    return {
        name: {key: repr(value) for key, value in vars(each).items()} for name, each in model.named_modules()
    }


def test_model_is_not_changed() -> None:
    """Weights, statistics, modes and hooks are the same afterwards, also after an error; it can be repeated."""
    model = randomized(ResNet(18, num_stages=1, bn_eval=False))
    model.layer1.train()
    before = state(model)
    first = count(model, (3, 32, 32))
    assert count(model, (3, 32, 32)) == first
    assert state(model) == before
    with pytest.raises(RuntimeError):
        count(model, (4, 32, 32))
    assert state(model) == before


def test_dtype_of_the_input() -> None:
    """The input has the dtype and device of the first parameter."""
    assert count(nn.Linear(4, 2).double(), [4]) == (8, 10)


def test_layers_are_printed() -> None:
    """The model is printed with parameters, FLOPs and their shares; without any, the shares are 0."""
    out = io.StringIO()
    get_model_complexity_info(nn.Conv1d(3, 8, 3), (3, 16), ost=out, flush=True)
    assert out.getvalue() == (
        "Conv1d(0.0 M, 100.000% Params, 0.0 GFLOPs, 100.000% FLOPs, 3, 8, kernel_size=(3,), stride=(1,))\n"
    )
    out = io.StringIO()
    model = nn.Sequential(nn.Sequential(nn.Linear(1000, 3000, bias=False)), nn.Flatten())
    get_model_complexity_info(model, (1000,), ost=out)
    assert out.getvalue().splitlines() == [
        "Sequential(",
        "  3.0 M, 100.000% Params, 0.003 GFLOPs, 100.000% FLOPs, ",
        "  (0): Sequential(",
        "    3.0 M, 100.000% Params, 0.003 GFLOPs, 100.000% FLOPs, ",
        "    (0): Linear(3.0 M, 100.000% Params, 0.003 GFLOPs, 100.000% FLOPs, in_features=1000, "
        "out_features=3000, bias=False)",
        "  )",
        "  (1): Flatten(0.0 M, 0.000% Params, 0.0 GFLOPs, 0.000% FLOPs, start_dim=1, end_dim=-1)",
        ")",
    ]
    out = io.StringIO()
    assert get_model_complexity_info(nn.Flatten(), (3,), ost=out) == ("0.0 GFLOPs", "0")
    assert "0.000% Params" in out.getvalue()


def test_output_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """By default it is printed to the current stdout."""
    get_model_complexity_info(nn.ReLU(), (3,))
    assert capsys.readouterr().out.startswith("ReLU(0.0 M")


@pytest.mark.parametrize("shape", [(), 3, "3", None])
def test_invalid_shapes(shape: Any) -> None:
    """A shape that is not a sequence of integers is an error."""
    with pytest.raises(AssertionError, match=r"input_shape must be a tuple such as \(3, 224, 224\)"):
        count(nn.ReLU(), shape)
    with pytest.raises(AssertionError, match=r"input_shape\[1\] must be at least 1, not 0"):
        count(nn.ReLU(), (3, 0))


@pytest.mark.parametrize(
    ("flops", "units", "text"),
    [
        (6.54321e9, "GFLOPs", "6.54 GFLOPs"),
        (6.54321e9, "MFLOPs", "6543.21 MFLOPs"),
        (6.54321e9, "KFLOPs", "6543210.0 KFLOPs"),
        (6.54321e9, "FLOPs", "6543210000.0 FLOPs"),
        (6.54321e9, None, "6.54 GFLOPs"),
        (3.21e8, None, "321.0 MFLOPs"),
        (5.4e3, None, "5.4 KFLOPs"),
        (987, None, "987 FLOPs"),
    ],
)
def test_flops_as_text(flops: float, units: str | None, text: str) -> None:
    """The unit is GFLOPs, the given one, or chosen by the size."""
    assert flops_to_string(flops, units) == text
    assert flops_to_string(6.54321e9) == "6.54 GFLOPs"
    assert flops_to_string(6.54321e9, precision=4) == "6.5432 GFLOPs"


@pytest.mark.parametrize(
    ("number", "units", "text"),
    [
        (3.21e7, None, "32.1 M"),
        (4.56e5, None, "456.0 k"),
        (7.89e2, None, "789.0"),
        (656, None, "656"),
        (3.21e7, "M", "32.1 M"),
        (3.21e7, "K", "32100.0 K"),
        (3.21e7, "", "32100000.0"),
    ],
)
def test_parameters_as_text(number: float, units: str | None, text: str) -> None:
    """The unit is chosen by the size, or the given one."""
    assert params_to_string(number, units) == text


def test_unknown_units() -> None:
    """An unknown unit is an error with a suggestion."""
    with pytest.raises(ValueError, match="Did you mean 'GFLOPs'"):
        flops_to_string(1, "GFLOP")
    with pytest.raises(ValueError, match="units must be"):
        params_to_string(1, "G")
