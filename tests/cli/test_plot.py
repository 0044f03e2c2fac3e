"""``cfgtrain plot``."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_logs import META, train, val, write_log, write_run

from cfgtrain.experiment.history import Point
from cfgtrain_cli.plot import _smoothed

Run = Callable[..., Any]


def braille(text: str) -> bool:
    return any(0x2800 < ord(character) < 0x2900 for character in text)


def test_one_run(run: Run) -> None:
    """The loss and the scores are plotted, with the length of the run and the best scores."""
    done = run("plot", write_run("work_dirs/toy"))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "toy: 2 epochs, 20 iterations"
    assert [line for line in lines if line and line[0] not in " t"] == ["loss", "accuracy"]
    assert [line.split() for line in lines if "iteration " in line[:12]] == 2 * [
        ["iteration", "0", "5", "10", "15", "20"]
    ]
    assert [line.split() for line in lines if "epoch " in line[:12]] == 2 * [["epoch", "0", "1", "2"]]
    assert "            ━a━ 3 → 1  train" in lines
    assert "            ━b━ 2.5 → 1.25, best 1.25 (epoch 2)  val" in lines
    assert "            ━━ 0.25 → 0.5, best 0.5 (epoch 2)  val" in lines
    assert braille(done.out)
    assert max(map(len, lines)) <= 80


def test_a_curve_is_drawn_where_it_has_values(run: Run) -> None:
    """A curve begins and ends at its first and last value, and a single value is one point."""
    write_log("a", META, train(1, 50, 2.0, 50), train(1, 100, 1.0, 100))
    write_log("b", META, train(1, 25, 2.0, 25))
    shown = run("plot", "a", "--keys", "loss").out.splitlines()
    rows = [line[12:] for line in shown if "┤" in line or "│" in line]
    assert [row[:33].strip() for row in rows] == [""] * 10
    assert all(row[34:].strip() for row in rows[:1])
    shown = run("plot", "a", "b", "--keys", "loss").out.splitlines()
    rows = [line[12:] for line in shown if "┤" in line or "│" in line]
    assert rows[0][17] == "b"
    assert "            ━b━ 2  b" in shown


def test_several_runs(run: Run) -> None:
    """Curves are labelled with the shortest distinct parts of the paths."""
    write_run("one/toy")
    write_run("two/toy", accuracy=0.75)
    done = run("plot", "one/toy", "two/toy")
    assert (done.code, done.err) == (0, "")
    labels = [line.rpartition("  ")[2] for line in done.out.splitlines() if "━ " in line]
    both = ["one/toy train", "one/toy val", "two/toy train", "two/toy val"]
    assert labels == [*both, "one/toy", "two/toy"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--keys", "lr", "val/loss"],
        ["--keys", "lr", "val/loss", "run"],
        ["--keys=lr", "run", "--keys", "val/loss"],
    ],
)
def test_keys(words: list[str], run: Run) -> None:
    """``--keys`` takes words up to an option or a folder; a mode before a name selects its curve alone."""
    write_run("run")
    done = run("plot", *words, "--json")
    assert done.code == 0, done.err
    curves = json.loads(done.out)["runs"][0]["curves"]
    assert [(curve["key"], curve["mode"]) for curve in curves] == [("lr", "train"), ("val/loss", "val")]


def test_json(run: Run) -> None:
    """The curves as data; a value that is not finite is null, as JSON has none."""
    write_log("run", META, train(1, 5, 2.0, 5), train(1, 10, float("nan"), 10), train(2, 5, 1.0, 15))
    done = run("plot", "run", "--json", "--keys", "loss", "--smooth", "0.5")
    assert json.loads(done.out) == {
        "runs": [
            {
                "label": "run",
                "work_dir": "run",
                "iters_per_epoch": 10,
                "curves": [
                    {
                        "key": "loss",
                        "mode": "train",
                        "iters": [5, 10, 15],
                        "epochs": [0.5, 1.0, 1.5],
                        "values": [2.0, None, pytest.approx(4 / 3)],
                    }
                ],
            }
        ]
    }
    shown = run("plot", "run", "--keys", "loss")
    assert "2 → 1, 1 not finite" in shown.out


def test_smoothing() -> None:
    """The moving average is that of the formula, without a bias to zero at the start."""
    values = [3.0, 1.0, 2.0]
    points = [Point(i, None, value) for i, value in enumerate(values)]
    weight, average, expected = 0.9, 0.0, []
    for count, value in enumerate(values, 1):
        average = weight * average + (1 - weight) * value
        expected.append(average / (1 - weight**count))
    assert [point.value for point in _smoothed(points, weight)] == pytest.approx(expected)
    assert expected[0] == pytest.approx(3.0)
    assert _smoothed(points, 0.0) == points


def test_smoothing_changes_the_training_alone(run: Run) -> None:
    """Scores and learning rates are shown as they are."""
    write_run("run")
    shown = [
        json.loads(run("plot", "run", "--json", "--keys", "loss", "lr", *words).out)["runs"][0]["curves"]
        for words in ([], ["--smooth", "0.9"])
    ]
    same = {(a["key"], a["mode"]): a["values"] == b["values"] for a, b in zip(*shown, strict=True)}
    assert same == {("loss", "train"): False, ("loss", "val"): True, ("lr", "train"): True}


def test_by_epoch(run: Run) -> None:
    """``--by epoch`` counts epochs; runs that have none are left out, or an error if there are no others."""
    write_run("a")
    log = "2026-01-02 03:04:05,000 - cfgtrain - INFO - Iter [5/20]\tlr: 0.1\n"
    write_log("b", META, train(1, 5, 1.0, 5), text=log)
    done = run("plot", "a", "b", "--by", "epoch", "--keys", "loss")
    assert done.code == 0
    assert "Left out: b has no epochs in its logs." in done.err
    assert ["epoch", "0", "1", "2"] in [line.split() for line in done.out.splitlines()]
    assert " iteration " not in done.out
    done = run("plot", "b", "--by", "epoch")
    assert done.code == 2
    assert "plot by iterations, --by iter" in done.err


@pytest.mark.parametrize("words", [[], ["--by", "epoch"], ["--keys", "val/loss"]])
def test_picture(words: list[str], run: Run, tmp_path: Path) -> None:
    """``-o`` also saves the plot as a picture."""
    for name in "ab":
        write_run(name)
    done = run("plot", "a", "b", "-o", "curves.png", *words)
    assert done.code == 0, done.err
    assert done.out.endswith("Saved the plot to curves.png.\n")
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"


def test_unknown_key(run: Run) -> None:
    """The message has a suggestion and the keys that there are; a key of one run alone is a warning."""
    write_run("a")
    write_log("b", META, train(1, 5, 1.0, 5, grad_norm=0.5))
    done = run("plot", "a", "b", "--keys", "acuracy")
    assert (done.code, done.out) == (2, "")
    text = " ".join(done.err.split())
    assert (
        "No run logs 'acuracy'. The keys are, in train: lr, loss, time, grad_norm; val: accuracy, loss."
        in text
    )
    assert "Did you mean 'accuracy'" in text
    done = run("plot", "a", "b", "--keys", "grad_norm")
    assert done.code == 0
    assert "a logs no grad_norm." in done.err


def test_many_scores(run: Run) -> None:
    """Without ``--keys`` four scores are plotted, and the others are named."""
    write_log("run", META, val(1, 10, **{f"mAP_{i}": i / 10 for i in range(6)}))
    done = run("plot", "run")
    assert done.code == 0
    assert "Not plotted: mAP_4, mAP_5. Choose with --keys." in done.err
    assert "\nmAP_3\n" in done.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["none"], "The folder none does not exist."),
        (["empty"], "it has no *.log.json file"),
        (["run", "run"], "The same run is given twice: run."),
        (["run", "--keys"], "--keys needs the names"),
        (["run", "--keys", "-o", "x.png"], "--keys needs the names"),
        (["run", "-o", "curves.gif"], "not as 'curves.gif'"),
        (["run", "--smooth", "1"], "--smooth"),
        (["run", "--by", "hour"], "--by"),
        ([], "WORK_DIR"),
    ],
)
def test_wrong_usage(words: list[str], text: str, run: Run) -> None:
    """Wrong words are one message and exit code 2, before anything is printed."""
    Path("empty").mkdir()
    write_run("run")
    done = run("plot", *words)
    assert (done.code, done.out) == (2, "")
    assert text in " ".join(done.err.split())


def test_folders_without_logs_among_others(run: Run) -> None:
    """With ``work_dirs/*``, folders without anything to plot are left out with a warning; a typo is an error."""
    write_run("a")
    Path("b").mkdir()
    done = run("plot", "a", "b")
    assert done.code == 0
    assert "Left out: b is not the work directory of a run" in done.err
    assert run("plot", "a", "c").code == 2
    assert run("compare", "b").code == 2


def test_real_run(run: Run, small: Path) -> None:
    """A run of ``cfgtrain train`` that is resumed is one curve."""
    words = ["train", small, "--work-dir", "run"]
    assert run(*words).code == 0
    assert run(*words, "--resume", "auto", "--cfg-options", "runner.max_epochs=2").code == 0
    done = run("plot", "run", "--json")
    (content,) = json.loads(done.out)["runs"]
    assert (done.err, content["iters_per_epoch"]) == ("", 17)
    iters = {(curve["key"], curve["mode"]): curve["iters"] for curve in content["curves"]}
    assert iters["loss", "train"] == [8, 16, 25, 33]
    assert iters["accuracy", "val"] == [17, 34]


ODD = [
    0,
    1,
    -1,
    10**400,
    10**14,
    1.5,
    float("nan"),
    float("inf"),
    1e308,
    -1e308,
    None,
    True,
    "x",
    [],
    {"a": 1},
]
NAMES = ["mode", "epoch", "iter", "global_iter", "lr", "loss", "acc", "date", "result", "reason", "seed"]
CONFIGS = ["runner = dict(max_epochs='x')", "runner = 5", "evaluation = 3", "runner = dict(max_epochs=True)",
           "evaluation = dict(rule='less', save_best='auto', greater_keys=3)"]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_damaged_logs(seed: int, run: Run) -> None:
    """Whatever the lines of a log are, they are read or left out, or the log is refused."""
    chosen = random.Random(seed)
    for number in range(chosen.randint(1, 3)):
        lines = []
        for _ in range(chosen.randint(1, 8)):
            line = {name: chosen.choice(ODD) for name in NAMES if chosen.random() < 0.5}
            if chosen.random() < 0.8:
                line["mode"] = chosen.choice(["train", "val", "test", "end", "warning"])
            if chosen.random() < 0.7:
                line |= {
                    "iter": chosen.randint(0, 20),
                    "epoch": chosen.randint(0, 4),
                    "loss": chosen.random(),
                }
            if chosen.random() < 0.4:
                line["global_iter"] = chosen.randint(0, 60)
            lines.append(line)
        write_log("run", *lines, stamp=f"2026010{number + 1}_030405")
    Path("run/toy.py").write_text(chosen.choice(CONFIGS))
    commands = [
        ["plot"],
        ["plot", "--by", "epoch", "--smooth", "0.5"],
        ["plot", "--json"],
        ["compare"],
        ["compare", "--json"],
    ]
    for name, *words in commands:
        done = run(name, "run", *words)
        assert done.code in (0, 2)
        if "--json" in words and done.code == 0:
            json.loads(done.out, parse_constant=pytest.fail)
