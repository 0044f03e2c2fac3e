"""Record what MMEngine makes of configs, which the tests of ``cfgtrain migrate`` compare with.

Run it in an environment with MMEngine and PyTorch, which need not have cfgtrain::

    python scripts/record_mmengine.py

It writes ``tests/data/mmengine/recorded.json``: the learning rate of each iteration of short runs with a
``param_scheduler``, and the settings of the configs in ``tests/data/mmengine/configs``.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "mmengine"
CONFIGS = ("lenet/lenet5_digits.py", "lenet/more.py", "lenet/part.py")
EPOCHS, ITERS = 4, 5  # of the runs, and per epoch
LR = 0.1
TOTAL = EPOCHS * ITERS

WARMUP = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 6}
# Each with the key and value that say how the run counts.
SCHEDULES: list[tuple[bool, list[dict[str, Any]]]] = [
    (True, [{"type": "MultiStepLR", "milestones": [1, 3], "gamma": 0.5}]),
    (True, [{"type": "MultiStepLR", "milestones": [1, 3], "by_epoch": True, "convert_to_iter_based": True}]),
    (True, [{"type": "MultiStepLR", "milestones": [7, 13], "by_epoch": False}]),
    (True, [{"type": "MultiStepLR", "milestones": [1, 2], "begin": 1, "end": 4}]),
    (True, [{"type": "StepLR", "step_size": 2, "gamma": 0.5}]),
    (True, [{"type": "StepLR", "step_size": 3, "by_epoch": False}]),
    (True, [{"type": "ExponentialLR", "gamma": 0.5}]),
    (True, [{"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False}]),
    (True, [{"type": "ExponentialLR", "gamma": 0.5, "end": 2}]),
    (True, [{"type": "ConstantLR", "factor": 0.5, "end": 2}]),
    (True, [{"type": "ConstantLR", "factor": 0.5, "by_epoch": False, "end": 7}]),
    (True, [{"type": "ConstantLR", "factor": 0.5}]),
    (True, [{"type": "ConstantLR", "factor": 1.0}]),
    (True, [{"type": "LinearLR", "start_factor": 0.25, "end": 2}]),
    (True, [{"type": "LinearLR", "start_factor": 0.25, "end": 2, "convert_to_iter_based": True}]),
    (True, [WARMUP]),
    (True, [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.1}]),
    (True, [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.1, "convert_to_iter_based": True}]),
    (True, [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.1, "end": 4}]),
    (True, [{"type": "CosineAnnealingLR", "T_max": 4}]),
    (True, [{"type": "CosineAnnealingLR", "eta_min": 0.01}]),
    (True, [{"type": "CosineAnnealingLR", "T_max": 4, "eta_min_ratio": 0.1, "convert_to_iter_based": True}]),
    (True, [{"type": "CosineAnnealingLR", "T_max": 2}]),
    (True, [{"type": "CosineAnnealingLR", "T_max": 20, "by_epoch": False}]),
    (True, [WARMUP, {"type": "CosineAnnealingLR", "T_max": 4}]),
    (True, [WARMUP, {"type": "MultiStepLR", "milestones": [2, 3]}]),
    (True, [{**WARMUP, "by_epoch": True, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "T_max": 3, "begin": 1, "end": 4}]),
    (True, [{**WARMUP, "by_epoch": True, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "T_max": 3, "begin": 1, "end": 4, "convert_to_iter_based": True}]),
    (True, [{"type": "PolyLR", "power": 0.9, "eta_min": 0.001}]),
    (True, [{"type": "PolyLR", "power": 2.0, "end": 4, "convert_to_iter_based": True}]),
    (True, [{"type": "PolyLR", "power": 2.0, "end": 2}]),
    (True, [{"type": "OneCycleLR", "eta_max": 0.5, "total_steps": 20, "by_epoch": False}]),
    (True, [{"type": "CosineRestartLR", "periods": [2, 2], "restart_weights": [1, 0.5], "eta_min": 0}]),
    (True, [{"type": "OneCycleLR", "eta_max": 0.5}]),
    (True, [{"type": "LinearLR", "start_factor": 0.5, "end": 3}, {"type": "MultiStepLR", "milestones": [2]}]),
    (True, [{"type": "LinearLR", "start_factor": 0.5, "end": 2}, {"type": "PolyLR", "power": 2.0, "begin": 2}]),
    (True, [{"type": "ConstantLR", "factor": 0.5, "end": 1}]),
    (True, [{"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 1}]),
    (True, [{"type": "MultiStepLR", "milestones": [1, 3], "end": 2}]),
    (False, [WARMUP, {"type": "CosineAnnealingLR", "T_max": 12, "by_epoch": False, "begin": 8, "end": 20}]),
    (False, [WARMUP, {"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False}]),
    (False, [WARMUP, {"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False, "begin": 4}]),
    (False, [WARMUP, {"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False, "begin": 6}]),
    (False, [WARMUP, {"type": "StepLR", "step_size": 5, "by_epoch": False, "begin": 6}]),
    (False, [{"type": "CosineAnnealingLR", "T_max": 8, "by_epoch": False, "end": 8},
             {"type": "ConstantLR", "factor": 0.5, "by_epoch": False, "begin": 8, "end": 20}]),
    (False, [{"type": "MultiStepLR", "milestones": [7, 13], "by_epoch": False}]),
    (False, [{"type": "StepLR", "step_size": 6, "by_epoch": False, "gamma": 0.5}]),
    (False, [{"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False}]),
    (False, [{"type": "CosineAnnealingLR", "T_max": 20, "by_epoch": False, "eta_min": 0.001}]),
    (False, [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.0, "by_epoch": False}]),
    (False, [{"type": "PolyLR", "power": 0.9, "eta_min": 1e-4, "by_epoch": False, "begin": 0, "end": 20}]),
    (False, [WARMUP, {"type": "PolyLR", "power": 0.9, "eta_min": 1e-4, "by_epoch": False, "end": 20}]),
    (False, [WARMUP, {"type": "PolyLR", "power": 0.9, "by_epoch": False, "begin": 6, "end": 20}]),
    (False, [WARMUP, {"type": "CosineAnnealingLR", "T_max": 14, "by_epoch": False, "begin": 6, "end": 20}]),
    (False, [{"type": "OneCycleLR", "eta_max": 0.5, "by_epoch": False, "end": 20}]),
    (False, [{"type": "OneCycleLR", "eta_max": 0.5, "total_steps": 20, "by_epoch": False, "three_phase": True,
              "anneal_strategy": "linear", "pct_start": 0.4, "div_factor": 10.0, "final_div_factor": 100.0}]),
]  # fmt: skip


class Model(BaseModel):
    """A model with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, mode: str = "tensor") -> Any:
        """Return the loss."""
        return {"loss": (self.weight * x).sum()}


