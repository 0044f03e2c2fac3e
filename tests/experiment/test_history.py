from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from run_logs import CONFIG, META, MMCV_META, train, val, write_log, write_run

import cfgtrain
from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.history import Point, labels_of, read_run


def places(run: object, mode: str = "train", key: str = "loss") -> list[tuple[int, float | None, float]]:
    return [tuple(point) for point in run.points(mode, key)]  # type: ignore[attr-defined]


def test_a_run() -> None:
    """Curves, scores, the end, the length and the time of a run are read from its logs and its config."""
    run = read_run(write_run("run", "runner = dict(type='EpochBasedRunner', max_epochs=2)\nseed = 3\n"))
    assert places(run) == [(5, 0.5, 3.0), (10, 1.0, 2.0), (15, 1.5, 1.5), (20, 2.0, 1.0)]
    assert places(run, "val", "accuracy") == [(10, 1.0, 0.25), (20, 2.0, 0.5)]
    assert run.keys("train") == ["lr", "loss", "time"]
    assert run.scores() == ["accuracy", "loss"]
    assert (run.best("accuracy"), run.best("loss")) == (Point(20, 2.0, 0.5), Point(20, 2.0, 1.25))
    assert (run.iters, run.epochs, run.iters_per_epoch, run.length) == (20, 2.0, 10, (2, "epochs"))
    assert (run.state, run.reason) == ("finished", "all of its 2 epochs are trained")
    assert run.test_scores == {"accuracy": 0.375}
    assert run.seconds == 3670.0
    assert run.meta["seed"] == 3
    assert not run.notes


