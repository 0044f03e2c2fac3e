from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LENET = """\
layer                              output  params  mult-adds    memory
ImageClassifier                        10  61.7 k      436 k  35.6 KiB
├─ backbone (LeNet5)                   10  61.7 k      436 k  35.6 KiB
│  ├─ features (Sequential)       120x1x1  50.7 k      425 k  35.2 KiB
│  │  ├─ 0 (Conv2d)               6x28x28     156      122 k  4.00 KiB
│  │  ├─ 1 (Tanh)                 6x28x28       -     4.70 k  18.4 KiB
│  │  ├─ 2 (AvgPool2d)            6x14x14       -     4.70 k         -
│  │  ├─ 3 (Conv2d)              16x10x10  2.42 k      242 k  4.59 KiB
│  │  ├─ 4 (Tanh)                16x10x10       -     1.60 k  6.25 KiB
│  │  ├─ 5 (AvgPool2d)             16x5x5       -     1.60 k         -
│  │  ├─ 6 (Conv2d)               120x1x1  48.1 k     48.1 k  1.56 KiB
│  │  └─ 7 (Tanh)                 120x1x1       -        120     480 B
│  └─ classifier (Sequential)          10  11.0 k     11.0 k     336 B
│     ├─ 0 (Linear)                    84  10.2 k     10.1 k         -
│     ├─ 1 (Tanh)                      84       -         84     336 B
│     └─ 2 (Linear)                    10     850        840         -
├─ loss (CrossEntropyLoss)     not called       -          -         -
└─ dropout (Identity)             1x32x32       -          -         -

Input:       img (1, 1, 32, 32), gt_label (1,), a sample of data.test
Parameters:  61,706, all trained; 241 KiB with buffers
Mult-adds:   435,756 per sample
Memory:      35.6 KiB per sample, which training keeps for the backward pass
"""


def test_tree(run: Callable[..., Any], configs: Path, tmp_path: Path) -> None:
    """The layers are a tree in aligned columns, with the totals below; nothing is written."""
    done = run("model", configs / "digits" / "lenet5.py")
    assert (done.code, done.err) == (0, "")
    assert done.out == LENET
    assert list(tmp_path.iterdir()) == []


def test_depth_and_overrides(run: Callable[..., Any], configs: Path) -> None:
    """``--depth`` limits the levels; overrides and ``freeze`` apply."""
    options = ["--cfg-options", "+freeze=[backbone.features]"]
    done = run("model", configs / "digits" / "lenet5.py", "--shape", "1,32,32", "--depth", 1, *options)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.split("  ")[0] for line in lines[:5]] == [
        "layer",
        "ImageClassifier",
        "├─ backbone (LeNet5)",
        "├─ loss (CrossEntropyLoss)",
        "└─ dropout (Identity)",
    ]
    assert "Input:       (1, 1, 32, 32)" in lines
    assert "Parameters:  61,706, 11,014 trained; 241 KiB with buffers" in lines


def test_large_network_fits_80_columns(run: Callable[..., Any], write: Callable[..., Path]) -> None:
    """A ResNet-152 fits; several outputs are counted."""
    config = write("resnet.py", "model = dict(type='ResNet', depth=152)")
    done = run("model", config, "--shape", "3x224x224")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "256x56x56 +3" in lines[1]
    assert any("downsample (Sequential)" in line for line in lines)


def test_json(run: Callable[..., Any], configs: Path) -> None:
    """``--json`` prints the same as nested objects."""
    done = run("model", configs / "digits" / "lenet5.py", "--json", "--depth", 2)
    found = json.loads(done.out)
    assert found["inputs"][0] == {"name": "img", "shape": [1, 1, 32, 32], "dtype": "float32"}
    assert (found["sample_of"], found["weight_bytes"]) == ("test", 246824)
    model = found["model"]
    assert {key: model[key] for key in model if key != "layers"} == {
        "name": "",
        "type": "ImageClassifier",
        "calls": 1,
        "output_shapes": [[1, 10]],
        "params": 61706,
        "trainable_params": 61706,
        "multiply_adds": 435756,
        "activation_bytes": 36472,
    }
    features = model["layers"][0]["layers"][0]
    assert (features["name"], features["output_shapes"]) == ("backbone.features", [[1, 120, 1, 1]])
    assert features["layers"] == []


def test_container_whose_layers_are_called(run: Callable[..., Any], write: Callable[..., Path]) -> None:
    """A container that is not called itself has no output, but is not marked as unused."""
    config = write("vgg.py", "model = dict(type='VGG', depth=11)")
    lines = run("model", config, "--shape", "3,32,32", "-d", 1).out.splitlines()
    assert lines[2].split() == ["└─", "features", "(Sequential)", "-", "9.22", "M", "153", "M", "968", "KiB"]
    done = run("model", config)
    assert done.code == 2
    assert "has no 'data', which is required unless the shape of the input is given (--shape)" in done.err


@pytest.mark.parametrize("shape", ["3,", "a,b", "3,0,4", "", "3,-1"])
def test_invalid_shapes(run: Callable[..., Any], configs: Path, shape: str) -> None:
    """A shape that is not positive numbers is wrong usage."""
    done = run("model", configs / "digits" / "lenet5.py", "--shape", shape)
    assert (done.code, done.out) == (2, "")
    assert "--shape is positive numbers such as 3,224,224" in done.err.replace("\n", " ")


def test_errors(run: Callable[..., Any], configs: Path, write: Callable[..., Path]) -> None:
    """A shape that does not fit the model, and a wrong config, are one message each."""
    done = run("model", configs / "digits" / "lenet5.py", "--shape", "3,32,32")
    assert (done.code, done.out) == (2, "")
    assert (
        "Error: The model cannot process an input of shape (1, 3, 32, 32): RuntimeError in the layer"
        in done.err
    )
    assert "backbone.features.0 (Conv2d)" in done.err
    config = write("wrong.py", "model = dict(type='ResNet',\n    depth=20)\nfreeze = ['layr1']\n")
    done = run("model", config, "--shape", "3,32,32")
    assert done.code == 2
    assert "a depth of 18, 34, 50, 101 or 152, not 20" in done.err
    done = run("model", config, "--shape", "3,32,32", "--cfg-options", "model.depth=18")
    assert done.code == 2
    assert "'layr1' matches no module or parameter of ResNet. Did you mean 'layer1'" in done.err
    assert f"freeze ({config}:3)" in done.err.replace("\n", "")


def test_error_of_custom_code(run: Callable[..., Any], write: Callable[..., Path]) -> None:
    """An exception in the user's own forward is shown with the frames of that code."""
    write(
        "parts_of_model.py",
        "from torch import nn\nfrom cfgtrain.cnn import MODELS\n\n\n@MODELS.register_module()\n"
        "class Wrong(nn.Module):\n    def forward(self, x):\n        return x / undefined\n",
    )
    config = write(
        "own.py", "custom_imports = dict(imports=['parts_of_model'])\nmodel = dict(type='Wrong')\n"
    )
    done = run("model", config, "--shape", "1")
    assert done.code == 1
    assert "return x / undefined" in done.err
    assert "NameError" in done.err
