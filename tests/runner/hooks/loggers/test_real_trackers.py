"""TensorBoard, MLflow, W&B (offline) and DVCLive, read back with their own readers."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.version import Version
from tiny import make_runner, numbers
from trackers import OFFLINE, copy_to, empty_mlflow_database, read_mlflow, read_tensorboard, wandb_curves
from wandb_files import read_starts

from cfgtrain.config import Config
from cfgtrain.runner import HOOKS, EvalHook, Hook
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


@pytest.fixture(scope="module", autouse=True)
def wandb_service() -> Iterator[None]:
    """Stop W&B's service at the end, as processes that later tests start would use it."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
    os.environ.pop("WANDB_SERVICE", None)


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
            if line["mode"] in ("train", "val"):
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

    starts = read_starts(work_dir / "wandb")
    assert [start.exit_code for start in starts] == [1, 0]
    assert len({start.run_id for start in starts}) == 1
    steps = [row["_step"] for start in starts for row in start.rows]
    assert steps == sorted(set(steps))
    curves = wandb_curves(starts)
    del curves["momentum"]
    assert curves == approx(expected)
    assert starts[0].config["optimizer.lr"] == starts[1].config["optimizer.lr"] > 0
    for seen in (starts[1].summary, run.data.metrics):
        assert seen["best_score"] == max(value for _, value in curves["val/accuracy"])
        assert seen["test/accuracy"] == result.scores["accuracy"]


def hook(kind: str, **settings: Any) -> Any:
    return HOOKS.build({"type": f"{kind}LoggerHook", "interval": 2, **settings})


def run(
    logger: Any, work_dir: Path, kind: str = "epoch", length: int = 2, resume: str = "", **runner: Any
) -> Any:
    """Train a ``Scalar`` for four iterations per epoch with one logger."""
    meta = {"exp_name": "mine", "config": "optimizer = dict(lr=0.1, betas=(1, 2))"}
    made = make_runner(kind, length, work_dir=work_dir, **{"meta": meta, **runner})
    made.register_checkpoint_hook({"interval": 1, "by_epoch": kind == "epoch"})
    made.register_hook(logger, "VERY_LOW")
    if resume:
        made.resume(work_dir / resume)
    made.run([numbers(4)], [("train", 1)])
    return made


def test_versions() -> None:
    """The packages are those that the hooks are written for."""
    least = {"tensorboard": "2.16", "mlflow": "3.1", "wandb": "0.19"}
    assert [name for name, lowest in least.items() if Version(version(name)) < Version(lowest)] == []


def test_tensorboard_text_and_settings(tmp_path: Path) -> None:
    """Text is logged as text, the config as a text and as hyperparameters with the last scores."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Noting(Hook):
        def after_train_epoch(self, runner: Any) -> None:
            runner.log_buffer.output.update(acc=0.5, note="abc")
            runner.log_buffer.mode, runner.log_buffer.ready = "val", True

    runner = make_runner("epoch", 1, work_dir=tmp_path, meta={"config": "optimizer = dict(lr=0.1)"})
    runner.register_hook(Noting())
    runner.register_hook(hook("Tensorboard", log_dir=str(tmp_path / "logs")), "VERY_LOW")
    runner.run([numbers(4)], [("train", 1)])
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    (text,) = events.Tensors("val/note/text_summary")
    assert (text.step, text.tensor_proto.string_val[0]) == (5, b"abc")
    (config,) = events.Tensors("config/text_summary")
    assert b"optimizer.lr = 0.1" in config.tensor_proto.string_val[0]
    assert [event.value for event in events.Scalars("summary/val/acc")] == [0.5]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_a_second_training_has_its_own_folder_in_tensorboard(tmp_path: Path) -> None:
    """A new run in the same work directory does not mix with the events of the first."""
    first, second = (run(hook("Tensorboard"), tmp_path, length=1) for _ in range(2))
    seen = {path.parent.name for path in (tmp_path / "tf_logs").rglob("events*")}
    assert seen == {"tf_logs", second.timestamp}
    run(hook("Tensorboard"), tmp_path, resume="epoch_1.pth")  # the checkpoint of the second
    curve = read_tensorboard(tmp_path / "tf_logs" / second.timestamp)["train/loss"]
    assert [step for step, _ in curve] == [2, 4, 6, 8]
    assert first.timestamp


def test_mlflow_model_and_settings(tmp_path: Path, database: Path) -> None:
    """The model is logged at the end, and a setting that changes in a resumed run becomes a tag."""
    import mlflow

    copy_to(tmp_path, database)
    settings = {"exp_name": "e", "tags": {"who": "me"}, "params": {"p@1": 2}}
    run(hook("Mlflow", **settings, log_model=False), tmp_path, length=1)
    meta = {"config": "optimizer = dict(lr=0.2, betas=(1, 2), nesterov=True)"}
    made = run(hook("Mlflow", **settings), tmp_path, resume="epoch_1.pth", meta=meta)
    curves, seen = read_mlflow(tmp_path / "mlflow.db")
    assert curves["train/loss"] == [(2, 0.5), (4, 2.5), (6, 0.5), (8, 2.5)]
    assert seen.data.params == {
        "optimizer.lr": "0.1", "optimizer.betas": "[1, 2]", "optimizer.nesterov": "True", "p_1": "2",
    }  # fmt: skip
    assert (seen.data.tags["optimizer.lr"], seen.data.tags["who"]) == ("0.2", "me")
    assert "optimizer.betas" not in seen.data.tags
    (model,) = (tmp_path / "mlartifacts").rglob("model.pth")
    assert torch.load(model, weights_only=False).w == made.model.w
    assert mlflow.active_run() is None
    assert not mlflow.tracking.is_tracking_uri_set()


def test_mlflow_elsewhere(tmp_path: Path, database: Path) -> None:
    """``tracking_uri`` selects another database; a run that is active already is used, and stays active."""
    import mlflow

    copy_to(tmp_path / "other", database)
    uri = f"sqlite:///{tmp_path}/other/mlflow.db"
    run(hook("Mlflow", tracking_uri=uri, exp_name="e", log_model=False), tmp_path / "run", length=1)
    assert not (tmp_path / "run" / "mlflow.db").exists()
    curves, first = read_mlflow(tmp_path / "other" / "mlflow.db")
    assert len(curves["train/loss"]) == 2
    try:
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run(run_id=first.info.run_id) as mine:
            run(hook("Mlflow", log_model=False), tmp_path / "second", length=1)
            assert mlflow.active_run() is mine
    finally:
        mlflow.set_tracking_uri(None)


def test_mlflow_of_an_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow 2, which pip may install where the pins allow nothing newer, is an error before the run."""
    import mlflow

    monkeypatch.setattr(mlflow, "__version__", "2.0.1")
    with pytest.raises(ImportError, match=r"needs MLflow 3 or newer, not 2\.0\.1"):
        run(hook("Mlflow"), tmp_path)


