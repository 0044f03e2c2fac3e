from __future__ import annotations

from typing import Any

import pytest
import torch
from tensor_sizes import LargestTensor
from torch import Tensor, nn

from cfgtrain.cnn import NonLocal1d, NonLocal2d, NonLocal3d
from cfgtrain.cnn.bricks.non_local import _NonLocalNd

MODES = ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
BLOCKS = {1: (NonLocal1d, (7,)), 2: (NonLocal2d, (4, 6)), 3: (NonLocal3d, (2, 4, 6))}
POOLS: dict[int, Any] = {
    1: lambda x: nn.functional.max_pool1d(x, 2),
    2: lambda x: nn.functional.max_pool2d(x, 2),
    3: lambda x: nn.functional.max_pool3d(x, (1, 2, 2)),
}


def by_formula(block: Any, x: Tensor, pool: Any) -> Tensor:
    """Return the sum over positions j of the weight of i and j times g(j), with loops over positions."""

    def conv(layer: Any, y: Tensor) -> Tensor:
        out = torch.einsum("oc,nc...->no...", layer.weight.flatten(1), y)
        return out if layer.bias is None else out + layer.bias.view(-1, *(1,) * (y.ndim - 2))

    def embedded(embedding: Any, y: Tensor, sampled: bool) -> Tensor:
        layer = embedding[0] if isinstance(embedding, nn.Sequential) else embedding
        return (pool if sampled else lambda z: z)(conv(layer.conv, y)).flatten(2)  # (N, C, positions)

    g = embedded(block.g, x, True)
    if block.mode == "gaussian":
        theta, phi = x.flatten(2), pool(x).flatten(2)
    else:
        theta, phi = embedded(block.theta, x, False), embedded(block.phi, x, True)
    n, inner, keys = g.shape
    y = torch.zeros(n, inner, theta.shape[2])
    for sample in range(n):
        for i in range(theta.shape[2]):
            a = theta[sample, :, i]
            energy = torch.stack([(a * phi[sample, :, j]).sum() for j in range(keys)])
            if block.mode == "embedded_gaussian" and block.use_scale:
                energy = energy / inner**0.5
            if block.mode == "concatenation":
                p = block.concat_project.conv.weight.flatten()
                energy = torch.stack([p @ torch.cat((a, phi[sample, :, j])) for j in range(keys)]).relu()
            weights = energy.softmax(0) if "gaussian" in block.mode else energy / keys
            y[sample, :, i] = g[sample] @ weights
    return x + conv(block.conv_out.conv, y.reshape(n, inner, *x.shape[2:]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_formula(mode: str, sub_sample: bool, dimensions: int) -> None:
    """Each mode is its formula, in 1 to 3 dimensions, with and without pooling."""
    torch.manual_seed(0)
    cls, size = BLOCKS[dimensions]
    block = cls(4, sub_sample=sub_sample, mode=mode, zeros_init=False, std=0.5)
    x = torch.randn(2, 4, *size)
    expected = by_formula(block, x, POOLS[dimensions] if sub_sample else lambda y: y)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [False, True])
def test_names_of_parameters(mode: str, sub_sample: bool) -> None:
    """The names are MMCV's; theta, phi and the projection exist only where they are used."""
    block = NonLocal2d(6, sub_sample=sub_sample, mode=mode, norm_cfg={"type": "BN"})
    pooled = ".0" if sub_sample else ""
    wanted = {f"g{pooled}.conv.weight", f"g{pooled}.conv.bias", "conv_out.conv.weight", "conv_out.bn.weight"}
    wanted |= {"conv_out.bn.bias"}
    if mode != "gaussian":
        wanted |= {
            "theta.conv.weight",
            "theta.conv.bias",
            f"phi{pooled}.conv.weight",
            f"phi{pooled}.conv.bias",
        }
    if mode == "concatenation":
        wanted |= {"concat_project.conv.weight"}
    assert {name for name, _ in block.named_parameters()} == wanted
    assert hasattr(block, "phi") is (mode != "gaussian" or sub_sample)
    assert hasattr(block, "theta") is (mode != "gaussian")


@pytest.mark.parametrize("norm", [None, {"type": "BN"}])
def test_it_returns_its_input_at_first(norm: Any) -> None:
    """By default the last layer is 0 at first, and again after ``init_weights``; otherwise it is not."""
    x = torch.randn(2, 6, 4, 4)
    block = NonLocal2d(6, sub_sample=True, norm_cfg=norm)
    assert torch.equal(block(x), x)
    for parameter in block.parameters():
        nn.init.ones_(parameter)
    block.init_weights()
    assert torch.equal(block(x), x)
    assert not torch.equal(NonLocal2d(6, norm_cfg=norm, zeros_init=False)(x), x)
    kept = NonLocal2d(6, norm_cfg=norm, zeros_init=False)
    kept.init_weights()
    assert not torch.equal(kept(x), x)
    kept.init_weights(zeros_init=True)
    assert torch.equal(kept(x), x)


def test_initial_weights() -> None:
    """The embeddings are drawn with the given standard deviation."""
    torch.manual_seed(0)
    block = NonLocal2d(64, std=0.1)
    for layer in (block.g, block.theta, block.phi):
        assert layer.conv.weight.std().item() == pytest.approx(0.1, rel=0.1)
        assert not layer.conv.bias.any()


def test_inner_channels() -> None:
    """There is at least one inner channel."""
    assert (NonLocal2d(6).inter_channels, NonLocal2d(6, reduction=3).inter_channels) == (3, 2)
    assert NonLocal2d(3, reduction=8).inter_channels == 1


@pytest.mark.parametrize("reduction", [0, -1, 1.5])
def test_invalid_reduction(reduction: Any) -> None:
    """A reduction that is not a positive int is an error."""
    with pytest.raises(ValueError, match="reduction must be"):
        NonLocal2d(4, reduction=reduction)


def test_unknown_mode() -> None:
    """An unknown mode is a ValueError that lists the modes."""
    with pytest.raises(ValueError, match="mode must be 'gaussian', 'embedded_gaussian'"):
        _NonLocalNd(3, mode="unsupport_mode")  # type: ignore[arg-type]


def test_the_dot_product_has_no_matrix_of_pairs() -> None:
    """The memory of this mode grows with the number of positions, not with its square."""
    block = NonLocal2d(4, mode="dot_product")
    x = torch.randn(1, 4, 32, 32)
    with LargestTensor() as largest:
        block(x).sum().backward()
    assert largest.elements == x.numel()
