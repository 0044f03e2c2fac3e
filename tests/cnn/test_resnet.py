from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from state_dicts import has_names_of, randomized, rows
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn import MODELS, ResNet, make_res_layer
from cfgtrain.cnn.resnet import BasicBlock, Bottleneck

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def on_meta(**args: Any) -> ResNet:
    with torch.device("meta"):
        model = MODELS.build({"type": "ResNet", **args})
    assert isinstance(model, ResNet)
    return model


@pytest.mark.parametrize("depth", BLOCKS)
def test_state_dict_has_the_names_of_torchvision(depth: int) -> None:
    """The state dict has the names and shapes of torchvision, without the classifier."""
    features = 512 if depth < 50 else 2048
    classifier = (f"fc.weight 1000x{features}", "fc.bias 1000")
    model = on_meta(depth=depth)
    assert has_names_of(f"resnet{depth}", rows(model, classifier))
    assert model.feat_dim == features
    assert model.res_layers == ["layer1", "layer2", "layer3", "layer4"]


def reference(weights: dict[str, Tensor], x: Tensor, depth: int, caffe: bool, dilations: Any) -> list[Tensor]:
    """A ResNet in eval mode, written with functions."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            weights[f"{name}.{part}"].view(1, -1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def conv(x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        padding = (weight.shape[-1] - 1) // 2 * dilation
        return functional.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation)

    x = functional.max_pool2d(functional.relu(norm(conv(x, "conv1", 2), "bn1")), 3, 2, 1)
    outs = []
    for stage, count in enumerate(BLOCKS[depth]):
        dilation = dilations[stage]
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            name = f"layer{stage + 1}.{i}"
            if depth < 50:
                out = functional.relu(norm(conv(x, f"{name}.conv1", stride, dilation), f"{name}.bn1"))
                out = norm(conv(out, f"{name}.conv2"), f"{name}.bn2")
            else:
                first, second = (stride, 1) if caffe else (1, stride)
                out = functional.relu(norm(conv(x, f"{name}.conv1", first), f"{name}.bn1"))
                out = functional.relu(norm(conv(out, f"{name}.conv2", second, dilation), f"{name}.bn2"))
                out = norm(conv(out, f"{name}.conv3"), f"{name}.bn3")
            if f"{name}.downsample.0.weight" in weights:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = functional.relu(out + x)
        outs.append(x)
    return outs


@pytest.mark.parametrize(
    ("depth", "style", "dilations"),
    [
        (18, "pytorch", [1, 1, 1, 1]),
        (34, "caffe", [1, 1, 1, 2]),
        (50, "pytorch", (1, 1, 2, 1)),
        (50, "caffe", (1, 1, 1, 1)),
    ],
)
def test_outputs_are_those_of_a_forward_written_by_hand(depth: int, style: str, dilations: Any) -> None:
    """The output of every stage, in both styles and with dilations, is that of the formula."""
    torch.manual_seed(0)
    model = randomized(ResNet(depth, style=style, dilations=dilations))  # type: ignore[arg-type]
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        outs = model(x)
        expected = reference(model.state_dict(), x, depth, style == "caffe", dilations)
    assert isinstance(outs, tuple)
    assert [out.shape[1] for out in outs] == [c * (1 if depth < 50 else 4) for c in (64, 128, 256, 512)]
    for out, right in zip(outs, expected, strict=True):
        torch.testing.assert_close(out, right, rtol=1e-4, atol=1e-4 * right.abs().max().item())


def test_outputs_are_selected() -> None:
    """Several stages are a tuple, a single one is a tensor; fewer stages use the beginning of the defaults."""
    x = torch.zeros(1, 3, 64, 64, device="meta")
    assert [out.shape[1] for out in on_meta(depth=18, out_indices=[1, 3])(x)] == [128, 512]
    assert on_meta(depth=18, out_indices=(3,))(x).shape == (1, 512, 2, 2)
    small = on_meta(depth=50, num_stages=2)
    assert [out.shape for out in small(x)] == [(1, 256, 16, 16), (1, 512, 8, 8)]
    assert small.feat_dim == 512
    strided = on_meta(depth=18, num_stages=2, strides=[2, 1], out_indices=[1])
    assert strided(x).shape == (1, 128, 8, 8)


def modes(model: nn.Module) -> set[bool]:
    return {layer.training for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)}


def trainable(model: nn.Module) -> set[str]:
    return {name.split(".")[0] for name, each in model.named_parameters() if each.requires_grad}


@pytest.mark.parametrize("bn_eval", [True, False])
def test_batch_normalizations_stay_in_eval_mode(bn_eval: bool) -> None:
    """With ``bn_eval`` they use their running statistics in training mode too; train() returns the network."""
    model = ResNet(18, bn_eval=bn_eval)
    assert modes(model) == {not bn_eval}
    assert model.train() is model
    assert modes(model) == {not bn_eval}
    assert model.training
    assert model.layer1.training
    assert model.eval() is model
    assert modes(model) == {False}
    assert not model.training


@pytest.mark.parametrize("bn_eval", [True, False])
def test_batch_normalizations_are_frozen(bn_eval: bool) -> None:
    """With ``bn_frozen`` only their parameters do not require a gradient."""
    model = ResNet(18, bn_eval=bn_eval, bn_frozen=True).train()
    frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
    assert frozen == {
        name for name, _ in model.named_parameters() if ".bn" in f".{name}" or "downsample.1" in name
    }


@pytest.mark.parametrize(
    ("frozen_stages", "trained"),
    [
        (-1, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        (0, {"layer1", "layer2", "layer3", "layer4"}),
        (1, {"layer2", "layer3", "layer4"}),
        (4, set()),
    ],
)
def test_stages_are_frozen(frozen_stages: int, trained: set[str]) -> None:
    """The stem and the first stages are frozen from the start, and in training mode."""
    model = ResNet(18, frozen_stages=frozen_stages, bn_eval=False)
    assert trainable(model) == trained
    model.eval().train()
    assert trainable(model) == trained
    names = {name for name, child in model.named_children() if any(m.training for m in child.modules())}
    assert names - {"relu", "maxpool"} == trained


def test_checkpointing_computes_the_same_gradients() -> None:
    """With ``with_cp`` the outputs and gradients of training are the same."""
    torch.manual_seed(0)
    model, saving = (ResNet(50, num_stages=2, with_cp=with_cp).train() for with_cp in (False, True))
    saving.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 32, 32)
    for each in (model, saving):
        each(x)[-1].square().mean().backward()
    gradients = zip(model.parameters(), saving.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in gradients)  # type: ignore[arg-type]


def test_initial_weights() -> None:
    """By default convolutions have the variance of He et al. for the fan out, and norms are 1 and 0."""
    torch.manual_seed(0)
    model = ResNet(18)
    nn.init.zeros_(model.bn1.weight)
    model.init_weights()
    weight = model.layer4[1].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert weight.mean().abs().item() < 1e-3
    assert torch.all(model.bn1.weight == 1)
    assert torch.all(model.bn1.bias == 0)
    assert model.is_init


def test_pretrained_weights(tmp_path: Path) -> None:
    """``init_weights(path)``, or an ``init_cfg``, loads a checkpoint, here with a classifier that is skipped."""
    source = ResNet(18, num_stages=1)
    path = str(tmp_path / "weights.pth")
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1)}, path)
    called = ResNet(18, num_stages=1)
    called.init_weights(path)
    configured = ResNet(18, num_stages=1, init_cfg={"type": "Pretrained", "checkpoint": path})
    configured.init_weights()
    for model in (called, configured):
        assert torch.equal(model.layer1[1].conv2.weight, source.layer1[1].conv2.weight)
        assert model.is_init
    with pytest.raises(TypeError, match="pretrained must be the path or URL of a checkpoint or None, not 3"):
        called.init_weights(3)  # type: ignore[arg-type]


def test_make_res_layer() -> None:
    """A stage has a downsampling shortcut only where the shape changes."""
    stage = make_res_layer(BasicBlock, 8, 8, 2)
    assert [block.downsample for block in stage] == [None, None]
    stage = make_res_layer(Bottleneck, 8, 8, 2, stride=2)
    assert stage[0].downsample is not None
    assert stage[1].downsample is None
    assert stage(torch.zeros(1, 8, 8, 8)).shape == (1, 32, 4, 4)


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ({"depth": 20}, KeyError, "a depth of 18, 34, 50, 101 or 152, not 20"),
        ({"depth": 20}, ValueError, "not 20"),
        ({"depth": 18, "num_stages": 5}, AssertionError, "num_stages must be from 1 to 4, not 5"),
        (
            {"depth": 18, "strides": (1, 2)},
            AssertionError,
            "strides must have one int for each of the 4 stages",
        ),
        ({"depth": 18, "dilations": 1}, TypeError, "dilations must be a list with an int for each stage"),
        ({"depth": 18, "dilations": (1, 1, 1, 0)}, AssertionError, r"dilations\[3\] must be at least 1"),
        ({"depth": 18, "out_indices": (4,)}, AssertionError, r"out_indices\[0\] must be from 0 to 3, not 4"),
        ({"depth": 18, "out_indices": []}, AssertionError, "out_indices must have at least one index"),
        ({"depth": 18, "out_indices": 3}, TypeError, "out_indices must be a list"),
        ({"depth": 18, "frozen_stages": 5}, AssertionError, "frozen_stages must be from -1 to 4"),
        ({"depth": 50, "style": "tensorflow"}, AssertionError, "'pytorch' or 'caffe'"),
        ({"depth": 18, "with_cp": True}, AssertionError, "with_cp is only for"),
    ],
)
def test_invalid_arguments(args: dict[str, Any], error: type[Exception], text: str) -> None:
    """Invalid arguments raise the type of error that MMCV raises."""
    with pytest.raises(error, match=text):
        on_meta(**args)


def test_compiled_and_exported() -> None:
    """The network compiles as one graph, and can be exported; channels_last and autocast give the same result."""
    torch.manual_seed(0)
    model = randomized(ResNet(50, num_stages=1, out_indices=[0], with_cp=True))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = model(x)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), expected)
        exported = torch.export.export(model, (x,)).module()
        torch.testing.assert_close(exported(x), expected)
        last = model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            last(x.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4
        )
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model(x).float(), expected, rtol=0.1, atol=0.3)
