"""``cfgtrain init``: projects that train at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

# Options that make the training of a task short.
SHORT = {
    "images": ["runner.max_epochs=1"],
    "table": ["runner.max_epochs=1"],
    "text": ["runner.max_iters=10", "evaluation.interval=10"],
    "custom": ["runner.max_epochs=1"],
}
# What the README of a task predicts for, and a line of the output.
PREDICTED = {
    "images": ("data/test/7", "data/test/7/04.png"),
    "table": ("data/houses.csv", "data/houses.csv, line 1001"),
    "text": ("prompt.txt", "Return the "),
    "custom": ("points.txt", "points.txt: [0.5 0.1]"),
}


@pytest.mark.parametrize("task", SHORT)
def test_a_project_trains_at_once(task: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that init prints train the project of a task; those of its README test the model and use it."""
    written = run("init", "own project", "--task", task)
    assert written.code == 0, written.err
    assert written.out.splitlines()[1:] == ["  cd 'own project'", "  cfgtrain train config.py"]
    monkeypatch.chdir("own project")
    trained = run("train", "config.py", "--cfg-options", *SHORT[task])
    assert (trained.code, "Warning" in trained.err) == (0, False), trained.err
    assert "Test: " in trained.out
    readme = Path("README.md").read_text(encoding="utf-8")
    inputs, line = PREDICTED[task]
    for command in [
        "train config.py --resume auto",
        f"predict config.py work_dirs/config/latest.pth {inputs}",
    ]:
        assert f"\ncfgtrain {command}\n" in readme
    tested = run("test", "config.py")
    assert (tested.code, "Tested best_" in tested.out) == (0, True), tested.err
    predicted = run("predict", "config.py", "work_dirs/config/latest.pth", inputs)
    assert predicted.code == 0, predicted.err
    assert line in predicted.out


def test_the_config_for_photographs_trains(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second config of the images inherits from the first; smaller pictures make the test faster."""
    assert run("init", "demo").code == 0
    monkeypatch.chdir("demo")
    sizes = [
        f"data.{part}.pipeline.{i}.{key}"
        for part, i, key in [("train", 1, "size"), ("val", 2, "size"), ("test", 2, "size")]
    ]
    trained = run(
        "train", "photos.py", "--cfg-options", "runner.max_epochs=1", *(f"{each}=32" for each in sizes)
    )
    assert (trained.code, "Warning" in trained.err) == (0, False), trained.err
    assert "Test: accuracy" in trained.out


def test_the_default_is_a_project_of_images_in_any_folder(run: Run) -> None:
    """Files that have nothing to do with the project stay, and a link to the current folder needs no cd."""
    Path("notes.txt").write_text("mine")
    written = run("init", ".")
    assert written.code == 0, written.err
    assert written.out.splitlines()[1:] == ["  cfgtrain train config.py"]
    assert Path("notes.txt").read_text() == "mine"
    assert len(list(Path("data/train").glob("*/*.png"))) == 400
    assert len(list(Path("data/test").glob("*/*.png"))) == 100


@pytest.mark.parametrize("name", ["config.py", "README.md", ".gitignore", "data"])
def test_nothing_is_overwritten(name: str, run: Run) -> None:
    """An existing file or folder of a project is an error that names it, and nothing is written."""
    Path("demo").mkdir()
    Path("demo", name).write_text("mine")
    written = run("init", "demo")
    assert (written.code, written.out) == (2, "")
    assert f"demo has {name} already, and nothing is overwritten" in written.err
    assert [(path.name, path.read_text()) for path in Path("demo").iterdir()] == [(name, "mine")]


def test_a_project_is_not_written_twice(run: Run) -> None:
    """The error lists all that is in the way."""
    assert run("init", "demo", "--task", "custom").code == 0
    written = run("init", "demo", "--task", "custom")
    assert written.code == 2
    assert ".gitignore, README.md, config.py, custom.py, points.txt, test_custom.py" in written.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["taken"], 2, "taken is a file, not a folder"),
        (["taken/demo"], 1, "Not a directory: taken/demo"),
        (["demo", "--task", "imges"], 2, "Did you mean 'images'?"),
        ([], 2, "Missing argument 'DIR'"),
    ],
)
def test_mistakes(words: list[str], code: int, text: str, run: Run) -> None:
    """A wrong folder or task is one message, and nothing is written."""
    Path("taken").write_text("mine")
    written = run("init", *words)
    assert (written.code, text in " ".join(written.err.split())) == (code, True), written.err
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_the_tests_of_a_custom_project_pass(run: Run) -> None:
    """Pytest runs the tests that come with a project, which train it for an epoch."""
    assert run("init", "demo", "--task", "custom").code == 0
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd="demo", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout
