"""Layers work with autocast, ``torch.compile``, channels_last and ``torch.export``, and on empty batches."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import (
    ConvModule,
    DepthwiseSeparableConvModule,
    DropPath,
    LayerNorm2d,
    Scale,
    build_activation_layer,
    build_conv_layer,
    build_plugin_layer,
    build_upsample_layer,
)

BN = {"type": "BN"}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "ConvModule": lambda: ConvModule(8, 8, 3, padding=1, norm_cfg=BN, padding_mode="reflect"),
    "ConvModule circular": lambda: ConvModule(8, 8, 3, padding=1, padding_mode="circular", act_cfg={"type": "Clip"}),
    "ConvModule spectral": lambda: ConvModule(8, 8, 3, with_spectral_norm=True),
    "depthwise": lambda: DepthwiseSeparableConvModule(8, 8, 3, norm_cfg=BN),
    "Scale": lambda: Scale(2.0),
    **{
        name: lambda name=name: build_activation_layer({"type": name})
        for name in ("HSigmoid", "HSwish", "Swish", "Clamp")
    },
    **{
        name: lambda name=name: build_conv_layer({"type": name}, 8, 8, 3, stride=2)
        for name in ("ConvWS", "ConvAWS", "Conv2dAdaptivePadding", "deconv")
    },
    "LayerNorm2d": lambda: LayerNorm2d(8),
    "carafe": lambda: build_upsample_layer({"type": "carafe", "channels": 8, "scale_factor": 2}),
    "pixel_shuffle": lambda: build_upsample_layer(
        {"type": "pixel_shuffle", "in_channels": 8, "out_channels": 4, "scale_factor": 2, "upsample_kernel": 3}
    ),
    "ContextBlock": lambda: build_plugin_layer({"type": "ContextBlock", "in_channels": 8, "ratio": 0.5})[1],
    **{
        f"NonLocal2d {mode}": lambda mode=mode: build_plugin_layer(
            {"type": "NonLocal2d", "in_channels": 8, "mode": mode, "sub_sample": True, "zeros_init": False}
        )[1]
        for mode in ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
    },
    **{
        f"GeneralizedAttention {kind} {r}": lambda kind=kind, r=r: build_plugin_layer(
            {"type": "GeneralizedAttention", "in_channels": 8, "num_heads": 2, "attention_type": kind, "spatial_range": r}
        )[1]
        for kind, r in (("1111", -1), ("1111", 2), ("1010", 2), ("0010", -1), ("0001", -1))
    },
    "CrissCrossAttention": lambda: build_plugin_layer({"type": "CrissCrossAttention", "in_channels": 8})[1],
}  # fmt: skip


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    layer = LAYERS[name]()
    for parameter_name, parameter in layer.named_parameters():
        if "gamma" in parameter_name:
            nn.init.constant_(parameter, 0.5)
    return layer


def x() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 8, 6, 6)


def gradients(layer: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    image = image.clone(memory_format=torch.preserve_format).requires_grad_()
    out = layer(image)
    out.square().sum().backward()
    return out, [image.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch itself
@pytest.mark.parametrize("name", LAYERS)
def test_compiled(name: str) -> None:
    """The whole layer is compiled without a break, forward and backward, with the same result."""
    torch._dynamo.reset()
    plain, compiled = make(name), torch.compile(make(name), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(compiled, x()), gradients(plain, x()), rtol=1e-4, atol=1e-5)


def test_dropped_paths_are_compiled() -> None:
    """A network with different probabilities of its layers is compiled without a break."""
    torch._dynamo.reset()
    layers = nn.Sequential(*[DropPath(i / 4) for i in range(5)])
    compiled = torch.compile(layers, fullgraph=True, backend="aot_eager")
    assert not compiled(x()).any()


@pytest.mark.parametrize("name", LAYERS)
def test_channels_last(name: str) -> None:
    """The result does not depend on the memory format."""
    plain, last = make(name), make(name).to(memory_format=torch.channels_last)
    image = x().to(memory_format=torch.channels_last)
    torch.testing.assert_close(gradients(last, image), gradients(plain, x()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_autocast(name: str) -> None:
    """Under autocast the result is about the same, and gradients are float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, grads = gradients(make(name), x())
    expected, _ = gradients(make(name), x())
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.1)
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)


# PyTorch's spectral norm assigns an attribute in each forward pass, which an export cannot do.
@pytest.mark.parametrize("name", [name for name in LAYERS if "spectral" not in name])
def test_exported(name: str) -> None:
    """An exported layer computes the same, for batches of any size."""
    layer = make(name).eval()
    batch = [{0: torch.export.Dim("batch")}]
    exported = torch.export.export(layer, (x(),), dynamic_shapes=batch).module()
    image = torch.randn(5, 8, 6, 6)
    torch.testing.assert_close(exported(image), layer(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_copied_and_pickled(name: str) -> None:
    """A copy of a layer computes the same, and so does one that was saved."""
    layer = make(name).eval()
    expected = layer(x())
    torch.testing.assert_close(pickle.loads(pickle.dumps(make(name).eval()))(x()), expected)
    torch.testing.assert_close(copy.deepcopy(make(name).eval())(x()), expected)


@pytest.mark.parametrize("name", LAYERS)
def test_empty_batch(name: str) -> None:
    """A batch without samples gives an empty output."""
    layer = make(name).eval()
    assert layer(x()[:0]).shape == (0, *layer(x()).shape[1:])


@pytest.mark.parametrize("name", LAYERS)
def test_meta_device(name: str) -> None:
    """Shapes can be computed without memory for weights."""
    with torch.device("meta"):
        layer = LAYERS[name]()
        out: Any = layer(torch.empty(2, 8, 6, 6))
    assert out.shape == make(name)(x()).shape
