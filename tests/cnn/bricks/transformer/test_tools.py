"""The parts of transformers under the compiler, export, autocast and deepcopy."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import MODELS
from cfgtrain.cnn.bricks.transformer import (
    FFN,
    AdaptivePadding,
    LearnedPositionalEncoding,
    MultiheadAttention,
    PatchEmbed,
    PatchMerging,
    SinePositionalEncoding,
    TransformerLayerSequence,
)

LAYER = {
    "type": "BaseTransformerLayer",
    "attn_cfgs": {"type": "MultiheadAttention", "embed_dims": 8, "num_heads": 2},
    "ffn_cfgs": {"feedforward_channels": 12, "act_cfg": {"type": "GELU"}},
    "operation_order": ("self_attn", "norm", "cross_attn", "norm", "ffn", "norm"),
    "batch_first": True,
}
VIT = {
    "type": "VisionTransformer",
    "arch": {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 12},
    "img_size": 8,
    "patch_size": 4,
    "num_classes": 3,
}
PADDING = torch.arange(7).expand(2, 7) > torch.tensor([[6], [4]])

Case = tuple[Callable[[], nn.Module], tuple[Any, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "AdaptivePadding": (lambda: AdaptivePadding(4, 4), (torch.rand(2, 3, 9, 6),), {}),
    "PatchEmbed": (lambda: PatchEmbed(3, 8, kernel_size=4, stride=4, norm_cfg={"type": "LN"}), (torch.rand(2, 3, 9, 8),), {}),
    "PatchMerging": (lambda: PatchMerging(8, 6), (torch.rand(2, 15, 8), (3, 5)), {}),
    "FFN": (lambda: FFN(8, 12), (torch.rand(2, 5, 8),), {}),
    "MultiheadAttention": (
        lambda: MultiheadAttention(8, 2, batch_first=True),
        (torch.rand(2, 5, 8), torch.rand(2, 7, 8)),
        {"attn_mask": torch.rand(5, 7), "key_padding_mask": PADDING, "query_pos": torch.rand(2, 5, 8),
         "key_pos": torch.rand(2, 7, 8)},
    ),
    "TransformerLayerSequence": (
        lambda: TransformerLayerSequence(LAYER, 2),
        (torch.rand(2, 5, 8), torch.rand(2, 7, 8), torch.rand(2, 7, 8)),
        {"key_padding_mask": PADDING},
    ),
    "SinePositionalEncoding": (lambda: SinePositionalEncoding(4, normalize=True), (PADDING[:, None],), {}),
    "LearnedPositionalEncoding": (lambda: LearnedPositionalEncoding(4), (PADDING[:, None],), {}),
    "VisionTransformer": (lambda: MODELS.build(VIT), (torch.rand(2, 3, 8, 8),), {}),
    "VisionTransformer of another size": (lambda: MODELS.build(VIT), (torch.rand(2, 3, 13, 8),), {}),
}  # fmt: skip
TRAINED = [
    "PatchEmbed",
    "PatchMerging",
    "FFN",
    "MultiheadAttention",
    "TransformerLayerSequence",
    "VisionTransformer",
]


def tensors(out: Any) -> list[Tensor]:
    """Return the tensors of an output."""
    return [x for x in (out if isinstance(out, tuple) else (out,)) if isinstance(x, Tensor)]


@pytest.fixture
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Return a module and its arguments, by their name."""
    torch.manual_seed(0)
    make, args, kwargs = CASES[request.param]
    return make(), args, kwargs


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_compiled(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """The compiler captures the whole module as one graph, and the results are the same."""
    module, args, kwargs = case
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*args, **kwargs), module(*args, **kwargs))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the default backend needs a C++ compiler")
@pytest.mark.parametrize("case", ["VisionTransformer"], indirect=True)
def test_compiled_with_the_default_backend(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """The default backend, which generates C++, gives the same outputs and gradients."""
    network, (images,), _ = case
    torch._dynamo.reset()
    expected = network(images)
    expected_gradients = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
    out = torch.compile(network, fullgraph=True)(images)
    torch.testing.assert_close(out, expected)
    gradients = torch.autograd.grad(out.square().sum(), list(network.parameters()))
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_exported(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """The module can be exported, and the exported program computes the same."""
    module, args, kwargs = case
    module.eval()
    program = torch.export.export(module, args, kwargs)
    torch.testing.assert_close(program.module()(*args, **kwargs), module(*args, **kwargs))


def test_exported_with_any_batch_size() -> None:
    """A network can be exported for all batch sizes."""
    network = MODELS.build(VIT).eval()
    program = torch.export.export(
        network, (torch.rand(3, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    images = torch.rand(5, 3, 8, 8)
    torch.testing.assert_close(program.module()(images), network(images))


@pytest.mark.parametrize("case", TRAINED, indirect=True)
def test_autocast(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """Under autocast, outputs are close to those in float32, and all gradients are finite and float32."""
    module, args, kwargs = case
    with torch.autocast("cpu", torch.bfloat16):
        outputs = tensors(module(*args, **kwargs))
    for out, expected in zip(outputs, tensors(module(*args, **kwargs)), strict=True):
        torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
    outputs[0].float().square().sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("case", TRAINED, indirect=True)
def test_bfloat16(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """A module can be converted to another dtype as a whole."""
    module, args, kwargs = case
    convert = {"dtype": torch.bfloat16}
    args = tuple(x.to(**convert) if isinstance(x, Tensor) else x for x in args)
    kwargs = {name: x if x.dtype == torch.bool else x.to(**convert) for name, x in kwargs.items()}
    outputs = tensors(module.to(torch.bfloat16)(*args, **kwargs))
    assert {out.dtype for out in outputs} == {torch.bfloat16}


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_copied(case: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> None:
    """A deep copy computes the same, and shares no parameter."""
    module, args, kwargs = case
    copied = copy.deepcopy(module)
    torch.testing.assert_close(copied(*args, **kwargs), module(*args, **kwargs))
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in module.parameters()}


def test_channels_last_images() -> None:
    """Images with the channels last in memory give the same."""
    layer = PatchEmbed(3, 8, kernel_size=4, stride=4)
    images = torch.rand(2, 3, 9, 8)
    expected = layer(images)[0]
    layer.to(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(images.contiguous(memory_format=torch.channels_last))[0], expected)
