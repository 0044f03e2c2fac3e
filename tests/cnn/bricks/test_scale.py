from __future__ import annotations

import pytest
import torch

from cfgtrain.cnn import Scale


@pytest.mark.parametrize("value", [1.0, 10, 0.0])
def test_scale(value: float) -> None:
    """The input is multiplied by a 0-dimensional float32 parameter."""
    layer = Scale(value)
    assert (layer.scale.shape, layer.scale.dtype, layer.scale.item()) == ((), torch.float32, value)
    x = torch.randn(2, 3, 4)
    assert torch.equal(layer(x), x * value)
    assert list(layer.state_dict()) == ["scale"]
    layer(x).sum().backward()
    torch.testing.assert_close(layer.scale.grad, x.sum())


def test_scale_is_one_by_default() -> None:
    """The default is 1."""
    assert Scale().scale.item() == 1
