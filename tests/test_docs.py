"""The examples in the README and the pages of docs/ work as shown.

The blocks of each page run from top to bottom, in a new folder that contains the example
configs and a ``photo.jpg``:

- ``console`` blocks: each line after ``$ `` is a command, the lines below it are its
  output. ``...`` matches any text, alone on a line any lines.
- ``python`` blocks that begin with the comment ``# name.py``: a file of that name.
- other ``python`` blocks are run; ``py`` is for those that need the result of a long run.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    page.relative_to(ROOT).as_posix() for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<name>[\w/]+\.py)\n")


class Command(NamedTuple):
    """A command of a console block, with its expected output."""

    words: str
    output: str


def commands(text: str) -> Iterator[Command]:
    """Return the commands of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        words, _, output = part.partition("\n")
        yield Command(words, output.rstrip("\n"))


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed; ``...`` matches anything."""
    pattern = re.escape(shown).replace(re.escape("..."), "...")
    # Lines, not "(.*\n?)*", which tries exponentially many ways if the rest does not match.
    pattern = re.sub(r"^\.\.\.\\\n", r"(?:.*\\n)*?", pattern, flags=re.MULTILINE)
    pattern = re.sub(r"^\.\.\.\Z", r"(?s:.*)", pattern, flags=re.MULTILINE).replace("...", ".*")
    return re.fullmatch(pattern, printed) is not None


def perform(words: str, run: Callable[..., Any], last: int) -> tuple[int, str]:
    """Run one command in this process; return its exit code and what a terminal would show."""
    name, *rest = shlex.split(words)
    if words == "echo $?":
        return 0, str(last)
    if name == "cat":
        return 0, "".join(Path(file).read_text() for file in rest).rstrip("\n")
    assert name == "cfgtrain", f"A page shows the command {words!r}, which this test cannot run"
    ran = run(*rest)
    return ran.code, (ran.err + ran.out).rstrip("\n")


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_work(
    page: str, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every console block prints what the page says, and every Python block runs."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    cv2.imwrite("photo.jpg", np.zeros((60, 80, 3), np.uint8))
    names: dict[str, Any] = {"__name__": "page"}
    code = 0
    for block in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        language, text = block["language"], block["text"]
        file = FILE.match(text)
        if language == "python" and file:
            target = tmp_path / file["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif language == "python":
            exec(compile(text, f"{page}: {text.splitlines()[0]}", "exec"), names)
        elif language == "console":
            for command in commands(text):
                code, printed = perform(command.words, run, code)
                assert matches(command.output, printed), f"{page}: {command.words}\n{printed}"


def test_files_in_the_contributing_guide_exist() -> None:
    """Every file or folder that the table of CONTRIBUTING.md names is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| to change or add") : text.index("## Coding rules")]
    named = re.findall(r"`([\w/]+(?:/|\.py))`", table)
    assert len(named) > 40
    bases = (ROOT / "src" / "cfgtrain", ROOT)
    # A file after another one of the same row may be named without its folder.
    folders = {Path(name).parent for name in named} | {Path(name) for name in named if name.endswith("/")}
    missing = [
        name
        for name in named
        if not any((base / name).exists() for base in bases)
        and not any((bases[0] / folder / name).exists() for folder in folders)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a b", "a b", True),
        ("a b", "a c", False),
        ("a ... c", "a b b c", True),
        ("a ... c", "a\nc", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("...\nd", "b\nd", True),
        ("a\n...", "a\nb\nc", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("...\nd", "b\n" * 100 + "c", False),
        ("1.5 (x)", "1.5 (x)", True),
        ("1.5", "1x5", False),
        ("", "", True),
    ],
)
def test_dots_match_anything(shown: str, printed: str, same: bool) -> None:
    """Within a line they match any text, alone on a line any lines; everything else must be equal."""
    assert matches(shown, printed) is same
