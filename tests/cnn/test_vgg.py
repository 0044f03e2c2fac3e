from __future__ import annotations

from typing import Any

import pytest
import torch
from state_dicts import has_names_of, randomized, rows
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn import MODELS, VGG, make_vgg_layer

CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def on_meta(**args: Any) -> VGG:
    with torch.device("meta"):
        model = MODELS.build({"type": "VGG", **args})
    assert isinstance(model, VGG)
    return model


@pytest.mark.parametrize("with_bn", [False, True])
@pytest.mark.parametrize("depth", CONVS)
def test_state_dict_has_the_names_of_torchvision(depth: int, with_bn: bool) -> None:
    """The state dict has the names and shapes of torchvision."""
    model = on_meta(depth=depth, with_bn=with_bn, num_classes=1000)
    assert has_names_of(f"vgg{depth}{'_bn' * with_bn}", rows(model))


def reference(model: VGG, x: Tensor, dilations: Any, ceil_mode: bool, last_pool: bool) -> list[Tensor]:
    """The stages of a VGG in eval mode, written with functions."""
    layers = iter(model.features)
    outs = []
    for stage, count in enumerate(CONVS[11]):
        for _ in range(count):
            conv: Any = next(layers)
            d = dilations[stage]
            x = functional.conv2d(x, conv.weight, conv.bias, padding=d, dilation=d)
            norm: Any = next(layers)
            mean, var, weight, bias = (
                t.view(1, -1, 1, 1) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            )
            x = functional.relu((x - mean) / torch.sqrt(var + 1e-5) * weight + bias)
            next(layers)  # ReLU
        if stage < 4 or last_pool:
            next(layers)
            x = functional.max_pool2d(x, 2, 2, ceil_mode=ceil_mode)
        outs.append(x)
    return outs


@pytest.mark.parametrize(
    "args", [{}, {"dilations": [1, 1, 1, 1, 2], "ceil_mode": True, "with_last_pool": False}]
)
def test_outputs_are_those_of_a_forward_written_by_hand(args: dict[str, Any]) -> None:
    """The output of every stage is that of the formula."""
    torch.manual_seed(0)
    model = randomized(VGG(11, with_bn=True, **args))
    x = torch.randn(1, 3, 66, 64)
    with torch.no_grad():
        outs = model(x)
        expected = reference(
            model,  # type: ignore[arg-type]
            x,
            args.get("dilations", [1] * 5),
            args.get("ceil_mode", False),
            args.get("with_last_pool", True),
        )
    assert len(outs) == 5
    for out, right in zip(outs, expected, strict=True):
        torch.testing.assert_close(out, right, rtol=1e-4, atol=1e-5)


def test_outputs_are_selected() -> None:
    """The scores of a classifier come last; a single output is a tensor."""
    x = torch.zeros(2, 3, 224, 224, device="meta")
    classifier = on_meta(depth=16, num_classes=10, out_indices=(1, 4))
    assert [out.shape for out in classifier(x)] == [(2, 128, 56, 56), (2, 512, 7, 7), (2, 10)]
    assert on_meta(depth=11, num_classes=10, out_indices=())(x).shape == (2, 10)
    assert on_meta(depth=11, out_indices=[4])(x).shape == (2, 512, 7, 7)
    assert on_meta(depth=11, out_indices=[4], with_last_pool=False)(x).shape == (2, 512, 14, 14)
    small = on_meta(depth=11, num_stages=2)
    assert [out.shape[1] for out in small(x)] == [64, 128]
    assert small.range_sub_modules == [[0, 3], [3, 6]]


