"""TensorBoard, MLflow, W&B (offline) and DVCLive, read back with their own readers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trackers import OFFLINE, copy_to, empty_mlflow_database, read_mlflow, read_tensorboard, wandb_curves
from wandb_files import read_starts

from cfgtrain.config import Config
from cfgtrain.runner import HOOKS, Hook
from cfgtrain.train import train

ROOT = Path(__file__).parents[4]
for _package in ("tensorboard", "mlflow", "wandb"):
    pytest.importorskip(_package, reason=f"pip install 'cfgtrain[{_package}]'")
# What the packages warn about in their own code.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        return empty_mlflow_database(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep the packages from the network, and from folders outside the test's."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))
    yield
    for name in ("mlflow", "alembic", "wandb", "git", "dvclive", "dvc"):
        logging.getLogger(name).handlers.clear()


class StopAt(Hook):
    """Stops at an iteration: like Ctrl-C, or with an error."""

    def __init__(self, iteration: int, error: bool = False) -> None:
        self.iteration = iteration
        self.error = error

    def after_train_iter(self, runner: Any) -> None:
        if runner.iter + 1 == self.iteration:
            if self.error:
                raise OSError("the machine is on fire")
            runner.stop("Ctrl-C", interrupted=True)


THREE = [
    {"type": "TextLoggerHook"},
    {"type": "TensorboardLoggerHook"},
    {"type": "MlflowLoggerHook"},
    {"type": "WandbLoggerHook", "init_kwargs": {"project": "digits", "mode": "offline"}},
]


def digits(work_dir: Path, *stop: Any, resume: bool = False, hooks: Any = THREE, **settings: Any) -> Config:
    """Return a config of three short epochs on the digits, which stops at an iteration."""
    cfg = Config.fromfile(ROOT / "configs" / "digits" / "lenet5.py")
    cfg.merge_from_dict(
        {
            "runner.max_epochs": 3,
            "data.samples_per_gpu": 256,
            "data.workers_per_gpu": 0,
            "work_dir": str(work_dir),
            "device": "cpu",
            "log_config": {"interval": 2, "hooks": hooks},
            "custom_hooks": [{"type": "StopAt", "iteration": stop[0], "error": len(stop) > 1}]
            if stop
            else [],
            **({"resume_from": "auto"} if resume else {}),
            **settings,
        }
    )
    return cfg


@pytest.fixture
def stoppable() -> None:
    HOOKS.register_module(name="StopAt", module=StopAt)


def logged(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the curves in the JSON logs of all starts; a repeated line counts once."""
    lines: dict[Any, Any] = {}
    for file in sorted(work_dir.glob("*.log.json")):
        for text in file.read_text().splitlines()[1:]:
            line = json.loads(text)
            lines[line["mode"], line["global_iter"]] = line
    curves: dict[str, list[tuple[int, float]]] = {}
    for (mode, iters), line in sorted(lines.items(), key=lambda item: item[0][1]):
        step = iters if mode == "train" else iters + 1  # as in MMCV
        for key in line.keys() - {"mode", "epoch", "iter", "lr", "global_iter", "time", "data_time"}:
            curves.setdefault(f"{mode}/{key}", []).append((step, line[key]))
        curves.setdefault("learning_rate", []).append((step, line["lr"]))
    return curves


def approx(curves: dict[str, Any]) -> Any:
    """Return curves that are equal to others, as the text log rounds its numbers."""
    return {tag: [pytest.approx(point, abs=2e-5) for point in curve] for tag, curve in curves.items()}


@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_one_run_in_three_trackers(how: str, tmp_path: Path, database: Path, stoppable: None) -> None:
    """A training that was stopped, or failed after its checkpoint, and is resumed is one continuous run in each."""
    work_dir = tmp_path / "run"
    copy_to(work_dir, database)
    if how == "interrupted":
        assert train(digits(work_dir, 9)).runner.interrupted
    else:
        with pytest.raises(OSError, match="on fire"):
            train(digits(work_dir, 13, "error"))
    result = train(digits(work_dir, resume=True))
    assert result.runner.iter == result.runner.max_iters
    expected = logged(work_dir)
    assert len(expected["train/loss"]) >= 6
    assert len(expected["val/accuracy"]) == 3

    seen = read_tensorboard(work_dir / "tf_logs")
    momentum = seen.pop("momentum")
    assert seen == approx(expected)
    assert [value for _, value in momentum] == pytest.approx([0.9] * len(momentum))

    curves, run = read_mlflow(work_dir / "mlflow.db")
    del curves["momentum"]
    assert curves == approx(expected)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "lenet5"
    assert run.data.params["optimizer.type"] == "SGD"
    assert run.data.params["data.train.pipeline.0.type"] == "Resize"
    assert run.data.metrics["best_score"] == max(value for _, value in curves["val/accuracy"])

    starts = read_starts(work_dir / "wandb")
    assert [start.exit_code for start in starts] == [1, 0]
    assert len({start.run_id for start in starts}) == 1
    steps = [row["_step"] for start in starts for row in start.rows]
    assert steps == sorted(set(steps))
    curves = wandb_curves(starts)
    del curves["momentum"]
    assert curves == approx(expected)
    assert starts[0].config["optimizer.lr"] == starts[1].config["optimizer.lr"] > 0
    assert starts[1].summary["best_score"] == run.data.metrics["best_score"]
