"""``cfgtrain test``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the work directory of the run that the tests share."""
    return tmp_path_factory.mktemp("finished") / "work_dirs"


@pytest.fixture
def trained(small: Path, run: Run, finished: Path) -> Path:
    """A config that was trained for two epochs, in work_dirs/small."""
    if not finished.exists():
        done = run("train", small, "--cfg-options", "runner.max_epochs=2", "data.samples_per_gpu=128")
        assert done.code == 0, done.err
        shutil.copytree("work_dirs", finished, symlinks=True)
    else:
        shutil.copytree(finished, "work_dirs", symlinks=True)
    return small


def test_the_best_checkpoint_is_tested(trained: Path, run: Run) -> None:
    """Without a checkpoint it is the best one, with the score that the training ended with."""
    (log,) = Path("work_dirs/small").glob("*.log.json")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (event,) = [each for each in events if each.get("mode") == "test"]
    best = Path(event["checkpoint"]).name
    done = run("test", trained)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"accuracy  {event['accuracy']:.4f}",
        "",
        f"Tested {best}, the best one, on the 355 samples of data.test.",
    ]
    assert run("test", "work_dirs/small").out == done.out


def test_a_work_directory_may_have_been_moved(trained: Path, run: Run) -> None:
    """The checkpoint is that of the folder that is named, and not of the work_dir in the config there."""
    Path("work_dirs/small").rename("moved")
    done = run("test", "moved")
    assert done.code == 0, done.err
    assert "the best one, on the 355 samples of data.test." in done.out


def test_the_last_checkpoint_is_tested(small: Path, run: Run) -> None:
    """It is the last checkpoint if there is no best one, or if that is damaged, which is a warning."""
    assert run("train", small, "--cfg-options", "data.samples_per_gpu=256").code == 0
    (best,) = Path("work_dirs/small").glob("best_*.pth")
    best.write_bytes(best.read_bytes()[:-20])
    damaged = run("test", small)
    assert "The best checkpoint cannot be used" in damaged.err
    best.unlink()
    gone = run("test", small)
    for done in (damaged, gone):
        assert "Tested epoch_1.pth, the last one" in done.out


