from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOGGER, Scalar, make_runner, numbers

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.fileio import FileClient
from cfgtrain.runner import EvalHook, TextLoggerHook


class Logged:
    """What a training logged: text lines and JSON objects."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        heads = ("Epoch", "Iter")
        self.text = [message for message in caplog.messages if message.startswith(heads)]
        (file,) = Path("run").glob("*.log.json")
        self.json = [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Any:
    """Train a ``Scalar`` with a text logger, and return what it logged."""
    caplog.set_level(logging.INFO, LOGGER.name)

    def call(
        kind: str,
        length: int,
        workflow: Any = (("train", 1),),
        timer: bool = True,
        batches: int = 4,
        **hook: Any,
    ) -> Logged:
        runner = make_runner(
            kind, length, work_dir="run", meta={"exp_name": "mine", "seed": 1, "config": "a = 1"}
        )
        runner.register_timer_hook({} if timer else None)
        runner.register_logger_hooks({"interval": 2, "hooks": [{"type": "TextLoggerHook", **hook}]})
        runner.run([numbers(batches)] * len(workflow), list(workflow))
        return Logged(caplog)

    return call


class Scores:
    """The loader of an evaluation, and its dataset: no model runs, and the score is always 1."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter([0])

    @property
    def dataset(self) -> Scores:
        return self

    def evaluate(self, results: Any, logger: Any = None) -> dict[str, float]:
        return {"acc": 1.0}


TIMES = r"eta: 0:00:0\d, time: \d\.\d{3}, data_time: \d\.\d{3}, "


def test_line_of_an_epoch(log: Any) -> None:
    """A line of an epoch has the layout of MMCV; averages are over the interval."""
    first, second = log("epoch", 1).text
    assert re.fullmatch(r"Epoch \[1\]\[2/4\]\tlr: 1\.000e-01, " + TIMES + r"loss: 0\.5000", first)
    assert re.fullmatch(r"Epoch \[1\]\[4/4\]\tlr: 1\.000e-01, " + TIMES + r"loss: 2\.5000", second)


def test_line_of_an_iteration(log: Any) -> None:
    """A line of an iteration runner counts over the run."""
    lines = log("iter", 6).text
    assert re.fullmatch(r"Iter \[6/6\]\tlr: 1\.000e-01, " + TIMES + r"loss: 0\.5000", lines[-1])
    assert len(lines) == 3


def test_line_without_a_timer(log: Any) -> None:
    """Without a timer a line of the training contains no times."""
    assert log("epoch", 1, timer=False).text == [
        "Epoch [1][2/4]\tlr: 1.000e-01, loss: 0.5000",
        "Epoch [1][4/4]\tlr: 1.000e-01, loss: 2.5000",
    ]


def test_line_of_a_val_flow(log: Any) -> None:
    """A val flow is logged once, averaged over all of it."""
    val = log("epoch", 1, (("train", 1), ("val", 1)), timer=False).text[-1]
    assert val == "Epoch(val) [1][4]\tloss: 1.5000"


def test_json_lines(log: Any) -> None:
    """The first line is the meta without the config; the others have the keys of MMCV in order."""
    lines = log("epoch", 1, (("train", 1), ("val", 1))).json
    assert lines[0] == {"exp_name": "mine", "seed": 1}
    assert list(lines[1])[:4] == ["mode", "epoch", "iter", "lr"]
    assert set(lines[1]) == {"mode", "epoch", "iter", "lr", "global_iter", "loss", "time", "data_time"}
    assert [(line["mode"], line["epoch"], line["iter"]) for line in lines[1:]] == [
        ("train", 1, 2),
        ("train", 1, 4),
        ("val", 1, 4),
    ]


def test_floats_are_rounded_to_five_digits() -> None:
    """Floats in JSON have five digits, also in lists and dicts."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {}
    runner = make_runner(
        "epoch", 1, model, work_dir="run", meta={"a": 1 / 3, "b": [2 / 3], "c": {"d": 1 / 7}}
    )
    runner.register_hook(TextLoggerHook())
    runner.call_hook("before_run")
    (file,) = Path("run").glob("*.log.json")
    assert json.loads(file.read_text()) == {"a": 0.33333, "b": [0.66667], "c": {"d": 0.14286}}


def line(runner: Any, **output: Any) -> tuple[str, dict[str, Any]]:
    hook = TextLoggerHook()
    runner.log_buffer.output.update(output)
    found = hook.line(runner)
    return hook._text(runner, found), dict(found)


def test_values_that_are_not_floats() -> None:
    """Ints and str are logged unchanged, floats with four digits."""
    runner = make_runner("epoch", 1)
    runner.mode = "val"
    text, found = line(runner, acc=0.51234, n=3, name="abc", eval_iter_num=5)
    assert text == "Epoch(val) [1][5]\tacc: 0.5123, n: 3, name: abc"
    head = {"mode": "val", "epoch": 1, "iter": 5, "lr": 0.1, "global_iter": 0}
    assert found == {**head, "acc": 0.51234, "n": 3, "name": "abc"}


def test_several_optimizers() -> None:
    """Each optimizer's learning rate is shown with its name."""
    model = Scalar()
    optimizers = {name: torch.optim.SGD(model.parameters(), lr=lr) for name, lr in (("a", 0.1), ("b", 2.0))}
    runner = make_runner("epoch", 1, model, optimizer=optimizers)
    runner.mode, runner.data_loader = "train", [1, 2]
    text, found = line(runner)
    assert text == "Epoch [1][1/2]\tlr_a: 1.000e-01 lr_b: 2.000e+00"
    assert found["lr"] == {"a": 0.1, "b": 2.0}


def test_shorter_interval_at_the_end_of_an_epoch(log: Any) -> None:
    """By default a shorter interval at the end of an epoch is not logged."""
    assert len(log("epoch", 1, batches=5, ignore_last=True).text) == 2


def test_shorter_interval_can_be_logged(log: Any) -> None:
    """``ignore_last=False`` logs the last iteration of an epoch."""
    assert log("epoch", 1, batches=5, ignore_last=False, timer=False).text[-1].startswith("Epoch [1][5/5]")


@pytest.mark.parametrize("ignore_last", [True, False])
def test_epoch_shorter_than_the_interval(ignore_last: bool, log: Any) -> None:
    """Its average is logged at its end, once."""
    lines = log("epoch", 2, batches=3, interval=10, ignore_last=ignore_last, timer=False).text
    assert lines == [
        "Epoch [1][3/3]\tlr: 1.000e-01, loss: 1.0000",
        "Epoch [2][3/3]\tlr: 1.000e-01, loss: 1.0000",
    ]


def test_no_training_is_logged_without_an_interval(log: Any) -> None:
    """``interval=-1`` logs no training, however short the epoch is."""
    assert log("epoch", 2, batches=3, interval=-1).text == []


def test_time_left_after_a_short_epoch() -> None:
    """The remaining time counts the iterations of the epoch, not those of the interval."""
    runner, hook = make_runner("epoch", 5), TextLoggerHook(interval=100)
    runner.mode, runner.data_loader, runner._max_iters = "train", [0, 1], 10
    hook.before_run(runner)
    hook.before_epoch(runner)
    runner._iter = runner._inner_iter = 1
    runner.log_buffer.output["time"] = 3.0
    assert "eta: 0:00:24, time: 3.000" in hook._text(runner, hook.line(runner))


def test_counting_over_the_run_in_an_epoch_runner(log: Any) -> None:
    """``by_epoch=False`` counts iterations of the run."""
    lines = log("epoch", 2, by_epoch=False, timer=False, batches=3).text
    assert [text.split("\t")[0] for text in lines] == ["Iter [2/6]", "Iter [4/6]", "Iter [6/6]"]


def test_epochs_do_not_mix(log: Any) -> None:
    """An average does not contain values of the previous epoch."""
    lines = log("epoch", 2, batches=3, timer=False).text
    assert [text.rsplit(" ", 1)[1] for text in lines] == ["0.5000", "0.5000"]


class Keeping(TextLoggerHook):
    """Records the iterations at which it logged, and the output."""

    def __init__(self, interval: int, reset_flag: bool = False) -> None:
        super().__init__(interval=interval, reset_flag=reset_flag)
        self.kept: list[Any] = []

    def log(self, runner: Any) -> None:
        self.kept.append((runner.iter + 1, dict(runner.log_buffer.output)))