def test_reading_logs_needs_no_torch() -> None:
    """Logs are read in a fraction of the time that torch takes to load."""
    write_run("run")
    code = (
        "import sys; from cfgtrain.experiment.history import read_run; "
        "read_run('run').best('accuracy'); print('torch' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "False\n"


def test_a_resumed_run_is_one_curve() -> None:
    """What a start trains again counts once, as the later start logged it, and evaluations before it stay."""
    write_log(
        "run", META, train(1, 4, 3.0, 4), train(1, 8, 2.0, 8), val(1, 10, acc=0.5), train(2, 4, 1.5, 14)
    )
    again = [train(2, 2, 1.75, 12), train(2, 6, 1.25, 16), val(2, 20, acc=0.75)]
    write_log("run", {**META, "iter": 10, "epoch": 1}, *again, stamp="20260102_040000")
    run = read_run("run")
    assert places(run) == [(4, 0.4, 3.0), (8, 0.8, 2.0), (12, 1.2, 1.75), (16, 1.6, 1.25)]
    assert places(run, "val", "acc") == [(10, 1.0, 0.5), (20, 2.0, 0.75)]
    assert len(run.starts) == 2


def test_a_new_run_in_the_same_folder_replaces_the_old_one() -> None:
    """A start that does not resume begins at iteration 0, even if it logs later than the old run did."""
    write_log("run", META, train(1, 4, 3.0, 4), train(1, 8, 2.0, 8))
    write_log("run", META, train(1, 6, 9.0, 6), stamp="20260102_030405_2")
    assert places(read_run("run")) == [(6, None, 9.0)]


def test_a_start_without_lines_replaces_nothing() -> None:
    """A start that failed at once leaves the curve and the test scores, and its end is the end of the run."""
    write_run("run")
    end = {"mode": "end", "result": "failed", "reason": "ValueError: x", "date": "2026-01-03 00:00:09"}
    write_log("run", META, end, stamp="20260103_000000")
    run = read_run("run")
    assert len(places(run)) == 4
    assert run.test_scores == {"accuracy": 0.375}
    assert (run.state, run.reason, run.seconds) == ("failed", "ValueError: x", 3679.0)


def test_starts_are_ordered_by_their_numbers() -> None:
    """The tenth log of one second comes after the second."""
    for number in (2, 10):
        write_log("run", META, train(1, 5, float(number), 5), stamp=f"20260102_030405_{number}")
    write_log("run", META, train(1, 5, 1.0, 5))
    assert [start.records[0].values["loss"] for start in read_run("run").starts] == [1.0, 2.0, 10.0]


def test_an_epoch_of_another_length() -> None:
    """If the length of an epoch changes when a run is resumed, each start counts its own epochs."""
    write_log("run", META, train(1, 10, 3.0, 10), train(2, 10, 2.0, 20))
    write_log(
        "run", {**META, "iter": 20}, train(3, 20, 1.5, 40), train(4, 10, 1.0, 50), stamp="20260103_000000"
    )
    run = read_run("run")
    assert [epoch for _, epoch, _ in places(run)] == [1.0, 2.0, 3.0, 3.5]
    assert (run.epochs, run.iters_per_epoch) == (3.5, None)


@pytest.mark.parametrize(
    ("text", "length", "note"),
    [
        ("2021-01-01 10:00:30,123 - mmdet - INFO - Epoch [1][50/120]\tlr: 1.000e-01, eta: 0:01\n", 120, None),
        (None, 100, "taken to be 100 iterations"),
    ],
)
def test_mmcv_logs_by_epoch(text: str | None, length: int, note: str | None) -> None:
    """In MMCV's logs, iterations are counted over the run with the length of an epoch from the text log."""
    lines = [
        train(epoch, inner, 3.0 - epoch - inner / 100, memory=1000) for epoch in (1, 2) for inner in (50, 100)
    ]
    lines = [*lines[:2], val(1, bbox_mAP=0.25), *lines[2:], val(2, bbox_mAP=0.125)]
    write_log("run", MMCV_META, *lines, stamp="20210101_100000", text=text)
    run = read_run("run")
    assert [done for done, _, _ in places(run)] == [50, 100, length + 50, length + 100]
    assert places(run, "val", "bbox_mAP") == [(length, 1.0, 0.25), (2 * length, 2.0, 0.125)]
    assert run.best("bbox_mAP") == Point(length, 1.0, 0.25)
    assert run.seconds == (None if text is None else 30.0)
    assert [note is not None and note in each for each in run.notes] == ([] if note is None else [True])


def test_mmcv_logs_by_iteration() -> None:
    """Where MMCV counts iterations, an evaluation is placed at the training line before it."""
    lines = [train(1, 50, 3.0), train(1, 100, 2.0), val(1, mIoU=0.5), train(2, 150, 1.0)]
    write_log("run", MMCV_META, *lines)
    Path("run/seg.py").write_text("runner = dict(type='IterBasedRunner', max_iters=150)\n")
    run = read_run("run")
    assert places(run) == [(50, None, 3.0), (100, None, 2.0), (150, None, 1.0)]
    assert places(run, "val", "mIoU") == [(100, None, 0.5)]
    assert (run.epochs, run.state) == (None, "finished")


def test_a_cut_line_is_left_out() -> None:
    """The cut last line of a killed run is a note, and its state is not known."""
    file = write_log("run", META, train(1, 5, 3.0, 5), '{"mode": "train", "epoch": 1, "it')
    Path("run/toy.py").write_text(CONFIG + "runner = dict(max_epochs=2)\n")
    run = read_run("run")
    assert places(run) == [(5, None, 3.0)]
    assert run.notes == [f"{file}: the last line is cut off, and left out."]
    assert (run.state, run.reason) == ("unknown", "")


def test_damaged_lines_are_left_out() -> None:
    """Lines that are not JSON objects, or lack the place in the run, do not stop the reading."""
    write_log("run", META, "]\n", "\x00\n", "5\n", {"mode": "train", "epoch": "x"}, train(1, 5, 3.0, 5))
    run = read_run("run")
    assert len(places(run)) == 1
    assert "3 lines are not JSON objects, and left out: 2, 3, 4." in run.notes[0]


def test_values_that_are_not_finite_are_never_the_best() -> None:
    """They are read, as Python writes them, and any finite score is better."""
    write_log("run", META, val(1, 10, acc=float("nan")), val(2, 20, acc=0.5), val(3, 30, acc=float("inf")))
    run = read_run("run")
    assert [str(value) for _, _, value in places(run, "val", "acc")] == ["nan", "0.5", "inf"]
    assert run.best("acc") == Point(20, None, 0.5)


def test_rules_of_the_config() -> None:
    """The config says which score is better where its name does not."""
    lines = [val(1, 10, rank=3.0, cost=1.0, error=2.0), val(2, 20, rank=4.0, cost=2.0, error=1.0)]
    write_log("run", META, *lines)
    Path("run/toy.py").write_text("evaluation = dict(save_best='auto', rule='less', greater_keys='cost')\n")
    run = read_run("run")
    assert (run.best("rank"), run.best("cost")) == (Point(10, None, 3.0), Point(20, None, 2.0))
    assert run.best("error") is None


def test_learning_rates_of_several_optimizers() -> None:
    """They are curves of their own; texts, lists and booleans are no values."""
    write_log("run", META, train(1, 5, 1.0, 5, note="x", many=[1], flag=True) | {"lr": {"g": 0.5, "d": 0.25}})
    assert read_run("run").keys("train") == ["lr_g", "lr_d", "loss", "time"]


def test_one_log_file() -> None:
    """A log file can be read in place of its folder."""
    write_log("run", META, train(1, 5, 3.0, 5))
    file = write_log("run", META, train(1, 5, 2.0, 5), stamp="20250101_000000")
    assert places(read_run(file)) == [(5, None, 2.0)]


def test_folders_that_are_no_runs() -> None:
    """Each message says what is wrong, and where there may be a run."""
    write_run("work_dirs/a")
    Path("empty").mkdir()
    Path("notes.txt").touch()
    write_log("begun", META)
    write_log("blank")
    write_log("failed", META, {"mode": "end", "result": "failed", "reason": "OSError: no data"})
    write_log("other", {"step": 1, "loss": 2.0}, "[1]\n")
    for path, text in [
        ("none", "The folder none does not exist."),
        ("work_dirs/b", "The folder work_dirs/b does not exist."),
        ("empty", "empty is not the work directory of a run: it has no *.log.json file"),
        ("work_dirs", "Did you mean 'work_dirs/a'?"),
        ("notes.txt", "it is a file whose name does not end in .log.json"),
        ("begun", "begun: no training or validation line is logged yet. It may have just begun"),
        ("blank", "blank: no training or validation line is logged yet."),
        ("failed", "The run ended before its first line: OSError: no data"),
        ("other", "other: not a log of cfgtrain or MMCV: no line has a mode"),
    ]:
        with pytest.raises(ArgumentError) as caught:
            read_run(path)
        assert text in str(caught.value)


def test_configs_that_cannot_be_read() -> None:
    """The curves are shown even if the config is missing, ambiguous or wrong."""
    for name, text in (("one", None), ("two", "raise RuntimeError('x')"), ("three", "a = 1")):
        write_log(name, META, train(1, 5, 3.0, 5))
        if text is not None:
            Path(name, "a.py").write_text(text)
    Path("three/b.py").touch()
    assert read_run("one").config_problem == "The folder one holds no config."
    assert read_run("two").config_problem == "The config in two cannot be read: RuntimeError: x"
    assert "holds 2 configs: a.py, b.py" in read_run("three").config_problem


def test_a_config_is_not_executed_if_it_is_the_printed_one() -> None:
    """A config of literals is read without running it; one with code is run, as by every other command."""
    write_run("run", "a = dict(b=(1, 2), c=float('inf'))\n")
    assert read_run("run").config == {"a": {"b": (1, 2), "c": float("inf")}}
    Path("run/toy.py").write_text("a = 1 + 1\n")
    assert read_run("run").config == {"a": 2}


def test_a_run_that_another_process_trains() -> None:
    """While its process holds the lock of the folder, a run is running."""
    write_run("run")
    code = (
        "import sys; from pathlib import Path; from cfgtrain.filesystem.lock import locked_folder\n"
        "with locked_folder(Path('run')): print(flush=True); sys.stdin.read()"
    )
    path = str(Path(cfgtrain.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": path}
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert read_run("run").state == "running"
        other.communicate()
    assert read_run("run").state == "finished"


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["runs/a"], ["a"]),
        (["runs/a", "runs/b"], ["a", "b"]),
        (["x/run/one", "y/run/one", "y/two"], ["x/run/one", "y/run/one", "two"]),
        (["a/1.log.json", "b"], ["1", "b"]),
        (["a", "x/a"], ["{cwd}/a", "x/a"]),
    ],
)
def test_labels(paths: list[str], labels: list[str], tmp_path: Path) -> None:
    """A label is the shortest end of the path that is distinct."""
    expected = [label.replace("{cwd}", tmp_path.name) for label in labels]
    assert labels_of([Path(path) for path in paths]) == expected


def test_one_run_twice() -> None:
    """A folder that is given twice, also by another path, is an error with both."""
    with pytest.raises(ArgumentError, match=r"The same run is given twice: a and b/\.\./a\."):
        labels_of([Path("a"), Path("b/../a")])
    with pytest.raises(ArgumentError, match=r"twice: a\."):
        labels_of([Path("a"), Path("a")])


def test_numbers_round_trip() -> None:
    """A large log is read line by line, and its order is that of the file."""
    write_log("run", META, *(train(1, i, float(i), i) for i in range(1, 2001)))
    run = read_run("run")
    assert [value for _, _, value in places(run)] == [float(i) for i in range(1, 2001)]
    assert json.dumps(run.iters) == "2000"
