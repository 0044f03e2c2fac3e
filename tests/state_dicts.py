"""The recorded names and shapes of torchvision's state dicts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

FILE = Path(__file__).parent / "cnn" / "data" / "torchvision_state_dicts.txt"


def rows(model: nn.Module, classifier: tuple[str, ...] = ()) -> list[str]:
    """Return a line with the name and the shape of each tensor, and those of a classifier that the model lacks."""
    shapes = {name: "x".join(map(str, tensor.shape)) or "-" for name, tensor in model.state_dict().items()}
    return [*(f"{name} {shape}" for name, shape in shapes.items()), *classifier]


def has_names_of(network: str, found: list[str]) -> bool:
    """Return whether these are the lines that were recorded of a network."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    if f"[{network}]" in lines:
        begin = lines.index(f"[{network}]") + 1
        end = next((i for i in range(begin, len(lines)) if lines[i][0] in "[("), len(lines))
        return found == lines[begin:end]
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()
    return f"({network}) {len(found)} {digest}" in lines


def randomized(model: nn.Module) -> nn.Module:
    """Give the batch normalizations of a model random statistics and weights, and set it to eval mode."""
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                for tensor, low, high in (
                    (layer.running_mean, -0.2, 0.2),
                    (layer.running_var, 0.5, 2.0),
                    (layer.weight, 0.5, 1.5),
                    (layer.bias, -0.3, 0.3),
                ):
                    if tensor is not None:
                        tensor.uniform_(low, high, generator=generator)
    return model.eval()