def test_last_logger_clears_the_output() -> None:
    """All loggers get the same numbers; the last one clears them."""
    runner, first, last = make_runner("epoch", 1), Keeping(2), Keeping(2)
    runner.register_hook(first)
    runner.register_hook(last)
    runner.run([numbers(4)], [("train", 1)])
    assert first.kept == last.kept == [(2, {"loss": 0.5}), (4, {"loss": 2.5})]
    assert (first.reset_flag, last.reset_flag) == (False, True)
    assert not runner.log_buffer.ready


def test_no_work_dir_no_file(tmp_path: Path) -> None:
    """Without a work directory there is no JSON log."""
    runner = make_runner("epoch", 1)
    runner.register_logger_hooks({"hooks": [{"type": "TextLoggerHook", "interval": 1}]})
    runner.run([numbers(1)], [("train", 1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("done", "left"), [(1, "0:00:27"), (4, "0:00:18")])
def test_time_left(done: int, left: str) -> None:
    """The remaining time is the mean time per iteration so far times the remaining iterations."""
    runner, hook = make_runner("iter", 10), TextLoggerHook(interval=1, by_epoch=False)
    runner.mode = "train"
    hook.before_run(runner)
    for runner._iter in range(done):
        runner.log_buffer.output["time"] = 3.0
        text = hook._text(runner, hook.line(runner))
    assert f"eta: {left}, time: 3.000" in text


def exp_names(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the first words of each line."""
    return [
        line.split("\t")[0] for line in caplog.messages if line.startswith(("Exp name", "Epoch", "Iter ["))
    ]


def test_name_of_the_experiment(log: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged before the last line of an epoch, and at intervals."""
    log("epoch", 1)
    assert exp_names(caplog) == ["Epoch [1][2/4]", "Exp name: mine", "Epoch [1][4/4]"]
    caplog.clear()
    log("iter", 6, interval_exp_name=4)
    assert exp_names(caplog) == ["Iter [2/6]", "Exp name: mine", "Iter [4/6]", "Iter [6/6]"]


def copying(**hook: Any) -> Any:
    """Train for an epoch with a copy of the logs, in a folder with files of an earlier run."""
    runner = make_runner("epoch", 1, work_dir="run", meta={"exp_name": "mine"})
    Path("run/20200101_000000.log").write_text("before")
    Path("run/config.py").write_text("a = 1")
    Path("run/epoch_1.pth").write_text("weights")
    runner.register_logger_hooks({"interval": 1, "hooks": [{"type": "TextLoggerHook", **hook}]})
    runner.run([numbers(2)], [("train", 1)])
    return runner


@pytest.mark.parametrize("out_dir", ["elsewhere", "memory://bucket/logs"])
@pytest.mark.parametrize("keep_local", [True, False])
def test_logs_are_copied(out_dir: str, keep_local: bool) -> None:
    """Files with the suffixes are copied to ``out_dir``; only the logs of this run are removed."""
    runner = copying(out_dir=out_dir, keep_local=keep_local)
    store = FileClient.infer_client(uri=out_dir)
    own = f"{runner.timestamp}.log.json"
    folder = store.join_path(out_dir, "run")
    assert sorted(store.list_dir_or_file(folder)) == ["20200101_000000.log", own, "config.py"]
    lines = store.get_text(store.join_path(folder, own)).splitlines()
    assert [json.loads(line).get("iter") for line in lines] == [None, 1, 2]
    left = {"20200101_000000.log", "config.py", "epoch_1.pth", *([own] if keep_local else [])}
    assert {file.name for file in Path("run").iterdir()} == left


def test_out_suffix() -> None:
    """``out_suffix`` determines which files are copied."""
    copying(out_dir="elsewhere", out_suffix=".py")
    assert [file.name for file in Path("elsewhere/run").iterdir()] == ["config.py"]


def test_failed_copy_keeps_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    """If the copy cannot be written, an error is logged, the files are kept, and the run completes."""
    Path("elsewhere").write_text("a file")
    runner = copying(out_dir="elsewhere", keep_local=False)
    assert runner.iter == 2
    assert Path(f"run/{runner.timestamp}.log.json").is_file()
    assert "cannot be copied to elsewhere" in caplog.text


@pytest.mark.parametrize("out_dir", [".", "{here}", "file://{here}"])
def test_logs_are_not_copied_onto_themselves(out_dir: str) -> None:
    """An ``out_dir`` that is the parent folder of the work directory is refused before the run."""
    with pytest.raises(HookError, match="where the logs are written already"):
        copying(out_dir=out_dir.format(here=Path.cwd()), keep_local=False)
    assert Path("run/config.py").read_text() == "a = 1"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"out_dir": 3}, TypeError),
        ({"file_client_args": {"backend": "disk"}}, ValueError),
        ({"keep_local": False}, ValueError),
        ({"out_dir": "s4://bucket"}, ValueError),
    ],
)
def test_invalid_out_dirs(words: dict[str, Any], error: type[Exception]) -> None:
    """An invalid ``out_dir``, and settings for it without one, are refused."""
    with pytest.raises(error):
        TextLoggerHook(**words)


