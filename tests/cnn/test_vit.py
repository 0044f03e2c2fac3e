"""The Vision Transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain import Config
from cfgtrain.checkpoint.load import load_checkpoint
from cfgtrain.cnn import MODELS, VisionTransformer
from cfgtrain.cnn.bricks.drop import DropPath
from cfgtrain.errors import ArgumentError

ARCH = {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 12}


def network(**settings: Any) -> VisionTransformer:
    """Return a small network."""
    torch.manual_seed(0)
    return VisionTransformer(**{"arch": ARCH, "img_size": (8, 12), "patch_size": 4, **settings})


def by_hand(model: VisionTransformer, images: Tensor) -> Tensor:
    """Return the normalized vectors (B, 1 + H' * W', C), from the paper's formulas and PyTorch's functions."""
    w = model.state_dict()
    x = functional.conv2d(images, w["patch_embed.projection.weight"], w["patch_embed.projection.bias"], 4)
    x = (
        torch.cat((w["cls_token"].repeat(len(images), 1, 1), x.flatten(2).permute(0, 2, 1)), 1)
        + w["pos_embed"]
    )

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (8,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    for i in range(2):
        at = f"encoder.layers.{i}."
        h = norm(x, f"{at}norms.0")
        attn = f"{at}attentions.0.attn."
        qkv = functional.linear(h, w[f"{attn}in_proj_weight"], w[f"{attn}in_proj_bias"])  # (B, L, 3 * C)
        q, k, v = qkv.reshape(*h.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)  # (B, heads, L, C / heads)
        h = ((q @ k.transpose(2, 3) / 2).softmax(3) @ v).transpose(1, 2).flatten(2)
        x = x + functional.linear(h, w[f"{attn}out_proj.weight"], w[f"{attn}out_proj.bias"])
        h = norm(x, f"{at}norms.1")
        h = functional.linear(h, w[f"{at}ffns.0.layers.0.0.weight"], w[f"{at}ffns.0.layers.0.0.bias"])
        h = functional.gelu(h)
        x = x + functional.linear(h, w[f"{at}ffns.0.layers.1.weight"], w[f"{at}ffns.0.layers.1.bias"])
    return norm(x, "norm")


def test_is_the_formula() -> None:
    """The vectors are those of the formulas of the paper."""
    model = network(out_type="raw")
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.rand(2, 3, 8, 12)
    torch.testing.assert_close(model(images), by_hand(model, images))


def test_outputs() -> None:
    """``out_type`` selects a part of the vectors; the classifier is a linear layer on one of them."""
    images = torch.rand(2, 3, 8, 12)
    raw = network(out_type="raw")(images)
    assert raw.shape == (2, 1 + 6, 8)
    torch.testing.assert_close(network()(images), raw[:, 0])
    torch.testing.assert_close(network(out_type="avg_featmap")(images), raw[:, 1:].mean(1))
    featmap = network(out_type="featmap")(images)
    assert featmap.shape == (2, 8, 2, 3)
    torch.testing.assert_close(featmap[:, :, 1, 2], raw[:, 6])
    for out_type, vector in (("cls_token", raw[:, 0]), ("avg_featmap", raw[:, 1:].mean(1))):
        model = network(num_classes=5, out_type=out_type)
        model.load_state_dict(network(out_type="raw").state_dict(), strict=False)
        torch.testing.assert_close(model(images), model.head(vector))


def test_without_class_token() -> None:
    """Without class token, the mean of the vectors is the default."""
    model = network(with_cls_token=False, num_classes=5)
    assert model.pos_embed.shape == (1, 6, 8)
    assert "cls_token" not in model.state_dict()
    assert model(torch.rand(2, 3, 8, 12)).shape == (2, 5)
    assert network(with_cls_token=False, out_type="raw")(torch.rand(2, 3, 8, 12)).shape == (2, 6, 8)


@pytest.mark.parametrize(
    ("arch", "parameters"),  # as published, with 1000 classes
    [("tiny", 5_717_416), ("small", 22_050_664), ("base", 86_567_656), ("large", 304_326_632)],
)
def test_published_sizes(arch: str, parameters: int) -> None:
    """The named architectures have as many parameters as published."""
    with torch.device("meta"):
        model = MODELS.build({"type": "VisionTransformer", "arch": arch, "num_classes": 1000})
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_names() -> None:
    """The parameters have the documented names."""
    names = list(network(num_classes=3).state_dict())
    kinds = ("weight", "bias")
    layer = ("attentions.0.attn.out_proj", "ffns.0.layers.0.0", "ffns.0.layers.1", "norms.0", "norms.1")
    assert sorted(names) == sorted([
        "cls_token", "pos_embed",
        *(f"{part}.{kind}" for part in ("patch_embed.projection", "norm", "head") for kind in kinds),
        *(f"encoder.layers.{i}.attentions.0.attn.in_proj_{kind}" for i in (0, 1) for kind in kinds),
        *(f"encoder.layers.{i}.{part}.{kind}" for i in (0, 1) for part in layer for kind in kinds),
    ])  # fmt: skip


def test_images_of_another_size() -> None:
    """The position embedding is interpolated for another image, and its own part of a linear one is unchanged."""
    model = network(out_type="featmap")
    assert model(torch.rand(1, 3, 16, 17)).shape == (1, 8, 4, 5)  # padded to 16 x 20
    with torch.no_grad():  # linear in the row and the column, so bilinear interpolation is exact inside
        rows, columns = torch.arange(2.0)[:, None], torch.arange(3.0)
        model.pos_embed[0, 1:] = (rows + 10 * columns).flatten()[:, None]
    model.interpolate_mode = "bilinear"
    position = model._position((4, 6))[0, 1:, 0].reshape(4, 6)
    rows, columns = (torch.arange(4.0)[:, None] - 0.5) / 2, (torch.arange(6.0) - 0.5) / 2
    torch.testing.assert_close(position, rows.clamp(0, 1) + 10 * columns.clamp(0, 2))
    assert torch.equal(model._position((4, 6))[:, 0], model.pos_embed[:, 0])
    model.interpolate_mode = "nearest"
    assert torch.equal(
        model._position((4, 6))[0, 1:, 0].reshape(4, 6)[::2, ::2], model.pos_embed[0, 1:, 0].reshape(2, 3)
    )


def test_weights_of_another_size(tmp_path: Path) -> None:
    """The position embedding of weights for another image size is interpolated as in ``forward``, if it is square."""
    source = network(img_size=8, out_type="raw")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = network(img_size=(12, 16), out_type="raw")
    load_checkpoint(model, tmp_path / "weights.pth", strict=True)
    images = torch.rand(2, 3, 12, 16)
    torch.testing.assert_close(model(images), source(images))
    assert source.state_dict()["pos_embed"].shape == (1, 5, 8)
    with pytest.raises(RuntimeError, match="size mismatch for pos_embed"):
        network(img_size=16).load_state_dict(network(img_size=(8, 12)).state_dict())


def test_dropout() -> None:
    """The probability of dropping samples increases linearly; the other probabilities are the same everywhere."""
    model = network(arch={**ARCH, "num_layers": 3}, drop_path_rate=0.2, drop_rate=0.1, attn_drop_rate=0.3)
    rates = [m.drop_prob for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.1}
    assert {m.dropout for m in model.modules() if isinstance(m, nn.MultiheadAttention)} == {0.3}
    images = torch.rand(2, 3, 8, 12)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_initial_weights() -> None:
    """By default, linear layers and embeddings have a standard deviation of 0.02, and no bias."""
    model = network(arch={**ARCH, "embed_dims": 64}, img_size=64)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if name == "pos_embed" or (parameter.ndim == 2 and "in_proj" not in name):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2)
            assert abs(parameter.mean().item()) < 0.002
        elif name.endswith("bias"):
            assert not parameter.any()


def test_training() -> None:
    """Every parameter gets a gradient."""
    model = network(num_classes=3)
    functional.cross_entropy(model(torch.rand(4, 3, 8, 12)), torch.tensor([0, 1, 2, 0])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_empty_batch() -> None:
    """No image gives no scores."""
    assert network(num_classes=3)(torch.rand(0, 3, 8, 12)).shape == (0, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "smal"}, "arch must be 'tiny', 'small', 'base' or 'large', not 'smal'. Did you mean 'small'"),
        ({"arch": 3}, "arch must be .* or a dict with embed_dims"),
        ({"arch": {"embed_dims": 8}}, "it has no 'num_layers'"),
        ({"arch": {**ARCH, "num_head": 2}}, "unknown 'num_head'. Did you mean 'num_heads'"),
        ({"arch": {**ARCH, "num_heads": 3}}, "num_heads must divide embed_dims, 8.*It can be 1, 2, 4 or 8"),
        ({"arch": {**ARCH, "num_layers": 0}}, "num_layers must be at least 1"),
        ({"out_type": "map"}, "out_type must be"),
        ({"out_type": "cls_token", "with_cls_token": False}, "needs a class token"),
        ({"out_type": "featmap", "num_classes": 3}, "for a classifier, not 'featmap'"),
        ({"drop_rate": 2}, "drop_rate must be from 0 to 1"),
        ({"interpolate_mode": "cubic"}, "interpolate_mode must be .* Did you mean 'bicubic'"),
        ({"img_size": 0}, "img_size must be at least 1"),
    ],
)  # fmt: skip
def test_invalid_arguments(settings: dict[str, Any], message: str) -> None:
    """Errors name the argument and what would fit."""
    with pytest.raises(ArgumentError, match=message):
        network(**settings)


def test_errors_have_the_place_in_the_config(tmp_path: Path) -> None:
    """Dims that do not fit have their key path and line."""
    (tmp_path / "config.py").write_text(
        "model = dict(type='VisionTransformer', arch=dict(embed_dims=10, num_layers=1, feedforward_channels=9,\n"
        "             num_heads=4))\n"
    )
    with pytest.raises(ArgumentError, match="It can be") as caught:
        MODELS.build(Config.fromfile(tmp_path / "config.py").model)
    assert "model.arch.num_heads" in caught.value.__notes__[0]
    assert "config.py:2" in caught.value.__notes__[0]
