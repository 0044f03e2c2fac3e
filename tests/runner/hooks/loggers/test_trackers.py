"""What all trackers have in common, and those whose services cannot run here, with a recorder of their calls."""

from __future__ import annotations

import json
import logging
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from tiny import LOGGER, Scalar, make_runner, numbers

from cfgtrain.errors import ArgumentError, HookError, MissingLibraryError
from cfgtrain.parallel import dist
from cfgtrain.runner import HOOKS, EvalHook
from cfgtrain.runner.hooks.loggers import tracker
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, config_params

TRACKERS = {
    "tensorboard": "TensorboardLoggerHook",
    "mlflow": "MlflowLoggerHook",
    "wandb": "WandbLoggerHook",
    "dvclive": "DvcliveLoggerHook",
    "neptune": "NeptuneLoggerHook",
    "clearml": "ClearMLLoggerHook",
    "segmind": "SegmindLoggerHook",
    "pavi": "PaviLoggerHook",
}


class Memory(TrackerHook):
    """A tracker in memory, which fails when it is told to."""

    packages = ("json",)
    install = ""
    runs: dict[str, list[Any]]
    fails: bool | str = False

    def start(self, runner: Any, run_id: str | None) -> str:
        if self.fails == "start":
            raise ConnectionError("no route to the server")
        self.id = run_id or f"run{len(self.runs)}"
        self.runs.setdefault(self.id, [])
        return self.id

    def send(self, values: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to the server")
        self.runs[self.id].append((values.step, values.mode))

    def finish(self, runner: Any, summary: dict[str, float]) -> None:
        if self.fails == "finish":
            raise ConnectionError("no route to the server")
        self.summary = summary


@pytest.fixture
def memory() -> Callable[..., Any]:
    """Return a hook whose runs are those of the others of the test."""
    runs: dict[str, list[Any]] = {}

    def call(interval: int = 1, fails: bool | str = False) -> Memory:
        hook = Memory(interval)
        hook.runs, hook.fails = runs, fails
        return hook

    return call


def run(hook: Any, batches: int = 4, epochs: int = 1, workflow: Any = (("train", 1),), **runner: Any) -> Any:
    """Train with a hook."""
    runner.setdefault("meta", {})
    made = make_runner("epoch", epochs, **runner)
    made.register_checkpoint_hook({"interval": 1})
    made.register_hook(hook, "VERY_LOW")
    made.run([numbers(batches)] * len(workflow), list(workflow))
    return made


def test_missing_package_is_an_error_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook of a package that is not installed cannot be built; the message names the extra."""
    for package, name in TRACKERS.items():
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setitem(sys.modules, "tensorboardX", None)
        with pytest.raises(MissingLibraryError) as raised:
            HOOKS.build({"type": name})
        assert isinstance(raised.value, ImportError)
        assert name in raised.value.message
        if package not in ("segmind", "pavi"):  # those on PyPI are other packages
            assert f"pip install 'cfgtrain[{package}]'" in raised.value.hint


def test_missing_package_is_found_by_the_check_of_the_config(
    run: Any, write: Any, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training says where the hook is in the config, before anything else."""
    monkeypatch.setitem(sys.modules, "clearml", None)
    text = f"_base_ = {str(configs / 'digits' / 'lenet5.py')!r}\nlog_config = dict(\n    hooks=[dict(type='ClearMLLoggerHook')])\n"
    ran = run("train", write("cfg.py", text))
    assert ran.code == 2
    assert "pip install 'cfgtrain[clearml]'" in ran.err
    assert "cfg.py:3" in ran.err


def test_constraints_pin_current_versions() -> None:
    """The pinned versions are in the ranges of the extras, so that pip does not go back years to find one."""
    root = Path(__file__).parents[4]
    pins = dict(
        line.split("==") for line in (root / "constraints.txt").read_text().splitlines() if line[0] != "#"
    )
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package in ("tensorboard", "mlflow", "wandb", "dvclive"):
        (requirement,) = map(Requirement, extras[package])
        assert pins[package] in requirement.specifier
        assert str(requirement) in [str(Requirement(each)) for each in extras["dev"]]
    assert pins["mlflow"].startswith("3.")


def test_a_folder_is_not_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the current one that has the name of the package, as W&B makes, does not count as installed."""
    (tmp_path / "neptune").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "neptune", raising=False)
    if not any((Path(each) / "neptune" / "__init__.py").exists() for each in sys.path):
        with pytest.raises(MissingLibraryError):
            HOOKS.build({"type": "NeptuneLoggerHook"})


def test_failure_at_the_start_ends_the_run(memory: Any, tmp_path: Path) -> None:
    """A tracker that cannot be started is an error before the first iteration."""
    model = Scalar()
    with pytest.raises(HookError, match=r"Memory cannot be started. ConnectionError: no route to the server"):
        run(memory(fails="start"), model=model, work_dir=tmp_path)
    assert model.w == 1


def test_failure_in_the_middle(
    memory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training goes on with one warning, and what was not sent is sent when the tracker works again."""
    monkeypatch.setattr(tracker, "PAUSE", 0)
    hook = memory()
    send = Memory.send

    def failing(values: Any) -> None:
        hook.fails = values.place[0] >= 3 and len(attempts) < 4
        attempts.append(values.step)
        send(hook, values)

    attempts: list[int] = []
    hook.send = failing
    caplog.set_level(logging.INFO, LOGGER.name)
    run(hook, batches=8, work_dir=tmp_path)
    assert hook.runs == {"run0": [(step, "train") for step in range(1, 9)]}
    assert attempts[:5] == [1, 2, 3, 3, 3]
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len([each for each in warnings if "cannot log, so the training goes on without it" in each]) == 1
    assert "Memory logs again." in caplog.messages


def test_failure_until_the_end(
    memory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could never be sent is counted in an error; it is bounded while the run lasts."""
    monkeypatch.setattr(tracker, "MAX_UNSENT", 3)
    hook = memory(fails=True)
    hook._unsent = type(hook._unsent)(maxlen=3)
    runner = run(hook, batches=8, work_dir=tmp_path)
    assert runner.iter == 8
    assert "Memory: 8 logs could not be sent and are lost." in caplog.messages


def test_a_slow_failure_is_not_repeated_at_once(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an attempt that took 5 seconds, the next one comes 50 seconds later."""
    clock = [0.0]
    monkeypatch.setattr(tracker, "perf_counter", lambda: clock[0])
    attempts = []
    hook = memory()

    def timeout(values: Any) -> None:
        attempts.append(clock[0])
        clock[0] += 5
        raise TimeoutError

    hook.send = timeout

    class Clock(Scalar):
        def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> Any:
            clock[0] += 1
            return super().train_step(data, optimizer, **kwargs)

    run(hook, batches=100, model=Clock(), work_dir=tmp_path)
    assert attempts == [1.0, 56.0, 110.0]  # the last one at the end of the run


def test_failure_at_the_end(memory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tracker that cannot be closed does not fail the run."""
    hook = memory()

    def finish(runner: Any, summary: Any) -> None:
        raise ConnectionError("no route to the server")

    hook.finish = finish
    assert run(hook, work_dir=tmp_path).iter == 4
    assert "Memory cannot be closed. ConnectionError: no route to the server" in caplog.messages


def resumed(hook: Any, checkpoint: Path, work_dir: Path, epochs: int = 2) -> None:
    runner = make_runner("epoch", epochs, work_dir=work_dir, meta={})
    runner.register_checkpoint_hook({"interval": 1})
    runner.register_hook(hook, "VERY_LOW")
    runner.resume(checkpoint)
    runner.run([numbers(4)], [("train", 1)])


def test_resumed_training_continues_the_run(memory: Any, tmp_path: Path) -> None:
    """The id is in the checkpoint, and the steps continue."""
    run(memory(), work_dir=tmp_path)
    resumed(memory(), tmp_path / "epoch_1.pth", tmp_path)
    hook = memory()
    assert hook.runs == {"run0": [(step, "train") for step in range(1, 9)]}
    assert json.loads((tmp_path / "trackers.json").read_text()) == {
        "Memory": {"run0": {"logged": [8, 0], "closed": True}}
    }


def test_values_that_are_there_are_not_repeated(
    memory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A training that is resumed from an earlier checkpoint logs only what the tracker does not have."""
    caplog.set_level(logging.INFO, LOGGER.name)
    run(memory(), work_dir=tmp_path, epochs=2)
    resumed(memory(), tmp_path / "epoch_1.pth", tmp_path, epochs=3)
    assert memory().runs == {"run0": [(step, "train") for step in range(1, 13)]}
    assert "Memory has the values up to iteration 8 already; they are not logged again." in caplog.messages


def test_values_before_the_checkpoint_that_are_lost_are_sent_again(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker that lost what it got right before the checkpoint, in a kill, gets it when the run is resumed."""
    monkeypatch.setattr(Memory, "seconds_kept", 60.0)
    run(memory(), work_dir=tmp_path)
    runs = memory().runs
    del runs["run0"][2:]
    monkeypatch.setattr(Memory, "reached", lambda self, _: (len(self.runs[self.id]), 0))
    resumed(memory(), tmp_path / "epoch_1.pth", tmp_path / "other")  # begins a run of its own
    assert runs["run1"] == [(step, "train") for step in range(5, 9)]
    resumed(memory(), tmp_path / "epoch_1.pth", tmp_path)
    assert runs["run0"] == [(step, "train") for step in range(1, 9)]


def test_values_that_could_not_be_sent_are_in_the_checkpoint(memory: Any, tmp_path: Path) -> None:
    """After a failure of the tracker and a kill, the resumed training sends what was logged before its checkpoint."""
    hook = memory()
    hook.close = lambda _: None  # as if the training was killed

    def fail_after_two(values: Any) -> None:
        if values.step > 2:
            raise ConnectionError("no route to the server")
        Memory.send(hook, values)

    hook.send = fail_after_two
    run(hook, work_dir=tmp_path)
    assert len(hook.runs["run0"]) == 2
    resumed(memory(), tmp_path / "epoch_1.pth", tmp_path)
    assert hook.runs == {"run0": [(step, "train") for step in range(1, 9)]}


def test_other_trainings_are_other_runs(memory: Any, tmp_path: Path) -> None:
    """A new training, and one that is resumed in another work directory, begin a run of their own."""
    run(memory(), work_dir=tmp_path / "a")
    run(memory(), work_dir=tmp_path / "a")
    resumed(memory(), tmp_path / "a" / "epoch_1.pth", tmp_path / "b")
    first = [(step, "train") for step in range(1, 5)]
    second = [(step, "train") for step in range(5, 9)]
    assert memory().runs == {"run0": first, "run1": first, "run2": second}


def test_two_trackers_of_a_kind(memory: Any, tmp_path: Path) -> None:
    """Each of two hooks of a class has its own run."""
    runner = make_runner("epoch", 1, work_dir=tmp_path, meta={})
    for _ in range(2):
        runner.register_hook(memory(), "VERY_LOW")
    runner.run([numbers(1)], [("train", 1)])
    assert runner.meta["hook_msgs"]["trackers"] == {"Memory": "run0", "Memory#2": "run1"}


def test_values_of_a_training_and_a_val_flow(memory: Any) -> None:
    """The step of a val flow is that of MMCV: the iterations so far and one more."""
    hook = memory(interval=2)
    run(hook, epochs=2, workflow=(("train", 1), ("val", 1)))
    assert hook.runs["run0"] == [
        (2, "train"), (4, "train"), (5, "val"), (6, "train"), (8, "train"), (9, "val"),
    ]  # fmt: skip


def test_summary(memory: Any, tmp_path: Path) -> None:
    """The summary has the best score and those of a test; the last ones are known, too."""
    scores = iter([0.5, 0.9, 0.7])
    loader = type("Loader", (list,), {})(numbers(1))
    loader.dataset = type("Data", (), {"evaluate": lambda *_, **__: {"acc": next(scores), "note": "a"}})()
    hook = memory()
    runner = make_runner("epoch", 3, work_dir=tmp_path, meta={"hook_msgs": {}})
    runner.register_hook(EvalHook(loader, save_best="acc", test_fn=lambda *_: []), "LOW")
    runner.register_hook(hook, "VERY_LOW")
    hook.closes_itself = False
    runner.run([numbers(1)], [("train", 1)])
    hook.add_test_scores({"acc": np.float32(0.5), "table": "a"})
    hook.close(runner)
    assert hook.summary == {"best_score": 0.9, "test/acc": 0.5}
    assert hook.scores == {"val/acc": 0.7}


def test_only_the_main_process_logs(memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other processes start no tracker, and send nothing."""
    monkeypatch.setattr(dist, "get_dist_info", lambda: (1, 2))
    hook = memory(fails="start")
    run(hook, work_dir=tmp_path)
    assert hook.runs == {}
    assert not (tmp_path / "trackers.json").exists()


def test_settings_of_the_config() -> None:
    """Settings are flat, lists of dicts by index, and what may be a secret is left out."""
    text = (
        "optimizer = dict(type='SGD', lr=0.1, betas=(1, 2))\n"
        "data = dict(train=[dict(a=1), dict(b=None)])\n"
        "model = dict(with_cls_token=True, token='abc', password='abc', aws_secret='abc', access_key='abc')\n"
        "log_config = dict(hooks=[dict(type='NeptuneLoggerHook', init_kwargs=dict(api_token='abc'))])\n"
    )
    runner = make_runner("epoch", 1, meta={"config": text})
    assert config_params(runner) == {
        "optimizer.type": "SGD",
        "optimizer.lr": 0.1,
        "optimizer.betas": [1, 2],
        "data.train.0.a": 1,
        "data.train.1.b": None,
        "model.with_cls_token": True,
        "log_config.hooks.0.type": "NeptuneLoggerHook",
    }


@pytest.mark.parametrize("meta", [None, {}, {"config": "a = call()"}, {"config": 3}])
def test_no_config_no_settings(meta: Any) -> None:
    """A run without a config, or with one of another program, has no settings to log."""
    assert config_params(make_runner("epoch", 1, meta=meta)) == {}


class Calls:
    """A package that records its calls: ``Calls().a.b(1)`` records ``("a.b", (1,), {})``."""

    def __init__(self, path: str = "", calls: list[Any] | None = None) -> None:
        self._path = path
        self._calls = [] if calls is None else calls

    def __getattr__(self, name: str) -> Calls:
        if name.startswith("__"):
            raise AttributeError(name)
        return Calls(f"{self._path}.{name}".lstrip("."), self._calls)

    def __getitem__(self, key: str) -> Calls:
        return Calls(f"{self._path}[{key}]", self._calls)

    def __setitem__(self, key: str, value: Any) -> None:
        self._calls.append((f"{self._path}[{key}]=", (value,), {}))

    def __call__(self, *args: Any, **kwargs: Any) -> Calls:
        self._calls.append((self._path, args, kwargs))
        return Calls(f"{self._path}()", self._calls)

    def __str__(self) -> str:
        return self._path

    def of(self, path: str) -> list[Any]:
        """Return the arguments of all calls of a function."""
        return [(args, kwargs) for name, args, kwargs in self._calls if name == path]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Calls]:
    """Replace a package by a recorder."""

    def call(package: str) -> Calls:
        recorder = Calls()
        monkeypatch.setitem(sys.modules, package, recorder)
        return recorder

    return call


RATES = {"learning_rate": 0.02, "momentum": 0.95}
META = {"config": "optimizer = dict(lr=0.02, betas=(1, 2))"}


def train_and_validate(hook: dict[str, Any], work_dir: Path, epochs: int = 1, resume: bool = False) -> Any:
    """Train and validate with five batches and a model that logs nothing, as MMCV's tests do."""
    model = Scalar()
    model.train_step = model.val_step = lambda batch, optimizer: {  # type: ignore[assignment]
        "loss": (model.w * batch).mean(),
        "log_vars": {},
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.95)
    runner = make_runner("epoch", epochs, model, optimizer=optimizer, work_dir=work_dir, meta=dict(META))
    runner.register_checkpoint_hook({"interval": 1})
    runner.register_hook(HOOKS.build(hook), "VERY_LOW")
    if resume:
        runner.resume(work_dir / "latest.pth")
    runner.run([numbers(5), numbers(5)], [("train", 1), ("val", 1)])
    return runner


def test_neptune_with_a_recorder_of_its_calls(calls: Any, tmp_path: Path) -> None:
    """Neptune gets series with steps, the settings and the id of the run to continue; no server is involved."""
    neptune, hook = calls("neptune"), {"type": "NeptuneLoggerHook", "init_kwargs": {"project": "a/b"}}
    train_and_validate(hook, tmp_path)
    assert neptune.of("init_run") == [((), {"project": "a/b"})]
    assert neptune.of("init_run()[config]=") == [(({"optimizer/lr": 0.02, "optimizer/betas": "[1, 2]"},), {})]
    assert neptune.of("init_run()[momentum].append") == [((0.95,), {"step": step}) for step in (5, 6)]
    assert neptune.of("init_run()[learning_rate].append") == [((0.02,), {"step": step}) for step in (5, 6)]
    assert len(neptune.of("init_run().stop")) == 1
    train_and_validate(hook, tmp_path, 2, resume=True)
    assert neptune.of("init_run")[1:] == [((), {"project": "a/b", "with_id": "init_run()[sys/id].fetch()"})]
    assert neptune.of("init_run()[momentum].append")[2:] == [((0.95,), {"step": step}) for step in (10, 11)]


def test_neptune_without_steps(calls: Any, tmp_path: Path) -> None:
    """``with_step=False`` leaves the steps to Neptune."""
    neptune = calls("neptune")
    train_and_validate({"type": "NeptuneLoggerHook", "with_step": False}, tmp_path)
    assert neptune.of("init_run()[momentum].append") == [((0.95,), {})] * 2


def test_clearml_with_a_recorder_of_its_calls(calls: Any, tmp_path: Path) -> None:
    """ClearML gets scalars, the settings and the id of the task to continue; no server is involved."""
    clearml, hook = calls("clearml"), {"type": "ClearMLLoggerHook", "init_kwargs": {"project_name": "digits"}}
    train_and_validate(hook, tmp_path)
    assert clearml.of("Task.init") == [((), {"project_name": "digits"})]
    assert clearml.of("Task.init().connect") == [
        (({"optimizer.lr": 0.02, "optimizer.betas": [1, 2]},), {"name": "config"})
    ]
    reported = "Task.init().get_logger().report_scalar"
    assert clearml.of(reported) == [
        ((tag, tag, value, step), {}) for step in (5, 6) for tag, value in RATES.items()
    ]
    assert clearml.of("Task.init().set_initial_iteration") == []
    assert len(clearml.of("Task.init().close")) == 1
    train_and_validate(hook, tmp_path, 2, resume=True)
    assert clearml.of("Task.init")[1] == (
        (), {"project_name": "digits", "continue_last_task": "Task.init().id"},
    )  # fmt: skip
    assert clearml.of("Task.init().set_initial_iteration") == [((0,), {})]
    assert [args[3] for args, _ in clearml.of(reported)] == [5, 5, 6, 6, 10, 10, 11, 11]


def test_segmind_with_a_recorder_of_its_calls(calls: Any, tmp_path: Path) -> None:
    """Segmind gets numbers by epoch; no server is involved."""
    segmind = calls("segmind")
    train_and_validate({"type": "SegmindLoggerHook"}, tmp_path, 2)
    logged = segmind.of("utils.logging_utils.try_mlflow_log")
    assert [str(args[0]) for args, _ in logged] == ["tracking.fluent.log_metrics"] * 4
    assert [(args[1], kwargs) for args, kwargs in logged] == [
        (RATES, {"step": epoch, "epoch": epoch}) for epoch in (1, 1, 2, 2)
    ]


def test_segmind_without_experiments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package of that name that is on PyPI today is recognized before the run."""
    monkeypatch.setitem(sys.modules, "segmind", type(sys)("segmind"))
    with pytest.raises(MissingLibraryError, match="has no experiments"):
        train_and_validate({"type": "SegmindLoggerHook"}, tmp_path)


def test_pavi_with_a_recorder_of_its_calls(calls: Any, tmp_path: Path) -> None:
    """PAVI gets numbers without the mode in their names; those of a val flow are by epoch."""
    pavi, hook = calls("pavi"), {"type": "PaviLoggerHook", "init_kwargs": {"project": "digits"}}
    train_and_validate(hook, tmp_path / "run")
    assert pavi.of("SummaryWriter") == [((), {"name": "run", "model": "Scalar", "project": "digits"})]
    assert pavi.of("SummaryWriter().add_scalars") == [(("train", RATES, 5), {}), (("val", RATES, 1), {})]
    assert len(pavi.of("SummaryWriter().close")) == 1


@pytest.mark.parametrize(
    ("kind", "length", "settings", "uploaded"),
    [
        ("epoch", 6, {"start": 1, "interval": 2}, [1, 3, 5, 6]),
        ("iter", 15, {"start": 0, "interval": 4}, [4, 8, 12, 15]),
        ("epoch", 2, {"active": False}, [2]),
    ],
)
def test_pavi_gets_checkpoints(
    kind: str, length: int, settings: dict[str, Any], uploaded: list[int], calls: Any, tmp_path: Path
) -> None:
    """The checkpoints at an interval, and the last one, are uploaded."""
    pavi = calls("pavi")
    hook = {
        "type": "PaviLoggerHook",
        "add_last_ckpt": True,
        "add_ckpt_kwargs": {"active": True, **settings},
        "by_epoch": kind == "epoch",
    }
    runner = make_runner(kind, length, work_dir=tmp_path, meta={})
    runner.register_checkpoint_hook({"interval": 1, "by_epoch": kind == "epoch"})
    runner.register_hook(HOOKS.build(hook), "VERY_LOW")
    runner.run([numbers(2)], [("train", 1)])
    assert pavi.of("SummaryWriter().add_snapshot_file") == [
        (
            (),
            {
                "tag": tmp_path.name,
                "snapshot_file_path": str(tmp_path / f"{kind}_{n}.pth"),
                "iteration": n,
            },
        )
        for n in uploaded
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"add_graph": True},
        {"add_graph_kwargs": {"active": True}},
        {"add_ckpt_kwargs": {"intervall": 1}},
        {"add_ckpt_kwargs": {"interval": 0}},
    ],
)
def test_wrong_settings_of_pavi(settings: dict[str, Any], calls: Any) -> None:
    """What is not supported is an error."""
    calls("pavi")
    with pytest.raises(ArgumentError):
        HOOKS.build({"type": "PaviLoggerHook", **settings})