def test_scores_are_those_of_the_classifier() -> None:
    """The classifier is applied to the flattened features."""
    model = VGG(11, num_classes=3, out_indices=[4]).eval()
    with torch.no_grad():
        features, scores = model(torch.randn(1, 3, 224, 224))
        hidden = functional.relu(
            functional.linear(features.flatten(1), model.classifier[0].weight, model.classifier[0].bias)
        )
        hidden = functional.relu(
            functional.linear(hidden, model.classifier[3].weight, model.classifier[3].bias)
        )
        expected = functional.linear(hidden, model.classifier[6].weight, model.classifier[6].bias)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(("frozen_stages", "first_trained"), [(-1, 0), (0, 0), (1, 4), (2, 8), (5, 29)])
def test_stages_are_frozen(frozen_stages: int, first_trained: int) -> None:
    """The first stages do not require gradients and are in eval mode; train() returns the network."""
    model = VGG(11, with_bn=True, frozen_stages=frozen_stages, bn_eval=False)
    assert model.train() is model
    for i, layer in enumerate(model.features):
        assert layer.training == (i >= first_trained)
        assert all(each.requires_grad == (i >= first_trained) for each in layer.parameters())
    assert model.eval() is model
    assert not model.features[-1].training


def test_batch_normalizations() -> None:
    """They stay in eval mode with ``bn_eval``, and are not trained with ``bn_frozen``."""
    model = VGG(11, with_bn=True, bn_frozen=True).train()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert not any(layer.training for layer in norms)
    assert not any(each.requires_grad for layer in norms for each in layer.parameters())
    assert model.features[0].weight.requires_grad


def test_initial_weights() -> None:
    """Convolutions as by ``kaiming_init``, linear layers with a standard deviation of 0.01, and biases of 0."""
    torch.manual_seed(0)
    model = on_meta(depth=11, num_classes=10)
    conv, linear = nn.Conv2d(64, 64, 3), nn.Linear(300, 300)
    model.features, model.classifier = nn.Sequential(conv), nn.Sequential(linear)  # smaller ones
    model.init_weights()
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert torch.all(conv.bias == 0)
    assert torch.all(linear.bias == 0)
    assert "Linear" not in str(VGG(11).init_cfg)


def test_make_vgg_layer() -> None:
    """A stage is convolutions with ReLUs, optionally batch normalizations, and a pooling."""
    layers = make_vgg_layer(3, 8, 2, dilation=2, with_bn=True, ceil_mode=True)
    assert [type(layer).__name__ for layer in layers] == [*["Conv2d", "BatchNorm2d", "ReLU"] * 2, "MaxPool2d"]
    assert nn.Sequential(*layers)(torch.zeros(1, 3, 9, 9)).shape == (1, 8, 5, 5)


def test_compiled_and_exported() -> None:
    """The network compiles as one graph, and can be exported; channels_last and autocast give the same result."""
    torch.manual_seed(0)
    model = randomized(VGG(11, with_bn=True, num_stages=2, out_indices=[1]))
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        expected = model(x)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), expected)
        torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)
        last = model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), expected)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model(x).float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ({"depth": 12}, KeyError, "a depth of 11, 13, 16 or 19, not 12"),
        ({"depth": 11, "num_stages": 0}, AssertionError, "num_stages must be from 1 to 5, not 0"),
        ({"depth": 11, "dilations": (1, 2)}, AssertionError, "dilations must have one int for each of the 5"),
        ({"depth": 11, "out_indices": (5,)}, AssertionError, r"out_indices\[0\] must be from 0 to 4, not 5"),
        ({"depth": 11, "out_indices": []}, AssertionError, "out_indices must have at least one index"),
        (
            {"depth": 11, "num_stages": 4, "num_classes": 3},
            AssertionError,
            "num_stages must be 5 with a classifier",
        ),
        ({"depth": 11, "frozen_stages": 6}, AssertionError, "frozen_stages must be from -1 to 5"),
    ],
)
def test_invalid_arguments(args: dict[str, Any], error: type[Exception], text: str) -> None:
    """Invalid arguments raise the type of error that MMCV raises."""
    with pytest.raises(error, match=text):
        on_meta(**args)
