from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import MODELS
from cfgtrain.data.datasets.digits import Digits
from cfgtrain.registries import DATASETS

Run = Callable[..., Any]
PER_CLASS = 2


@pytest.fixture
def words(trained_digits: Path) -> list[str]:
    """The command with a work directory and a checkpoint; the folder ``digits`` has two pictures of each digit."""
    dataset = Digits("test")
    labels = [int(label) for label in dataset.labels]
    for i, label in enumerate(labels):
        number = labels[:i].count(label)
        if number < PER_CLASS:
            path = Path("digits") / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), dataset.images[i])
    return ["predict", str(trained_digits), str(trained_digits / "latest.pth")]


def test_table(run: Run, words: list[str]) -> None:
    """A line for each picture: class, probability and the next classes; most are right, and nothing is written."""
    before = sorted(Path().rglob("*"))
    done = run(*words, "digits", "--topk", 3)
    assert (done.code, done.err) == (0, "")
    header, *lines, summary = done.out.splitlines()
    assert header.split() == ["input", "class", "score", "next"]
    assert len(lines) == 20
    correct = 0
    for line in lines:
        path, name, score, *following = line.split()
        correct += Path(path).parent.name == name
        assert 10 < float(score.rstrip("%")) <= 100
        assert len(following) == 4  # two classes with their probabilities
    assert correct >= 15
    assert summary.startswith("Predicted 20 images with ")
    assert sorted(Path().rglob("*")) == before


def test_json(run: Run, words: list[str]) -> None:
    """The output is one JSON document with the classes in the order of their scores."""
    done = run(*words, "digits/7/*.png", "digits/1/0.png", "--json", "--topk", 2, "--batch-size", 2)
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["classes"] == list("0123456789")
    assert document["failed"] == 0
    assert [each["input"] for each in document["predictions"]] == [
        "digits/7/0.png",
        "digits/7/1.png",
        "digits/1/0.png",
    ]
    first = document["predictions"][0]
    assert first["top"][0] == {"class": first["class"], "index": first["index"], "score": first["score"]}
    assert [each["score"] for each in first["top"]] == sorted(
        (each["score"] for each in first["top"]), reverse=True
    )
    assert len(first["top"]) == 2


def test_out(run: Run, words: list[str]) -> None:
    """The folder gets the JSON document, a csv file, and a picture for each file, whose names are unique."""
    done = run(*words, "digits", "digits/3/0.png", "digits/4/0.png", "--out", "results")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "The predictions are in results."
    printed = run(*words, "digits", "digits/3/0.png", "digits/4/0.png", "--json").out
    document = json.loads(Path("results/predictions.json").read_text())
    assert [each["class"] for each in document["predictions"]] == [
        each["class"] for each in json.loads(printed)["predictions"]
    ]
    rows = list(csv.DictReader(Path("results/predictions.csv").read_text().splitlines()))
    assert [row["input"] for row in rows] == [each["input"] for each in document["predictions"]]
    assert [row["class"] for row in rows] == [each["class"] for each in document["predictions"]]
    pictures = sorted(str(path.relative_to("results/pictures")) for path in Path("results").rglob("*.png"))
    assert len(pictures) == 22
    assert {"3/0.png", "0.png", "0_2.png"} <= set(pictures)
    assert cv2.imread("results/pictures/3/0.png").shape[0] > 200


def test_earlier_results_are_not_replaced(run: Run, words: list[str]) -> None:
    """A second call needs ``--overwrite``; pictures in the output folder are not predicted."""
    assert run(*words, "digits/3/0.png", "--out", "digits/out").code == 0
    again = run(*words, "digits/4/0.png", "--out", "digits/out")
    assert again.code == 2
    assert "'digits/out' already contains predictions.json, predictions.csv, pictures" in again.err
    assert "Use --overwrite" in again.err
    done = run(*words, "digits", "--out", "digits/out", "--overwrite")
    assert done.code == 0, done.err
    assert "Predicted 20 images" in done.out


def test_a_broken_picture_is_listed_at_the_end(run: Run, words: list[str]) -> None:
    """The others are predicted, and the command fails; also with --json and --out."""
    Path("digits/5/broken.png").write_bytes(Path("digits/5/0.png").read_bytes()[:60])
    Path("digits/notes.txt").write_text("not used")
    done = run(*words, "digits", "--out", "results")
    assert done.code == 1
    assert "Predicted 20 of 21 images" in done.out
    assert "Skipped: 1 file that is not an image." in done.out
    assert done.err.startswith("1 image failed:\n  digits/5/broken.png: ")
    assert len(done.err.splitlines()) == 2
    (row,) = (
        row
        for row in csv.DictReader(Path("results/predictions.csv").read_text().splitlines())
        if row["error"]
    )
    assert row["input"] == "digits/5/broken.png"
    as_json = run(*words, "digits", "--json")
    assert (as_json.code, as_json.err) == (1, "")
    document = json.loads(as_json.out)
    assert document["failed"] == 1
    assert [each["input"] for each in document["predictions"] if "error" in each] == ["digits/5/broken.png"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["digit"], "There is no file or folder 'digit'. Did you mean 'digits'?"),
        (["empty"], "The folder 'empty' contains no images"),
        (["digits/*.jpg"], "No file matches the pattern"),
        (["digits", "--topk", 0], "--topk"),
        (["digits", "--out", "note.txt"], "--out must be a folder, and 'note.txt' is a file"),
        (["digits", "--device", "gpu"], "'gpu' is not a device"),
        (["digits", "--cfg-options", "data.test.pipelin=[]"], "Did you mean 'data.test.pipeline'"),
    ],
)
def test_wrong_words(run: Run, words: list[str], inputs: list[Any], message: str) -> None:
    """Nothing is predicted or written, and the message names what is wrong."""
    Path("empty").mkdir()
    Path("note.txt").write_text("")
    done = run(*words, *inputs)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_file_that_is_not_an_image(run: Run, words: list[str]) -> None:
    """It was given itself, so it is tried whatever its suffix, and fails with the reason."""
    Path("table.csv").write_text("a,b\n1,2\n")
    done = run(*words, "table.csv")
    assert done.code == 1
    assert "table.csv: OpenCV cannot decode it as an image" in done.err
    Path("no_suffix").write_bytes(Path("digits/0/0.png").read_bytes())
    assert run(*words, "no_suffix").code == 0


