"""Compare the images per second of the runner with those of a hand-written loop on a GPU.

ResNet-50 and ViT-B/16 are trained in bfloat16 with channels_last and compile. The runner is built from a config as
``cfgtrain train`` builds it. The hand-written loop trains another model of the same class and the same optimizer. Both
alternate every few iterations, and wait for the device before each look at the clock. The first two parts, in which the
models are compiled and kernels are chosen, are not counted. The budget is 0.98 of the images per second of the loop.

The batches are random tensors that are on the device already. Loading and decoding images would be the bottleneck of
both loops and hide their difference; ``benchmarks/data.py`` measures it.

The rate of a large matrix product in bfloat16 is measured too, and the achieved fraction of it is printed: the floating
point operations of the forward and the backward pass, as torch counts them without compiling, divided by the time.

Without a CUDA device it ends with an error. ``--cpu`` tries the script on tiny models, without a budget.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import Any, NamedTuple

import torch
from paired import Alternating, summary
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cfgtrain import Config
from cfgtrain.experiment.acceleration import apply_compile
from cfgtrain.experiment.assembly import assemble_runner, build_model
from cfgtrain.parallel.wrappers import unwrap_model

MIN_RATIO = 0.98  # of the images per second of the hand-written loop
SGD = {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
ADAMW = {"type": "AdamW", "lr": 1e-4, "weight_decay": 0.05, "fused": True}


class Case(NamedTuple):
    """A model to train."""

    model: dict[str, Any]
    optimizer: dict[str, Any]
    size: int  # of the images, in pixels
    classes: int


def resnet(depth: int, size: int, classes: int) -> Case:
    """Return a case with a ResNet."""
    model = {
        "type": "ImageClassifier",
        "backbone": {"type": "ResNet", "depth": depth},
        "neck": {"type": "GlobalAveragePooling"},
        "head": {"type": "LinearClsHead", "num_classes": classes},
    }
    return Case(model, SGD, size, classes)


def vit(arch: str | dict[str, int], size: int, classes: int) -> Case:
    """Return a case with a vision transformer of patches of 16 pixels."""
    backbone = {"type": "VisionTransformer", "arch": arch, "img_size": size, "num_classes": classes}
    return Case({"type": "ImageClassifier", "backbone": backbone}, ADAMW, size, classes)


CASES = {"ResNet-50": resnet(50, 224, 1000), "ViT-B/16": vit("base", 224, 1000)}
_TINY = {"embed_dims": 32, "num_layers": 2, "num_heads": 2, "feedforward_channels": 64}
TINY = {"ResNet-18": resnet(18, 32, 10), "tiny ViT": vit(_TINY, 32, 10)}


def config(case: Case, options: argparse.Namespace) -> Config:
    """Return the config of a run."""
    return Config(
        {
            "model": case.model,
            "data": {"samples_per_gpu": options.batch_size, "train": {"type": "None"}},
            "optimizer": case.optimizer,
            "lr_config": {"policy": "CosineAnnealing", "min_lr": 0, "by_epoch": False},
            "runner": {"type": "EpochBasedRunner", "max_epochs": 1},
            "checkpoint_config": {"interval": 10**9},
            "log_config": {"interval": 10, "hooks": [{"type": "TextLoggerHook"}]},
            "precision": "bf16",
            "channels_last": True,
            "compile": {"backend": options.backend},
            "seed": 0,
            "device": options.device,
        }
    )


class HandWritten:
    """A loop written by hand."""

    def __init__(self, case: Case, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.device = options.device
        self.model = unwrap_model(build_model(Config({"model": case.model, "device": self.device})))
        self.model.to(self.device, memory_format=torch.channels_last).train()
        self.model.compile(backend=options.backend, dynamic=False)
        settings = {key: value for key, value in case.optimizer.items() if key != "type"}
        kind: Any = getattr(torch.optim, case.optimizer["type"])
        self.optimizer = kind(self.model.parameters(), **settings)

    def __call__(self, batches: Any) -> None:
        """Train on some batches."""
        for batch in batches:
            with torch.autocast(self.device, torch.bfloat16):
                loss = self.model(**batch)["loss"]
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class Clock:
    """Reads the seconds when the device has done all its work."""

    def __init__(self, device: str) -> None:
        self.is_cuda = device == "cuda"

    def __call__(self) -> float:
        """Wait for the device and return the time."""
        if self.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def random_batch(case: Case, size: int, device: str) -> dict[str, Tensor]:
    """Return a batch of random images (B, 3, H, W), with the channels last in memory, and of labels (B,)."""
    img = torch.randn(size, 3, case.size, case.size, device=device)
    return {
        "img": img.contiguous(memory_format=torch.channels_last),
        "gt_label": torch.randint(case.classes, (size,), device=device),
    }


def flops_per_image(case: Case, options: argparse.Namespace) -> float:
    """Return the floating point operations of the forward and the backward pass of an image."""
    model = unwrap_model(build_model(Config({"model": case.model, "device": options.device})))
    batch = random_batch(case, 2, options.device)
    with FlopCounterMode(display=False) as counter:
        with torch.autocast(options.device, torch.bfloat16):
            loss = model(**batch)["loss"]
        loss.backward()
    return counter.get_total_flops() / 2


def matrix_rate(size: int, clock: Clock, device: str) -> float:
    """Return the floating point operations per second of a product of two square matrices in bfloat16.

    It is the best of five rounds, since other work of the device would only make it lower.
    """
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(6):  # the first round chooses the kernel
        begin = clock()
        for _ in range(20):
            a @ b
        times.append(clock() - begin)
    return 20 * 2 * size**3 / min(times[1:])


def measure(name: str, case: Case, options: argparse.Namespace, clock: Clock, rate: float) -> bool:
    """Compare the loops on one model and print the result; return whether the budget is met."""
    flops = flops_per_image(case, options)
    by_hand = HandWritten(case, options)
    cfg = config(case, options)
    torch.manual_seed(0)
    model = build_model(cfg)
    runner = assemble_runner(cfg, model, None, logger(), "", "", {}, {})
    apply_compile(cfg, model)
    batches = [random_batch(case, options.batch_size, options.device) for _ in range(2)]
    iters = options.iters * (options.pairs + 2)
    turns = Alternating((batches * iters)[:iters], options.iters, by_hand, clock)
    begin = clock()
    runner.run([turns], [("train", 1)])
    seconds = clock() - begin
    times = [(between - before, after - between) for before, between, after in turns.readings[2:]]
    found = summary(times)  # the ratio of images per second is the inverse ratio of the times
    images = options.iters * options.batch_size
    ours = images / found.b
    met = found.ratio >= MIN_RATIO
    budget = "" if options.cpu else f"; budget {MIN_RATIO}: {'met' if met else 'MISSED'}"
    print(f"{name}, {case.size} x {case.size} pixels, batches of {options.batch_size}:")
    print(
        f"  images per second: {ours:.0f} with the runner, {images / found.a:.0f} by hand; ratio {found.ratio:.3f}"
    )
    print(
        f"  95 % interval {found.low:.3f} to {found.high:.3f} of {len(times)} pairs of {options.iters} iterations{budget}"
    )
    print(
        f"  {flops / 1e9:.3g} GFLOP per image, {ours * flops / 1e12:.4g} TFLOP/s = {ours * flops / rate:.1%} of the matrix rate"
    )
    memory = (
        f", peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of both" if clock.is_cuda else ""
    )
    print(f"  measured in {seconds:.0f} s, compiling included{memory}", flush=True)
    return met or options.cpu


def logger() -> logging.Logger:
    """Return a logger whose lines are formatted, and then go nowhere."""
    found = logging.getLogger("benchmark")
    found.propagate = False
    found.setLevel("INFO")
    found.addHandler(Nowhere())
    return found


class Nowhere(logging.Handler):
    """Formats each line and drops it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Format the line."""
        self.format(record)


def main() -> None:
    """Measure all models; exit with 1 if a budget is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="try the script on tiny models on the CPU")
    parser.add_argument("--only", nargs="+", metavar="MODEL", help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--iters", type=int, help="iterations of a part; 10 by default, 2 with --cpu")
    parser.add_argument("--batch-size", type=int, help="256 by default, 4 with --cpu")
    parser.add_argument("--backend", help="of torch.compile; inductor by default, aot_eager with --cpu")
    options = parser.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        sys.exit("There is no CUDA device. --cpu tries the script on tiny models on the CPU.")
    options.device = "cpu" if options.cpu else "cuda"
    options.iters = options.iters or (2 if options.cpu else 10)
    options.batch_size = options.batch_size or (4 if options.cpu else 256)
    options.backend = options.backend or ("aot_eager" if options.cpu else "inductor")
    cases = TINY if options.cpu else CASES
    unknown = [name for name in options.only or () if name not in cases]
    if unknown:
        parser.error(f"there is no model {unknown[0]!r}, but {', '.join(cases)}")
    clock = Clock(options.device)
    rate = matrix_rate(256 if options.cpu else 8192, clock, options.device)
    device = "CPU" if options.cpu else torch.cuda.get_device_name()
    print(
        f"{device}, PyTorch {torch.__version__}: matrix rate in bfloat16 {rate / 1e12:.4g} TFLOP/s",
        flush=True,
    )
    results = []
    for name in options.only or cases:
        if clock.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        torch.compiler.reset()
        results.append(measure(name, cases[name], options, clock, rate))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