def test_wandb_rows_of_an_iteration_runner(tmp_path: Path) -> None:
    """The values of the training and of an evaluation at the same step are one row, and none is dropped."""
    loader = type("Loader", (list,), {})(numbers(1))
    loader.dataset = type("Data", (), {"evaluate": lambda *_, **__: {"acc": 0.5}})()
    logger = hook("Wandb", interval=1, define_metric_cfg={"val/acc": "max", "train/loss": "biggest"})
    made = make_runner("iter", 4, work_dir=tmp_path, meta={"hook_msgs": {}})
    made.register_hook(EvalHook(loader, interval=2, by_epoch=False, test_fn=lambda *_: []), "LOW")
    made.register_hook(logger, "VERY_LOW")
    made.run([numbers(4)], [("train", 1)])
    (start,) = read_starts(tmp_path / "wandb")
    assert [(row["_step"], row["train/loss"], row.get("val/acc")) for row in start.rows] == [
        (1, 0.0, None), (2, pytest.approx(1.0, abs=1), 0.5), (3, pytest.approx(2.0, abs=1), None),
        (4, pytest.approx(3.0, abs=1), 0.5),
    ]  # fmt: skip
    assert start.exit_code == 0


def test_wandb_without_steps_and_with_files(tmp_path: Path) -> None:
    """``with_step=False`` logs the iteration as a value; the files of the work directory are an artifact."""
    runner = run(hook("Wandb", with_step=False, init_kwargs={"id": "mine"}), tmp_path / "run", length=1)
    (start,) = read_starts(tmp_path / "run" / "wandb")
    assert start.run_id == "mine"
    assert [(row["_step"], row["global_step"]) for row in start.rows] == [(0, 2), (1, 4)]
    assert runner.meta["hook_msgs"]["trackers"] == {"WandbLoggerHook": "mine"}


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_dvclive(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVCLive's files have the averages of epochs or intervals, and a resumed run continues them."""
    utils = pytest.importorskip("dvclive.utils", reason="pip install 'cfgtrain[dvclive]'")
    pytest.importorskip("dvclive")
    assert Version(version("dvclive")) >= Version("3.48")
    settings: dict[str, Any] = {"save_dvc_exp": False, "report": None, "by_epoch": kind == "epoch"}
    work_dir, lengths = tmp_path / "run", (1, 2) if kind == "epoch" else (4, 8)
    if kind == "epoch":
        settings["model_file"] = "model.pth"
    run(hook("Dvclive", **settings), work_dir, kind, lengths[0])
    run(hook("Dvclive", **settings), work_dir, kind, lengths[1], resume="latest.pth")
    rows = utils.parse_tsv(work_dir / "dvclive" / "plots" / "metrics" / "train" / "loss.tsv")
    seen = [(int(row["step"]), float(row["loss"])) for row in rows]
    assert seen == ([(1, 1.5), (2, 1.5)] if kind == "epoch" else [(2, 0.5), (4, 2.5), (6, 0.5), (8, 2.5)])
    assert "0.1" in (work_dir / "dvclive" / "params.yaml").read_text()
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"wandb-home"} == ({"run", "model.pth"} if kind == "epoch" else {"run"})
    if kind == "epoch":
        assert torch.load("model.pth", weights_only=False)["meta"]["iter"] == 8
