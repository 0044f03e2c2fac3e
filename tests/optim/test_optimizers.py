from __future__ import annotations

import torch

from cfgtrain.optim.optimizers import optimizers_of


def test_optimizers_by_name() -> None:
    """One optimizer, several, and none are all returned as a dict."""
    one = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    assert optimizers_of(one) == {"": one}
    assert optimizers_of({"a": one}) == {"a": one}
    assert optimizers_of(None) == {}
