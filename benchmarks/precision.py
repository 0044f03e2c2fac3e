"""Compare the operators that torch runs with the keys for precision and speed with those of a loop written by hand.

A small convolutional network is trained for eight iterations. The profiler counts the operators of the third and the
fourth one. A runner with its optimizer hook must run the same operators as the loop. ``--backend inductor`` compiles
kernels, which takes minutes on the CPU.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn.tools.compiling import compile_model, compile_settings
from cfgtrain.cnn.tools.memory_format import use_channels_last
from cfgtrain.runner import EpochBasedRunner, OptimizerHook


class Network(nn.Module):
    """Two convolutions with batch normalization, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [(3, 16), (16, 32)]
        convs = [nn.Sequential(nn.Conv2d(i, o, 3), nn.BatchNorm2d(o), nn.ReLU()) for i, o in layers]
        self.body, self.fc = nn.Sequential(*convs), nn.Linear(32, 10)

    def forward(self, img: Tensor, label: Tensor) -> Tensor:
        """Return the loss of (B, 3, H, W) images and (B,) labels."""
        return functional.cross_entropy(self.fc(self.body(img).mean((2, 3))), label)

    def train_step(self, batch: tuple[Tensor, Tensor], optimizer: Any = None) -> dict[str, Any]:
        """Return the loss of a batch, without values for the log."""
        return {"loss": self(*batch), "log_vars": {}, "num_samples": len(batch[0])}


class ProfiledBatches:
    """Eight batches; the profiler runs while the third and the fourth are trained."""

    def __init__(self) -> None:
        self.profile = torch.profiler.profile()
        torch.manual_seed(1)
        self.batches = [(torch.randn(8, 3, 16, 16), torch.randint(10, (8,))) for _ in range(8)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        for i, batch in enumerate(self.batches):
            if i == 2:
                self.profile.start()
            elif i == 4:
                self.profile.stop()
            yield batch

    def operators(self) -> Counter[str]:
        """Return how often each operator was called."""
        averages = self.profile.key_averages()
        return Counter({event.key: event.count for event in averages if "::" in event.key})


def by_hand(
    keys: tuple[str, ...], backend: str, wrap: Callable[[Any], Any] = lambda model: model
) -> Counter[str]:
    """Train with a loop written by hand; ``wrap`` makes the model distributed."""
    model, batches = Network(), ProfiledBatches()
    if "channels_last" in keys:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if "compile" in keys:
        model.compile(backend=backend, dynamic=False)
    model = wrap(model)
    precision = torch.autocast("cpu", torch.bfloat16) if "bf16" in keys else nullcontext()
    for img, label in batches:
        if "channels_last" in keys:
            img = img.contiguous(memory_format=torch.channels_last)
        with precision:
            loss = model(img, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return batches.operators()


def with_runner(
    keys: tuple[str, ...], backend: str, wrap: Callable[[Any], Any] = lambda model: model
) -> Counter[str]:
    """Train with a runner; ``wrap`` makes the model distributed."""
    model, batches = Network(), ProfiledBatches()
    if "channels_last" in keys:
        use_channels_last(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    settings = compile_settings({"backend": backend} if "compile" in keys else None)
    if settings is not None:
        compile_model(model, settings)
    logger = logging.getLogger("cfgtrain.benchmark")
    runner = EpochBasedRunner(wrap(model), optimizer=optimizer, logger=logger, max_epochs=1)
    runner.register_hook(OptimizerHook(dtype="bfloat16" if "bf16" in keys else None))
    runner.run([batches], [("train", 1)])
    return batches.operators()


def main() -> None:
    """Print the differences for some combinations of keys; exit with 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="aot_eager", help="of torch.compile; aot_eager by default")
    backend = parser.parse_args().backend
    differ = False
    for keys in ((), ("bf16",), ("channels_last",), ("compile",), ("compile", "bf16")):
        counts = []
        for train in (by_hand, with_runner):
            torch.compiler.reset()
            counts.append(train(keys, backend))
        hand, ours = counts
        different = {name: (hand[name], ours[name]) for name in hand | ours if hand[name] != ours[name]}
        differ = differ or bool(different)
        name = " + ".join(keys) or "float32"
        print(
            f"{name:<32} {hand.total():>5} operators by hand, {ours.total():>5} with a runner; {different or 'equal'}"
        )
    raise SystemExit(int(differ))


if __name__ == "__main__":
    main()