def test_metrics_of_the_command_line(trained: Path, run: Run) -> None:
    """--metrics takes names in place of the evaluation of the config; the table of the classes is within 80 columns."""
    done = run(
        "test", trained, "--metrics", "Accuracy", "F1", "ConfusionMatrix", "work_dirs/small/epoch_2.pth"
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["accuracy", "f1"]
    assert lines[3].split() == ["class", "samples", "accuracy", "f1"]
    assert [line.split()[0] for line in lines[4:14]] == list("0123456789")
    assert lines[15].startswith("true \\ predicted")
    assert lines[-1] == "Tested epoch_2.pth, on the 355 samples of data.test."
    assert max(map(len, lines)) <= 80


def test_results_as_json(trained: Path, run: Run, tmp_path: Path) -> None:
    """--out and --json have the scores, also of the classes, and what was tested."""
    words = ("--metrics", "Accuracy", "ConfusionMatrix", "--out", tmp_path / "new" / "x.json", "--json")
    done = run("test", trained, *words)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert json.loads((tmp_path / "new" / "x.json").read_text()) == result
    assert (result["dataset"], result["samples"], result["epoch"]) == ("test", 355, 2)
    assert Path(result["checkpoint"]).is_file()
    assert result["config"] == str(trained)
    matrix = torch.tensor(result["scores"]["confusion_matrix"])
    assert result["scores"]["accuracy"] == pytest.approx(float(matrix.trace() / matrix.sum()))
    assert [each["name"] for each in result["classes"]] == list("0123456789")
    assert [each["samples"] for each in result["classes"]] == matrix.sum(dim=1).tolist()


def test_only_the_model_and_the_test_data_are_needed(
    trained: Path, run: Run, write: Callable[[str, str], Path], configs: Path
) -> None:
    """A config without training data, optimizer and runner can be tested; without test data, val is used."""
    base = configs / "_base_"
    text = f"_base_ = [{str(base / 'models/lenet5.py')!r}, {str(base / 'datasets/digits.py')!r}]\n"
    config = write("only.py", text + "data = dict(train=None, test=None)\nevaluation = None\n")
    done = run("test", config, "work_dirs/small/epoch_2.pth")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [
        "Tested epoch_2.pth, on the 359 samples of data.val.",
        "There is no data.test.",
    ]


# arguments, exit code, text
MISTAKES: list[tuple[list[str], int, str]] = [
    (["nothing.pth"], 1, "There is no checkpoint nothing.pth."),
    (["work_dirs/small"], 1, "The checkpoint work_dirs/small is a folder. Leave it out to test the best"),
    (["--work-dir", "elsewhere"], 1, "There is no work directory"),
    (["--work-dir", "."], 1, "contains no intact checkpoint of a run. Train first"),
    (["--metrics", "Acuracy"], 2, "Did you mean 'Accuracy'?\n  at evaluation.metrics (--metrics Acuracy)"),
    (["--metrics"], 2, "--metrics needs the names of metrics"),
    (["--metrics", "MAE"], 2, "MAE needs one prediction per target"),
    (["--out", "."], 2, "--out is a file, such as results.json, and . is a folder"),
    (["--device", "cuda:99"], 2, "'cuda:99' is not"),
    (["--cfg-options", "data.test=None", "data.val=None"], 2, "data has neither 'test' nor 'val'"),
    (["--cfg-options", "data.test.split=tset"], 2, "at data.test.split"),
    (["--cfg-options", "evaluation.metric=acuracy"], 2, "Did you mean 'accuracy'?"),
    (["--cfg-options", "model.backbone.num_classes=9"], 1, "backbone.classifier.2.bias    (9,)          (10,)"),
]  # fmt: skip


def test_mistakes(trained: Path, run: Run) -> None:
    """Each mistake is one message with what would be right, and nothing is printed or written."""
    for words, code, text in MISTAKES:
        done = run("test", trained, *words)
        assert done.code == code, (words, done.err)
        assert text in done.err, words
        assert done.out == ""


def test_weights_of_another_program(trained: Path, run: Run) -> None:
    """A file of torch.save(model.state_dict()) is tested too; a file that is not a checkpoint is an error."""
    weights = torch.load("work_dirs/small/epoch_2.pth", weights_only=True)["state_dict"]
    torch.save(weights, "weights.pth")
    expected = run("test", trained, "work_dirs/small/epoch_2.pth").out.splitlines()[0]
    assert run("test", trained, "weights.pth").out.splitlines()[0] == expected
    Path("text.pth").write_text("not a checkpoint")
    done = run("test", trained, "text.pth")
    assert done.code == 1
    assert "text.pth" in done.err


def test_closing_lines_of_a_training(small: Path, run: Run) -> None:
    """They name the commands that use the model, with a config that has the settings of the command line."""
    short = ["--cfg-options", "data.samples_per_gpu=256"]
    lines = run("train", small, "--work-dir", "w", *short).out.splitlines()
    best = next(Path("w").glob("best_*.pth"))
    assert f"  cfgtrain test w/small.py {best}" in lines
    assert f"  cfgtrain predict w/small.py {best} INPUT" in lines
    assert run("test", "w/small.py", best).code == 0
    lines = run("train", small).out.splitlines()
    assert any(line.startswith(f"  cfgtrain test {small} work_dirs/small/best_") for line in lines)


TABLES = """
parts = dict(train="train.csv", val="test.csv", test="test.csv")
data = dict(samples_per_gpu=16, **{
    part: dict(type="Table", path=path, targets=["price"]) for part, path in parts.items()
})
model = dict(
    type="SupervisedModel", loss="MSELoss",
    net=[dict(type="torch.nn.Linear", in_features=1, out_features=1)],
)
optimizer = dict(type="SGD", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=3)
evaluation = dict(metrics=["MAE", "R2"], save_best="mae")
"""


def test_the_training_data_does_not_have_to_exist(run: Run, tmp_path: Path) -> None:
    """What the test dataset needs of the training data is in the checkpoint; scores are in the units of the table."""
    for name, start in (("train.csv", 0), ("test.csv", 50)):
        rows = [f"{i},{1000 * i + 5}" for i in range(start, start + 100)]
        Path(name).write_text("\n".join(["area,price", *rows, ""]))
    Path("table.py").write_text(TABLES)
    done = run("train", "table.py")
    assert done.code == 0, done.err
    expected = done.out.partition("Test: ")[2].split(" on ")[0]
    Path("train.csv").unlink()
    tested = run("test", "table.py", "--json")
    assert tested.code == 0, tested.err
    scores = json.loads(tested.out)["scores"]
    assert expected == f"mae {scores['mae']:.4f}, r2 {scores['r2']:.4f}"
    assert 0 < scores["mae"] < 20_000
    Path("test.csv").rename("tests.csv")
    missing = run("test", "table.py")
    assert missing.code == 2
    assert "Did you mean 'tests.csv'?\n  at data.test.path" in missing.err
