from __future__ import annotations

import torch
from state_dicts import randomized
from torch import nn

from cfgtrain.cnn.tools import revert_sync_batchnorm


def test_layers_are_replaced() -> None:
    """Each SyncBatchNorm becomes a BatchNorm with the same parameters, buffers, settings and mode."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.SyncBatchNorm(8, eps=1e-3, momentum=0.2)))
    randomized(model)
    model[1].train()
    before = dict(model.state_dict(keep_vars=True))
    x = torch.randn(2, 3, 4, 4)
    expected = nn.functional.batch_norm(
        model[0](x), None, None, model[1][0].weight, model[1][0].bias, True, 0.2, 1e-3
    )
    assert revert_sync_batchnorm(model) is model
    norm = model[1][0]
    assert not isinstance(norm, nn.SyncBatchNorm)
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert (norm.eps, norm.momentum, norm.training, model[0].training) == (1e-3, 0.2, True, False)
    torch.testing.assert_close(model(x), expected)


def test_root_is_replaced() -> None:
    """A layer itself is returned as a new one, for inputs with any number of dimensions."""
    layer = nn.SyncBatchNorm(3, affine=False, track_running_stats=False)
    layer.qconfig = "x"  # type: ignore[assignment]  # any object
    new = revert_sync_batchnorm(layer)
    assert type(new).__name__ == "BatchNormXd"
    assert new.qconfig == "x"  # type: ignore[comparison-overlap]
    for shape in ((4, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)):
        out = new(torch.randn(shape))
        assert out.mean().abs().item() < 1e-5
        assert out.shape == shape


def test_shared_layers_stay_shared() -> None:
    """A layer at two places is replaced by one layer; other layers are not changed."""
    norm, plain = nn.SyncBatchNorm(2), nn.BatchNorm1d(2)
    model = nn.Sequential(norm, plain, nn.Sequential(norm), norm)
    revert_sync_batchnorm(model)
    assert not isinstance(model[0], nn.SyncBatchNorm)
    assert model[0] is model[2][0] is model[3]
    assert model[1] is plain
