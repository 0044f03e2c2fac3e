"""What ``cfgtrain migrate`` says about files that it does not rewrite, and about files that it cannot read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cfgtrain.compat.migrate import project
from cfgtrain.compat.migrate.project import find_files, migrate


def test_requirements(tmp_path: Path) -> None:
    """Requirements of MMCV are to be replaced; other mentions are notes."""
    (tmp_path / "requirements.txt").write_text("numpy\nmmcv-full>=1.3,<1.8\n# no mmcv below\n")
    (tmp_path / "setup.cfg").write_text("[isort]\nknown_third_party = mmcv,torch\n")
    (tmp_path / "setup.py").write_text(
        "setup(install_requires=['mmcv>=1.3', 'mmcv-full'],\n extras_require=dict(a=['mmcv', 'mmcv-full>=1.3.0']))\n"
    )
    found = list(find_files([tmp_path]))
    lists, settings, setup = migrate(found)
    assert [file.name for file in found] == ["requirements.txt", "setup.cfg", "setup.py"]
    assert [todo.line for todo in lists.todos] == [2]
    assert [note.line for note in lists.notes] == [3]
    assert [(each.line, each.kind) for each in settings.findings] == [(2, "note")]
    assert [(todo.line, todo.message) for todo in setup.todos] == [
        (1, "It requires 'mmcv-full'."), (1, "It requires 'mmcv>=1.3'."),
        (2, "It requires 'mmcv'."), (2, "It requires 'mmcv-full>=1.3.0'."),
    ]  # fmt: skip


def test_notebook(tmp_path: Path) -> None:
    """Uses in a notebook are listed with cell and line; text is a note, and the file stays."""
    cells = [
        {"cell_type": "markdown", "source": ["We use mmcv."]},
        {"cell_type": "code", "source": ["!pip install mmcv-full\n", "import os\n", "import mmcv\n"]},
        {"cell_type": "code", "source": "x = 1"},
    ]
    file = tmp_path / "a.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    (report,) = migrate(find_files([tmp_path]), write=True)
    assert [todo.message for todo in report.todos] == [
        "Cell 2, line 1 installs or runs mmcv: !pip install mmcv-full",
        "Cell 2, line 3 uses mmcv: import mmcv",
    ]
    assert [note.message for note in report.notes] == ["Cell 1, line 1 mentions mmcv: We use mmcv."]
    assert not report.written
    file.write_text('"mmcv')
    (report,) = migrate([file])
    assert "not a valid notebook" in report.todos[0].message


def test_data(tmp_path: Path) -> None:
    """A data file that mentions mmcv has a note that says what it is."""
    (tmp_path / "a.json").write_text('{"made by": "mmcv"}')
    (report,) = migrate(find_files([tmp_path]))
    assert [each.kind for each in report.findings] == ["note"]
    assert "neither code nor a config" in report.findings[0].message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"import mmcv\nx = (\n", "not valid Python"),
        (b"import mmcv\nx = '\xff'\n", "not valid text"),
        (b"# -*- coding: latin-9999 -*-\nimport mmcv\n", "encoding"),
        (b"import mmcv\nx = '\0'\n", "null"),
        (b"import mmcv\nx = " + b"(" * 5000 + b")" * 5000, "not valid Python"),
    ],
)
def test_bad_content(tmp_path: Path, content: bytes, word: str) -> None:
    """What cannot be read is listed, and stays as it is."""
    (tmp_path / "a.py").write_bytes(content)
    (report,) = migrate(find_files([tmp_path]), write=True)
    assert word in f"{report.todos[0].message} {report.todos[0].hint}"
    assert (tmp_path / "a.py").read_bytes() == content


@pytest.mark.parametrize("name", ["a.py", "a.json"])
def test_other_text(tmp_path: Path, name: str) -> None:
    """A file that is no text and does not mention mmcv is a note, and nothing is left by hand."""
    (tmp_path / name).write_bytes(b"x = '\xff'\n")
    (report,) = migrate(find_files([tmp_path]))
    assert [each.kind for each in report.findings] == ["note"]


def test_links_and_pipes(tmp_path: Path) -> None:
    """Links in a circle and broken links are listed; a link to a folder above is not followed."""
    (tmp_path / "circle.py").symlink_to("circle.py")
    (tmp_path / "gone.py").symlink_to("nothing.py")
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.py")
    circle, gone = migrate(find_files([tmp_path]))
    assert "cannot be read: Too many levels of symbolic links" in circle.todos[0].message
    assert "cannot be read: No such file" in gone.todos[0].message
    (pipe,) = migrate(find_files([tmp_path / "pipe.py"]))
    assert pipe.todos[0].message == "It is not a file."


def test_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large is listed; data that is large is left out of a folder."""
    monkeypatch.setattr(project, "MAX_SIZE", 100)
    monkeypatch.setattr(project, "MAX_DATA_SIZE", 50)
    (tmp_path / "a.py").write_text("import mmcv\n" * 20)
    (tmp_path / "b.json").write_text('["mmcv"]' + " " * 60)
    (report,) = migrate(find_files([tmp_path]))
    assert "larger than" in report.todos[0].message


def test_encoding_is_kept(tmp_path: Path) -> None:
    """A file in another encoding is written in it."""
    (tmp_path / "a.py").write_bytes("# -*- coding: latin-1 -*-\nimport mmcv\nx = 'é'\r\n".encode("latin-1"))
    (report,) = migrate(find_files([tmp_path]), write=True)
    assert report.written
    assert (tmp_path / "a.py").read_bytes() == (
        "# -*- coding: latin-1 -*-\nimport cfgtrain\nx = 'é'\r\n".encode("latin-1")
    )


def test_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be written is listed and keeps its content, and the others are written."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("import mmcv\n")
    (tmp_path / "a.py").chmod(0o444)
    first, second = migrate(find_files([tmp_path]), write=True)
    assert (first.written, second.written) == (False, True)
    assert "read-only" in first.todos[-1].message
    assert (tmp_path / "a.py").read_text() == "import mmcv\n"
