"""``cfgtrain migrate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_diff_and_write(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """Without --write the changes are shown as a diff; with it they are written. Exit code 0."""
    write("a.py", "import mmcv\nmmcv.imread('a')\n")
    ran = run("migrate", "a.py")
    assert ran.code == 0
    assert "-import mmcv\n" in ran.out
    assert "+import cfgtrain\n" in ran.out
    assert Path("a.py").read_text().startswith("import mmcv")
    assert run("migrate", "a.py", "--write").code == 0
    assert Path("a.py").read_text() == "import cfgtrain\ncfgtrain.imread('a')\n"


def test_what_is_left(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """What has to be done by hand is listed with file and line, also as JSON. Exit code 1."""
    write("a.py", "\nfrom mmcv.ops import RoIAlign\n")
    ran = run("migrate", "a.py")
    assert ran.code == 1
    assert "a.py:2: by hand: cfgtrain has no mmcv.ops.RoIAlign." in ran.out
    ran = run("migrate", "a.py", "--json")
    assert json.loads(ran.out)["reports"][0]["findings"][0]["line"] == 2


def test_missing_path(run: Callable[..., object]) -> None:
    """A path that does not exist is exit code 2."""
    assert run("migrate", "nothing").code == 2


def test_empty_folder(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """A folder without files to read is said to have nothing to migrate. Exit code 0."""
    write("empty/notes.txt", "mmcv")
    ran = run("migrate", "empty")
    assert ran.code == 0
    assert "There is nothing to migrate in empty.\n" in ran.out
    assert "0 files" not in ran.out
    assert json.loads(run("migrate", "empty", "--json").out) == {"files": 0, "reports": []}


def test_what_runs_as_it_is(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """A config that runs is said to, older keys are only offered, and the exit code is 0."""
    write("cfg.py", "optimizer = dict(type='SGD', lr=0.1)\ntotal_epochs = 12\n")
    write("code.py", "import os\n")
    ran = run("migrate", ".")
    assert ran.code == 0
    assert "cfg.py: part of a config, runs as it is\n" in ran.out
    assert "cfg.py:2: optional: total_epochs = 12 can be written" in ran.out
    assert "1 Python file without mmcv.\n" in ran.out
    assert "2 files read, 0 files would be rewritten, 0 places to change by hand.\n" in ran.out
    ran = run("migrate", ".", "--newer-keys")
    assert ran.code == 0
    assert "+runner = dict(type='EpochBasedRunner', max_epochs=12)\n" in ran.out
    assert "runs as it is" not in run("migrate", ".", "--no-check").out


def test_verdicts_as_json(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """The JSON has a verdict for each config and Python file, and the optional spellings."""
    write("cfg.py", "optimizer = dict(type='SGD', lr=0.1)\ntotal_epochs = 12\n")
    write("code.py", "import os\n")
    first, second = json.loads(run("migrate", ".", "--json").out)["reports"]
    assert (first["style"], first["runs"], first["diff"]) == ("config", True, "")
    assert [each["kind"] for each in first["findings"]] == ["optional"]
    assert (second["runs"], second["verdict"]) == (True, "does not use mmcv")


def test_output_of_modules(
    run: Callable[..., object], write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an imported module prints does not end up in the JSON."""
    write("prints_when_imported.py", "print('hello')\n")
    write(
        "cfg.py",
        "custom_imports = dict(imports=['prints_when_imported'])\nmodel = dict(type='torch.nn.GELU')\n",
    )
    monkeypatch.syspath_prepend(Path.cwd())
    (report,) = json.loads(run("migrate", "cfg.py", "--json").out)["reports"]
    assert report["style"] == "config"
