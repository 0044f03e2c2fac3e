"""Criss-cross attention against attention over all pixels."""

from __future__ import annotations

import pytest
import torch
from tensor_sizes import LargestTensor
from torch import Tensor

from cfgtrain.ops import criss_cross_attention


def by_formula(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return attention over all pixels, of which only the row and the column count."""
    n, _, height, width = query.shape
    energy = query.flatten(2).transpose(1, 2) @ key.flatten(2)
    energy = energy.reshape(n, height, width, height, width)
    row = torch.eye(height, dtype=torch.bool)[:, None, :, None]
    column = torch.eye(width, dtype=torch.bool)[None, :, None, :]
    energy = energy.masked_fill(~(row | column), float("-inf")).reshape(n, height * width, height * width)
    out = energy.softmax(2) @ value.flatten(2).transpose(1, 2)
    return out.transpose(1, 2).reshape(n, -1, height, width)


@pytest.mark.parametrize("size", [(4, 5), (5, 4), (1, 3), (3, 1), (1, 1)])
def test_formula(size: tuple[int, int]) -> None:
    """Each pixel attends to its row and its column, and to itself once."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 2, 3, *size, dtype=torch.float64)
    value = torch.randn(2, 6, *size, dtype=torch.float64)
    torch.testing.assert_close(criss_cross_attention(query, key, value), by_formula(query, key, value))


def test_gradients() -> None:
    """The derivatives are those of finite differences."""
    torch.manual_seed(0)
    args = [torch.randn(1, c, 2, 3, dtype=torch.float64, requires_grad=True) for c in (2, 2, 3)]
    assert torch.autograd.gradcheck(criss_cross_attention, args)


def test_no_tensor_has_all_pairs_of_pixels() -> None:
    """The largest tensor has H * W * (H + W) elements in the forward and backward pass."""
    query, key, value = (torch.randn(1, 2, 24, 32, requires_grad=True) for _ in range(3))
    with LargestTensor() as largest:
        criss_cross_attention(query, key, value).sum().backward()
    assert largest.elements == 24 * 32 * (24 + 32)
