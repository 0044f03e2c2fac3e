"""Measure networks that are built from configs, compared with the same networks written in plain PyTorch.

A ResNet-50 and a ViT-S are trained for one iteration, forward and backward, with the same weights, and the operators that
the profiler counts are compared. Then the construction of both is measured: with initial weights, and on the meta device,
where only the Python code takes time. At last, CARAFE and criss-cross attention are compared with the formulas of their
papers, each written in the shortest way, and criss-cross attention also in one that needs as little memory.

All times are CPU times on one thread, of runs that alternate. A network is within noise of another if their ratio is at
most the upper end of the 95 % interval of a network compared with itself, or if its own interval contains 1.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter
from collections.abc import Callable

import torch
from paired import Comparison, compare
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn import MODELS
from cfgtrain.ops import carafe, criss_cross_attention

BUILD_RATIO = 1.2
RESNET = {"type": "ResNet", "depth": 50, "out_indices": (3,), "bn_eval": False}
VIT = {"type": "VisionTransformer", "arch": "small", "img_size": 64, "num_classes": 10}


class Bottleneck(nn.Module):
    """The block of a ResNet-50, written by hand."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if in_channels != 4 * channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, 4 * channels, 1, stride, bias=False), nn.BatchNorm2d(4 * channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, 4 * channels, H / stride, W / stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet50(nn.Module):
    """A ResNet-50 without classifier, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width = 64
        for i, blocks in enumerate((3, 4, 6, 3)):
            stage = []
            for j in range(blocks):
                stage.append(Bottleneck(width, 64 * 2**i, 2 if i and not j else 1))
                width = 256 * 2**i
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) images to (B, 2048, H / 32, W / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class Block(nn.Module):
    """The layer of a ViT, written by hand."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dims, heads, batch_first=True)
        self.drop = nn.Dropout(0.0)
        self.mlp = nn.Sequential(
            nn.Linear(dims, 4 * dims), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * dims, dims), nn.Dropout(0.0)
        )
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        h = self.norm1(x)
        x = x + self.drop(self.attn(h, h, h, need_weights=False)[0])
        return x + self.mlp(self.norm2(x))


class ViTSmall(nn.Module):
    """A ViT-S for ten classes of 64x64 images, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 384))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, 384))
        self.projection = nn.Conv2d(3, 384, 16, 16)
        self.drop = nn.Dropout(0.0)
        self.blocks = nn.Sequential(*(Block(384, 6) for _ in range(12)))
        self.norm = nn.LayerNorm(384, eps=1e-6)
        self.head = nn.Linear(384, 10)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, 64, 64) images to (B, 10) scores."""
        x = self.projection(x).flatten(2).transpose(1, 2)  # (B, L, C)
        x = self.drop(torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed)
        return self.head(self.norm(self.blocks(x))[:, 0])


NETWORKS = {
    "ResNet-50": (RESNET, ResNet50, (2, 3, 64, 64)),
    "ViT-S": (VIT, ViTSmall, (2, 3, 64, 64)),
}


