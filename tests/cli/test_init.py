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
    "text": ["runner.max_iters=10", "model.embed_dims=8", "evaluation.interval=10"],
    "custom": ["runner.max_epochs=1"],
}


@pytest.mark.parametrize("task", SHORT)
def test_a_project_trains_at_once(task: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that init prints train the project of a task, and its score is printed."""
    written = run("init", "own project", "--task", task)
    assert written.code == 0, written.err
    assert written.out.splitlines()[1:] == ["  cd 'own project'", "  cfgtrain train config.py"]
    monkeypatch.chdir("own project")
    trained = run("train", "config.py", "--cfg-options", *SHORT[task])
    assert (trained.code, "Warning" in trained.err) == (0, False), trained.err
    assert "Test: " in trained.out


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
    assert ".gitignore, README.md, config.py, custom.py, test_custom.py" in written.err


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
