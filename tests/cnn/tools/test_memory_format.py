from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from cfgtrain.cnn.tools.memory_format import use_channels_last


class Net(nn.Module):
    """A convolution that remembers how its input was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.deep = nn.Conv3d(1, 1, 1)
        self.seen: list[bool] = []

    def forward(self, img: torch.Tensor, others: Any = (), label: Any = None) -> torch.Tensor:
        for each in (img, *others):
            self.seen.append(each.is_contiguous(memory_format=torch.channels_last))
        return self.conv(img)


def test_images_and_weights_have_their_channels_last() -> None:
    """Weights and inputs are stored in another order, also in lists; shapes, names and results are the same."""
    model = Net()
    plain = deepcopy(model)
    use_channels_last(model)
    img = torch.randn(2, 3, 6, 6)
    out = model(img=img, others=[img], label=torch.zeros(2))
    assert model.seen == [True, True]
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, plain(img))
    assert plain.seen == [False]
    assert {name: each.shape for name, each in model.state_dict().items()} == {
        name: each.shape for name, each in plain.state_dict().items()
    }


def test_lazy_weights_are_left() -> None:
    """A lazy convolution takes its shape from the first batch."""
    model = nn.Sequential(nn.LazyConv2d(2, 3))
    use_channels_last(model)
    assert model(torch.randn(1, 3, 4, 4)).shape == (1, 2, 2, 2)