def test_wrong_checkpoints(run: Run, words: list[str]) -> None:
    """Weights of another architecture are reported by tensor; a missing file is named with the nearest one."""
    *command, checkpoint = words
    done = run(*words, "digits", "--cfg-options", "model.backbone.num_classes=7")
    assert (done.code, done.out) == (1, "")
    assert "backbone.classifier.2.weight  (7, 84)       (10, 84)" in done.err
    done = run(*command, checkpoint.replace("latest", "lates"), "digits")
    assert done.code == 1
    assert "Did you mean 'latest.pth'?" in done.err


def test_a_checkpoint_without_names(run: Run, words: list[str], configs: Path) -> None:
    """A file of ``torch.save(model.state_dict())`` works with a config, and predicts by index with a warning."""
    torch.save(torch.load(words[2])["state_dict"], "plain.pth")
    done = run("predict", configs / "digits" / "lenet5.py", "plain.pth", "digits/0/0.png", "--json")
    assert done.code == 0
    assert "The checkpoint does not have the names of the classes" in done.err
    (found,) = json.loads(done.out)["predictions"]
    assert (found["class"], found["index"]) == (None, 0)
    line = run("predict", configs / "digits" / "lenet5.py", "plain.pth", "digits/0/0.png").out.splitlines()[1]
    assert line.split()[1] == "0"


def test_fits_a_terminal(run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of 80 columns, long names of files and many classes are shortened."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    folder = Path("a_folder_with_a_long_name/and_another_one_inside_of_it")
    folder.mkdir(parents=True)
    Path("digits/0/0.png").rename(folder / "a_picture_with_a_long_name.png")
    done = run(*words, "a_folder_with_a_long_name", "digits/1", "--topk", 10)
    assert done.code == 0, done.err
    table = done.out.splitlines()[:4]
    assert max(map(len, table)) <= 80
    assert table[1].startswith("…")
    assert "a_long_name.png" in table[1]


class Constant(nn.Module):
    """Predicts the same for each image."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))

    def forward(self, img: Tensor, return_loss: bool = True) -> Tensor:
        return self.scores.expand(len(img), -1)


@DATASETS.register_module()
class Images:
    """A dataset of which only the pipeline is used."""


CONSTANT = """
model = dict(type='Constant', scores={scores})
steps = [dict(type='Resize', scale=(8, 8)), dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])]
data = dict(test=dict(type='Images', pipeline=steps))
"""


@pytest.mark.parametrize(
    ("scores", "row"),
    [
        ([0.9, 0.2, 0.75], ["digits/0/0.png  cat 90.0%, ant 75.0%  dog 20.0%"]),
        ([0.1, 0.2, 0.0], ["digits/0/0.png  none     dog 20.0%, cat 10.0%, ant 0.0%"]),
        ([-0.5, 0.7, 0.2], ["digits/0/0.png  dog      0.7  ant 0.2, cat -0.5"]),
        ([1.5, 7.25], ["input             0     1", "digits/0/0.png  1.5  7.25"]),
    ],
)
def test_other_outputs(
    run: Run, words: list[str], write: Callable[[str, str], Path], scores: list[float], row: list[str]
) -> None:
    """Several labels are those with at least 0.5; only probabilities are in percent; other numbers are values."""
    MODELS.register_module(module=Constant)
    torch.save(
        {"meta": {"CLASSES": ["cat", "dog", "ant"]}, "state_dict": Constant(scores).state_dict()}, "a.pth"
    )
    done = run(
        "predict", write("c.py", CONSTANT.format(scores=scores)), "a.pth", "digits/0/0.png", "--out", "o"
    )
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2 - len(row) : -2] == [line.rstrip() for line in row]
    assert len(list(Path("o/pictures").iterdir())) == 1


def test_ctrl_c_is_quiet(run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with the exit code of an interrupt and prints nothing."""

    def interrupt(self: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("cfgtrain.data.transforms.loading.LoadImageFromFile.__call__", interrupt)
    assert run(*words, "digits") == (130, "", "")