class Recorder(Hook):
    """Records the learning rate of each iteration."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Read it."""
        self.values.append(runner.optim_wrapper.param_groups[0]["lr"])


def learning_rates(by_epoch: bool, schedule: list[dict[str, Any]]) -> list[float]:
    """Return the learning rate of each iteration of a run."""
    recorder = Recorder()
    length = {"max_epochs": EPOCHS} if by_epoch else {"max_iters": TOTAL}
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            Model(), folder,
            train_dataloader={
                "batch_size": 1, "collate_fn": {"type": "default_collate"}, "dataset": [{"x": torch.ones(1)}] * ITERS,
                "sampler": {"type": "DefaultSampler" if by_epoch else "InfiniteSampler", "shuffle": False},
            },
            train_cfg={"by_epoch": by_epoch, **length},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": LR}},
            param_scheduler=[dict(each) for each in schedule],
            custom_hooks=[recorder], log_level="ERROR", experiment_name=f"run{id(recorder)}",
        )  # fmt: skip
        runner.train()
        logging.shutdown()
    return recorder.values


def plain(value: Any) -> Any:
    """Return settings with the import paths of classes."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    kind = type(value).__name__
    if kind == "LazyObject":
        parts = vars(value)
        return ".".join(filter(None, [parts["_module"], parts["_imported"]]))
    if kind == "LazyAttr":
        parts = vars(value)
        return f"{parts['_module']}.{parts['name']}"
    return value


def main() -> None:
    """Write the file."""
    runs = [
        {"by_epoch": by_epoch, "param_scheduler": schedule, "lr": learning_rates(by_epoch, schedule)}
        for by_epoch, schedule in SCHEDULES
    ]
    configs = {name: plain(Config.fromfile(FOLDER / "configs" / name)._to_lazy_dict()) for name in CONFIGS}
    rows = ",\n".join(f"  {json.dumps(each)}" for each in runs)
    provenance = (
        f"made by scripts/record_mmengine.py with mmengine {mmengine.__version__} and torch {torch.__version__}; "
        f"runs of {EPOCHS} epochs of {ITERS} iterations, lr={LR}"
    )
    text = (
        f'{{\n "provenance": {json.dumps(provenance)},\n "runs": [\n{rows}\n ],\n'
        f' "configs": {json.dumps(configs, indent=1)}\n}}\n'
    )
    (FOLDER / "recorded.json").write_text(text)


if __name__ == "__main__":
    main()
