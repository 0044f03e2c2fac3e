"""train(cfg): from a config to a trained model."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cfgtrain.check import check
from cfgtrain.checkpoint.load import load_checkpoint
from cfgtrain.cnn.builder import MODELS
from cfgtrain.config.config import Config
from cfgtrain.data.builder import build_dataloader, build_dataset, loader_settings
from cfgtrain.errors import WorkDirError
from cfgtrain.evaluate import evaluate
from cfgtrain.optim import build_optimizer
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.random_state import set_random_seed
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hooks.evaluation import EvalHook
from cfgtrain.runner.hooks.progress import ProgressHook

__all__ = ["TrainResult", "train"]


class TrainResult(NamedTuple):
    """What a training came to.

    Attributes:
        runner: As it ended.
        work_dir: Where checkpoints, logs and the merged config lie.
        best_checkpoint: Chosen on the validation part, or None.
        scores: Of the best (else the last) weights on the test part; empty without one.
        test_samples: How many samples those are of.
        seconds: From start to end.
    """

    runner: BaseRunner
    work_dir: Path
    best_checkpoint: str | None
    scores: dict[str, Any]
    test_samples: int
    seconds: float


def train(cfg: Config, progress: bool = False) -> TrainResult:
    """Check a config, build what it describes, train it and test what came out.

    Args:
        cfg: See ``docs/config.md`` for its keys. The settled seed, device and work_dir are
            written into it.
        progress: Whether live progress is shown on a terminal.

    Raises:
        CfgTrainError: The config is wrong, or the work directory cannot be written to.
    """
    began = time.perf_counter()
    check(cfg)
    settle(cfg)
    set_random_seed(cfg.seed, cfg.get("deterministic", False))
    work_dir = prepare_work_dir(cfg)
    with run_log(work_dir, cfg.get("log_level", "INFO")) as logger:
        model = build_model(cfg)
        loaders = {part: build_loader(cfg, part) for part in ("train", "val", "test") if part in cfg.data}
        runner = assemble_runner(cfg, model, work_dir, logger)
        evaluation = register_evaluation(runner, cfg, loaders)
        if progress:
            runner.register_hook(ProgressHook(), "LOWEST")
        if cfg.get("load_from"):
            runner.load_checkpoint(cfg.load_from)
        if cfg.get("resume_from"):
            runner.resume(cfg.resume_from)

        workflow = [(mode, times) for mode, times in cfg.get("workflow", [("train", 1)])]
        runner.run([loaders[mode] for mode, _ in workflow], workflow)

        best = (runner.meta or {}).get("hook_msgs", {}).get("best_ckpt")
        if best is not None:
            load_checkpoint(model, best, strict=True)
        scores = test(model, loaders, logger, evaluation)
    samples = len(loaders["test"].dataset) if "test" in loaders else 0
    return TrainResult(runner, work_dir, best, scores, samples, time.perf_counter() - began)


def settle(cfg: Config) -> None:
    """Write what the config leaves open into it, so that the dumped config repeats the run."""
    if cfg.get("seed") is None:
        cfg.seed = random.SystemRandom().randrange(2**31)
    cfg.device = str(pick_device(cfg.get("device")))
    cfg.work_dir = str(cfg.get("work_dir") or Path("work_dirs") / config_stem(cfg))


def config_stem(cfg: Config) -> str:
    """Return the name of the config's file without its extension."""
    return Path(cfg.filename).stem if cfg.filename else "run"


def prepare_work_dir(cfg: Config) -> Path:
    """Make the work directory and put the merged config into it."""
    work_dir = Path(cfg.work_dir).expanduser().absolute()
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        cfg.dump(work_dir / f"{config_stem(cfg)}.py")
    except OSError as error:
        raise WorkDirError(
            f"The work directory {work_dir} cannot be written to: {error.strerror or error}. "
            "Choose another with --work-dir."
        ) from error
    return work_dir


@contextmanager
def run_log(work_dir: Path, level: str) -> Iterator[logging.Logger]:
    """Give the run a log file of its own, closed at the end."""
    logger = logging.getLogger("cfgtrain")
    before = logger.level
    handler = logging.FileHandler(work_dir / f"{time.strftime('%Y%m%d_%H%M%S')}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()


def build_model(cfg: Config) -> nn.Module:
    """Build the model and put it on its device; on the CPU it stays as it is."""
    model: nn.Module = MODELS.build(cfg.model)
    device = pick_device(cfg.device)
    return model if device.type == "cpu" else OnDevice(model, device)


def build_loader(cfg: Config, part: Any) -> Any:
    """Build the data set of a part and its loader; only training shuffles."""
    settings = loader_settings(cfg.data, part)
    if part != "train":
        settings = {**settings, "shuffle": False, "drop_last": False, "round_up": False}
    return build_dataloader(build_dataset(cfg.data[part]), **settings, seed=cfg.seed)


def assemble_runner(cfg: Config, model: nn.Module, work_dir: Path, logger: logging.Logger) -> BaseRunner:
    """Build the runner with its optimizer and the hooks that the config asks for."""
    meta = {"exp_name": config_stem(cfg), "seed": cfg.seed, "config": cfg.pretty_text, "hook_msgs": {}}
    optimizer = build_optimizer(model, cfg.optimizer)
    runner: BaseRunner = build_runner(
        cfg.runner,
        default_args={
            "model": model,
            "optimizer": optimizer,
            "work_dir": str(work_dir),
            "logger": logger,
            "meta": meta,
        },
    )
    runner.register_training_hooks(
        cfg.get("lr_config"),
        cfg.get("optimizer_config") or {},
        cfg.get("checkpoint_config", {"interval": 1}),
        cfg.get("log_config", {"interval": 10, "hooks": [{"type": "TextLoggerHook"}]}),
        cfg.get("momentum_config"),
        cfg.get("timer_config", {"type": "IterTimerHook"}),
        cfg.get("custom_hooks"),
    )
    return runner


def register_evaluation(runner: BaseRunner, cfg: Config, loaders: dict[str, Any]) -> EvalHook | None:
    """Register the evaluation on the validation part, after the timer and before the loggers."""
    if cfg.get("evaluation") is None:
        return None
    hook = EvalHook(loaders["val"], **{"by_epoch": runner.by_epoch, **cfg.evaluation})
    runner.register_hook(hook, "LOW")
    return hook


def test(
    model: nn.Module, loaders: dict[str, Any], logger: logging.Logger, evaluation: EvalHook | None
) -> dict[str, Any]:
    """Score the model, once, on the part that had no say in anything before."""
    if "test" not in loaders:
        return {}
    return evaluate(model, loaders["test"], logger, **(evaluation.eval_kwargs if evaluation else {}))