def naive_carafe(features: Tensor, masks: Tensor, kernel: int, scale: int) -> Tensor:
    """Return the formula of CARAFE: the neighborhoods of all pixels, repeated, times the weights, added up."""
    n, channels, height, width = features.shape
    patches = functional.unfold(features, kernel, padding=kernel // 2).reshape(n, -1, height, width)
    patches = functional.interpolate(
        patches, scale_factor=scale, mode="nearest"
    )  # (N, C * K * K, S * H, S * W)
    patches = patches.reshape(n, channels, kernel * kernel, scale * height, scale * width)
    return (patches * masks.unsqueeze(1)).sum(2)


def naive_criss_cross(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the formula of criss-cross attention: dense attention, with a mask that leaves column and row."""
    n, channels, height, width = value.shape
    row, column = torch.arange(height * width) // width, torch.arange(height * width) % width
    cross = (row[:, None] == row) | (column[:, None] == column)  # (H * W, H * W)
    energy = query.flatten(2).transpose(1, 2) @ key.flatten(2)  # (N, H * W, H * W)
    weights = energy.masked_fill(~cross, float("-inf")).softmax(dim=2)
    return (value.flatten(2) @ weights.transpose(1, 2)).reshape(n, channels, height, width)


def batched_criss_cross(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return criss-cross attention by batched matrix products over columns and rows."""
    n, _, height, width = query.shape

    def columns(x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2).reshape(n * width, -1, height)  # (N * W, C, H)

    def rows(x: Tensor) -> Tensor:
        return x.permute(0, 2, 1, 3).reshape(n * height, -1, width)  # (N * H, C, W)

    itself = torch.diag(torch.full((height,), float("inf")))
    by_column = columns(query).transpose(1, 2) @ columns(key) - itself  # (N * W, H, H)
    by_row = rows(query).transpose(1, 2) @ rows(key)  # (N * H, W, W)
    energy = torch.cat(
        (
            by_column.reshape(n, width, height, height).transpose(1, 2),
            by_row.reshape(n, height, width, width),
        ),
        3,
    )
    weights = energy.softmax(3)  # (N, H, W, H + W)
    in_column = weights[..., :height].transpose(1, 2).reshape(n * width, height, height)
    in_row = weights[..., height:].reshape(n * height, width, width)
    out = (columns(value) @ in_column.transpose(1, 2)).reshape(n, width, -1, height).permute(0, 2, 3, 1)
    return out + (rows(value) @ in_row.transpose(1, 2)).reshape(n, height, -1, width).permute(0, 2, 1, 3)


def iteration(network: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Return a function that computes a network forward and backward."""

    def run() -> Tensor:
        out = network(*inputs)
        out.mean().backward()
        return out

    return run


def timed(action: Callable[[], object], repeats: int = 1) -> Callable[[], float]:
    """Return a function that runs an action and returns the CPU seconds."""

    def run() -> float:
        gc.collect()  # so that an action does not collect the garbage of another one
        started = time.process_time()
        for _ in range(repeats):
            action()
        return time.process_time() - started

    return run


def operators(action: Callable[[], object]) -> Counter[str]:
    """Return how often each operator of torch is called."""
    action()
    with torch.profiler.profile() as profile:
        action()
    return Counter({event.key: event.count for event in profile.key_averages() if "::" in event.key})


def check_equal(own: Callable[[], Tensor], other: Callable[[], Tensor]) -> None:
    """Raise if two functions do not return the same."""
    torch.testing.assert_close(own(), other(), rtol=1e-3, atol=1e-4)


def report_operators(
    own: Callable[[], object], other: Callable[[], object], differences: bool = True
) -> None:
    """Print the numbers of operators of two functions, and how they differ."""
    first, second = operators(own), operators(other)
    totals = f"{sum(first.values())} and {sum(second.values())}"
    first.subtract(second)
    found = {name: count for name, count in first.items() if count}
    print(f"    operators: {totals}" + (f", differences: {found or 'none'}" if differences else ""))


def line(label: str, found: Comparison, target: str = "") -> None:
    """Print the result of a comparison."""
    print(f"  {label}: {found.a * 1e3:.1f} ms and {found.b * 1e3:.1f} ms, ratio {found}{target}", flush=True)


def report_networks(pairs: int) -> None:
    """Print the time of a training iteration."""
    print(f"Forward and backward, from a config and by hand, {pairs} pairs:")
    for name, (cfg, hand, shape) in NETWORKS.items():
        torch.manual_seed(0)
        own, other, again = MODELS.build(cfg), hand(), hand()
        for network in (other, again):
            for to, value in zip(network.parameters(), own.parameters(), strict=True):
                to.data.copy_(value)
        images = (torch.randn(shape),)
        runs = [iteration(network, images) for network in (own, other, again)]
        check_equal(runs[0], runs[1])
        noise = compare(timed(runs[1]), timed(runs[2]), pairs)
        found = compare(timed(runs[0]), timed(runs[1]), pairs)
        line(name, found, f", within noise: {verdict(found.low <= 1 or found.ratio <= noise.high)}")
        line(f"{name} by hand, compared with itself", noise)
        report_operators(runs[0], runs[1])


def report_construction(pairs: int) -> None:
    """Print the time of building the networks."""
    print(f"Construction, from a config and by hand, {pairs} pairs:")
    for name, (cfg, hand, _) in NETWORKS.items():
        found = compare(timed(lambda cfg=cfg: MODELS.build(cfg)), timed(hand), pairs)
        line(name, found, f", target {BUILD_RATIO}: {verdict(found.ratio <= BUILD_RATIO)}")
        with torch.device("meta"):
            found = compare(timed(lambda cfg=cfg: MODELS.build(cfg), 5), timed(hand, 5), pairs)
        line(f"{name} on the meta device, 5 times", found)


def report_operations(pairs: int) -> None:
    """Print the time of the operations."""
    print(f"Operations and their formulas, forward and backward, {pairs} pairs:")
    torch.manual_seed(0)
    features = torch.randn(2, 64, 32, 32, requires_grad=True)
    masks = torch.rand(2, 25, 64, 64, requires_grad=True)
    compare_operations(
        "carafe, (2, 64, 32, 32) by 2",
        iteration(lambda *x: carafe(*x, 5, 1, 2), (features, masks)),
        iteration(lambda *x: naive_carafe(*x, 5, 2), (features, masks)),
        pairs,
    )
    query, key, value = (torch.randn(2, c, 32, 32, requires_grad=True) for c in (8, 8, 64))
    for kind, formula in (("of all pixels", naive_criss_cross), ("by columns and rows", batched_criss_cross)):
        compare_operations(
            f"criss-cross attention, (2, 64, 32, 32), formula {kind}",
            iteration(criss_cross_attention, (query, key, value)),
            iteration(formula, (query, key, value)),
            pairs,
        )


def compare_operations(
    label: str, own: Callable[[], Tensor], other: Callable[[], Tensor], pairs: int
) -> None:
    """Print the times and operators of an operation and its formula."""
    check_equal(own, other)
    line(label, compare(timed(own), timed(other), pairs))
    report_operators(own, other, differences=False)


def verdict(is_within: bool) -> str:
    """Return whether a figure is within the budget, as a word."""
    return "met" if is_within else "MISSED"


def main() -> None:
    """Run the benchmark and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report_networks(options.pairs)
    report_construction(options.pairs)
    report_operations(options.pairs)


if __name__ == "__main__":
    main()
