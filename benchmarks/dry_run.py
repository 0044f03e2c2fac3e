"""Measure the dry run before a training: it should take about as long as one iteration per dataset.

    python benchmarks/dry_run.py [--pairs 20]
    python benchmarks/dry_run.py --quick      # 5 pairs

An iteration loads a batch; one of the training dataset computes the loss and its gradients and steps the optimizer, one of
another dataset predicts the batch and updates the metrics. Both run alternately in one process on one thread, and their
CPU times are compared. The loaders load in this process: a worker process would have to be started for either.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from paired import compare

from cfgtrain.check.dry_run import try_batches
from cfgtrain.config import Config
from cfgtrain.data import PIPELINES
from cfgtrain.evaluation.inference import predict_batches
from cfgtrain.experiment.assembly import Assembly, assemble_run
from cfgtrain.metrics.metric_set import build_metrics

# The greatest ratio, for copies of the weights, and seconds, for what does not depend on the batch and the model.
RATIO, ROOM = 1.1, 0.010
DIGITS = Path(__file__).parent.parent / "configs" / "digits" / "lenet5.py"
COLOUR = [
    {"type": "Resize", "scale": (32, 32)},
    {"type": "Colour"},
    {"type": "ImageToTensor", "keys": ["img"]},
]
RESNET = {
    "model": {
        "_delete_": True,
        "type": "ImageClassifier",
        "backbone": {"type": "ResNet", "depth": 18},
        "neck": {"type": "GlobalAveragePooling"},
        "head": {"type": "LinearClsHead", "num_classes": 10, "in_channels": 512},
    },
    **{f"data.{part}.pipeline": COLOUR for part in ("train", "val", "test")},
}


@PIPELINES.register_module()
class Colour:
    """Turns a gray image into one of three channels, float32."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the image of a sample."""
        results["img"] = np.repeat(np.float32(results["img"])[..., None], 3, axis=2)
        return results


def iterations(cfg: Config, built: Assembly) -> None:
    """Do one iteration with each dataset."""
    model: Any = built.runner.model
    for part, loader in built.loaders.items():
        with closing(iter(loader)) as batches:
            batch = next(batches)
        if part == "train":
            model.train()
            loss = model.train_step(batch, built.runner.optimizer)["loss"]
            built.runner.optimizer.zero_grad()
            loss.backward()
            built.runner.optimizer.step()
        else:
            metrics = build_metrics(cfg.evaluation.metrics)
            with closing(predict_batches(model, [batch])) as predicted:
                metrics.update(next(predicted).predictions, batch)
            metrics.compute()


def cpu_seconds(action: Callable[[], object]) -> float:
    """Return the CPU time of an action."""
    before = time.process_time()
    action()
    return time.process_time() - before


def main() -> int:
    """Compare, print the results, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="5 pairs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    missed = False
    for name, changes in {"LeNet-5, 64 digits": {}, "ResNet-18, 64 digits": RESNET}.items():
        cfg = Config.fromfile(DIGITS)
        cfg.merge_from_dict(
            {**changes, "device": "cpu", "evaluation": {"_delete_": True, "metrics": ["Accuracy"]}}
        )
        built = assemble_run(cfg, None, logging.getLogger("cfgtrain"))
        found = compare(
            lambda cfg=cfg, built=built: cpu_seconds(lambda: try_batches(cfg, built.runner, built.loaders)),
            lambda cfg=cfg, built=built: cpu_seconds(lambda: iterations(cfg, built)),
            5 if args.quick else args.pairs,
            warmup=2,
        )
        met = found.low <= RATIO or found.a - found.b <= ROOM
        missed |= not met
        print(
            f"{name}: {1000 * found.a:.1f} ms, an iteration per dataset {1000 * found.b:.1f} ms, ratio {found}: "
            f"{'met' if met else 'MISSED'}",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
