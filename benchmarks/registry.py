"""Measure building an object from a config, compared with calling its class, and the lookup of an unknown name.

``nn.Conv2d(16, 16, 3)`` is built from a config that was loaded from a file, from a plain dict, and by calling the class.
The result is a ratio, and the time that the registry adds per build, measured with a function that does nothing.

An unknown name is looked up among 10,000 names, in a folder without sources, since the time of searching sources
depends on their number. If the maximum or the first time is far above the median, the garbage collector ran during that
call.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from paired import compare
from torch import nn

from cfgtrain import Config, Registry
from cfgtrain.errors import UnknownNameError

RATIO, MICROSECONDS, MILLISECONDS = 1.3, 10.0, 50.0
BUILDS = 2000
WORDS = ("ResNt50", "FocalLos", "TransformerEncoderLayer", "Zzzzqq", "bbox_head")
PARTS = [
    "Res",
    "Net",
    "Hook",
    "Lr",
    "Updater",
    "Head",
    "Dense",
    "Swin",
    "Block",
    "Loss",
    "Focal",
    "Cross",
    "Entropy",
    "RoI",
    "Bbox",
    "Mask",
    "Transformer",
    "Layer",
    "Conv",
    "Norm",
    "Pool",
    "Pixel",
    "Up",
    "Sample",
]


def repeated(action: Callable[[], object], times: int = BUILDS) -> Callable[[], float]:
    """Return a function that runs an action several times and returns the CPU seconds."""

    def run() -> float:
        before = time.process_time()
        for _ in range(times):
            action()
        return time.process_time() - before

    return run


def nothing(in_channels: int, out_channels: int, kernel_size: int) -> None:
    """Do nothing, like a constructor without cost."""


def calls(action: Callable[[], object]) -> int:
    """Return the number of Python and C function calls of an action."""
    count = 0

    def see(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    action()  # fill caches
    sys.setprofile(see)
    action()
    sys.setprofile(None)
    return count


def builds() -> None:
    """Print the ratio and the time added per build."""
    layers = Registry("layer", scope="layers")
    layers.register_module("Conv2d", module=nn.Conv2d)
    layers.register_module(module=nothing)
    text = "{0} = dict(type={0!r}, in_channels=16, out_channels=16, kernel_size=3)\n"
    Path("cfg.py").write_text("".join(text.format(name) for name in ("Conv2d", "nothing")))
    cfg = Config.fromfile("cfg.py")
    for kind, conv, least in (
        ("a loaded config", cfg.Conv2d, cfg.nothing),
        ("a plain dict", dict(cfg.Conv2d), dict(cfg.nothing)),
    ):
        whole = compare(
            repeated(lambda conv=conv: layers.build(conv)), repeated(lambda: nn.Conv2d(16, 16, 3))
        )
        bare = compare(
            repeated(lambda least=least: layers.build(least)), repeated(lambda: nothing(16, 16, 3))
        )
        added = (bare.a - bare.b) / BUILDS * 1e6
        print(
            f"nn.Conv2d from {kind}: {whole.a / BUILDS * 1e6:.1f} us, called {whole.b / BUILDS * 1e6:.1f} us, "
            f"ratio {whole}, target {RATIO}: {verdict(whole.ratio <= RATIO)}"
        )
        print(
            f"added per build from {kind}: {added:.1f} us and {calls(lambda least=least: layers.build(least)) - 2} calls, "
            f"target {MICROSECONDS:.0f} us: {verdict(added <= MICROSECONDS)}"
        )


def unknown_names() -> None:
    """Print how long the lookup of an unknown name takes among 10,000 names."""
    draw = random.Random(0)
    names: dict[str, None] = {}
    while len(names) < 10_000:
        names["".join(draw.choices(PARTS, k=draw.randint(2, 5))) + str(draw.randint(0, 99))] = None
    models = Registry("model", scope="models")
    for name in names:
        models.register_module(name, module=nothing)

    def unknown_name(word: str) -> str:
        try:
            models.build({"type": word})
        except UnknownNameError as error:
            return str(error)
        raise AssertionError(word)

    for word in WORDS:
        run = repeated(lambda word=word: unknown_name(word), 1)
        first, later = run(), sorted(run() for _ in range(20))
        median = statistics.median(later)
        print(
            f"{unknown_name(word)[:100]}: median {median * 1000:.0f} ms, maximum {later[-1] * 1000:.0f} ms, first "
            f"{first * 1000:.0f} ms, target {MILLISECONDS:.0f} ms: {verdict(median <= MILLISECONDS / 1000)}"
        )


def verdict(met: bool) -> str:
    """Return whether a target is met, as a word."""
    return "met" if met else "MISSED"


def main() -> None:
    """Run both benchmarks in an empty folder."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path[0] = folder
        builds()
        unknown_names()
        os.chdir("/")


if __name__ == "__main__":
    main()