@pytest.mark.parametrize(
    ("kind", "length", "evaluated", "expected"),
    [
        ("epoch", 2, 1, [("train", 2), ("train", 4), ("val", 4), ("val", 4)]),
        ("iter", 8, 3, [("train", 2), ("val", 3), ("train", 4), ("val", 4)]),
    ],
)
def test_every_json_line_has_the_complete_training_iterations(
    kind: str, length: int, evaluated: int, expected: list[tuple[str, int]]
) -> None:
    """Lines of the training, of an evaluation and of a val flow have the same axis in both runners."""
    runner = make_runner(kind, length, work_dir="run", meta={})
    runner.register_logger_hooks({"interval": 2, "hooks": [{"type": "TextLoggerHook"}]})
    runner.register_hook(
        EvalHook(Scores(), test_fn=lambda model, loader: [0], interval=evaluated, by_epoch=kind == "epoch"),
        "LOW",
    )
    times = 1 if kind == "epoch" else 4
    runner.run([numbers(4)] * 2, [("train", times), ("val", times)])
    (file,) = Path("run").glob("*.log.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert [(line["mode"], line["global_iter"]) for line in lines][: len(expected)] == expected
    assert lines[-1]["global_iter"] == 8
    assert [key for key in lines[0] if key != "global_iter"][:4] == ["mode", "epoch", "iter", "lr"]


def test_an_initial_evaluation_is_before_the_first_iteration() -> None:
    """Its line is written with those of the first iteration, and still says that none was complete."""
    runner = make_runner("iter", 2, work_dir="run", meta={})
    runner.register_logger_hooks({"interval": 2, "hooks": [{"type": "TextLoggerHook"}]})
    runner.register_hook(
        EvalHook(Scores(), test_fn=lambda model, loader: [0], start=0, interval=1, by_epoch=False), "LOW"
    )
    runner.run([numbers(4)], [("train", 1)])
    (file,) = Path("run").glob("*.log.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    found = [(line["mode"], line["global_iter"]) for line in lines]
    assert found == [("val", 0), ("val", 1), ("train", 2), ("val", 2)]


@pytest.mark.parametrize(
    ("kind", "args", "text"),
    [
        ("epoch", {"interval": 0}, "with interval=0, TextLoggerHook logs nothing of the training."),
        ("iter", {"interval": -1}, "with interval=-1, TextLoggerHook logs nothing of the training."),
        ("epoch", {"interval": 4}, None),
        ("epoch", {"interval": 4, "by_epoch": False}, None),
        ("epoch", {"interval": 4, "ignore_last": False}, None),
        ("iter", {"interval": 4, "by_epoch": False}, "logs nothing of the training: the run has 2 iterations."),
        ("epoch", {"interval": 3}, None),
    ],
)  # fmt: skip
def test_interval_without_a_line(
    kind: str, args: dict[str, Any], text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """An interval that gives no line of the training is a warning before the run."""
    runner = make_runner(kind, 2)
    runner.register_hook(TextLoggerHook(**args))
    runner.run([numbers(3)], [("train", 1)])
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == (text is not None)
    assert text is None or warned[0].endswith(text)


def test_interval_below_minus_one() -> None:
    """-1 keeps MMCV's meaning; what is below has none."""
    with pytest.raises(
        ArgumentError, match="interval must be a positive int, or -1 for no log of the training, not -2"
    ):
        TextLoggerHook(interval=-2)
