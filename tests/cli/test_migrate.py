"""``cfgtrain migrate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


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
