"""``cfgtrain diff``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

OLD = """\
optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='Normalize', mean=78)]
step = list(range(10))
"""
NEW = """\
_base_ = 'old.py'
pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='Flip'),
    dict(type='Normalize', mean=80)]
optimizer = dict(_delete_=True, type='SGD', lr=0.2)
step = list(range(40))
model = dict(backbone=dict(type='ResNet', depth=50, num_stages=4), neck=dict(type='FPN'))
"""
TEXT = """\
--- old.py
+++ new.py

- step = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  old.py:5
+ step = [                               new.py:7
{numbers}
+ ]
+ model = dict(                          new.py:8
+     backbone=dict(type='ResNet', depth=50, num_stages=4),
+     neck=dict(type='FPN'),
+ )

optimizer
  ~ lr = 0.1 -> 0.2                      old.py:1 -> new.py:6
  - momentum = 0.9                       old.py:1

pipeline
  + [1] = dict(type='Flip')              new.py:4

pipeline[2]  Normalize, was pipeline[1]
  ~ mean = 78 -> 80                      old.py:4 -> new.py:5

2 added, 1 removed, 3 changed.
""".replace("{numbers}", "\n".join(f"+     {i}," for i in range(40)))


@pytest.fixture(autouse=True)
def files(write: Callable[[str, str], Path]) -> None:
    write("old.py", OLD)
    write("new.py", NEW)


def test_text(run: Callable[..., object]) -> None:
    """Changes are grouped by dict, with values and origins; the exit code is 1."""
    ran = run("diff", "old.py", "new.py")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out == TEXT


def test_equal_configs(run: Callable[..., object]) -> None:
    """Equal configs are exit code 0."""
    ran = run("diff", "old.py", "old.py")
    assert (ran.code, ran.out) == (0, "old.py and old.py are equal.\n")


def test_json(run: Callable[..., object]) -> None:
    """``--json`` prints every change with its keys, values and origins."""
    ran = run("diff", "old.py", "new.py", "--json")
    out = json.loads(ran.out)
    assert (ran.code, out["a"], out["b"], out["equal"]) == (1, "old.py", "new.py", False)
    text = "optimizer = dict(type='SGD', lr=0.1, momentum=0.9)"
    assert out["changes"][1] == {
        "kind": "removed",
        "old": {"key": "optimizer.momentum", "value": 0.9, "file": "old.py", "line": 1, "text": text},
        "new": None,
    }
    assert out["changes"][3]["new"]["key"] == "pipeline[2].mean"
    same = run("diff", "old.py", "old.py", "--json")
    assert (same.code, json.loads(same.out)) == (
        0,
        {"a": "old.py", "b": "old.py", "equal": True, "changes": []},
    )


def test_work_directories(run: Callable[..., object], small: Path, write: Callable[[str, str], Path]) -> None:
    """A work directory is replaced by the merged config in it."""
    assert run("train", small, "--work-dir", "run", "--cfg-options", "optimizer.lr=0.02").code == 0
    ran = run("diff", small, "run")
    assert ran.code == 1
    assert "--- " in ran.out
    assert "+++ run/small.py" in ran.out
    assert "~ lr = 0.1 -> 0.02" in ran.out
    assert run("diff", "run", "run/small.py").code == 0


@pytest.mark.parametrize(
    ("names", "code", "text"),
    [
        (["a.py"], 1, "+++ folder/a.py"),
        (["a.yaml", "1.log.json", "a.pth"], 1, "+++ folder/a.yaml"),
        ([], 2, "The folder folder holds no config."),
        (["a.py", "b.py"], 2, "The folder folder holds 2 configs: a.py, b.py. Name one of them."),
    ],
)
def test_folders_without_a_merged_config(
    names: list[str], code: int, text: str, run: Callable[..., object], write: Callable[[str, str], Path]
) -> None:
    """A folder of another tool is accepted if it contains one config; otherwise the error lists them."""
    write("folder/readme.txt", "")
    for name in names:
        write(f"folder/{name}", "")
    ran = run("diff", "old.py", "folder")
    assert ran.code == code
    assert text in ran.out + ran.err


def test_missing_config(run: Callable[..., object]) -> None:
    """A missing config is exit code 2, not a difference."""
    ran = run("diff", "old.py", "nwe.py")
    assert ran.code == 2
    assert "Did you mean 'new.py'" in ran.err


def test_colours(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Additions are green, removals red and changes yellow."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = run("diff", "old.py", "new.py").out
    assert "\x1b[31m- momentum = 0.9\x1b[0m" in out
    assert "\x1b[32m+ [1] = dict(type='Flip')\x1b[0m" in out
    assert "\x1b[33m~ lr = 0.1 -> 0.2\x1b[0m" in out


def test_a_long_value_is_separated_from_its_origin(
    run: Callable[..., object], write: Callable[[str, str], Path]
) -> None:
    """A value that reaches past the column of origins is followed by spaces too."""
    write("a.py", "x = 'a' * 100\ny = 1\n")
    write("b.py", "y = 2\n")
    assert "a'  a.py:1\n" in run("diff", "a.py", "b.py").out  # type: ignore[attr-defined]
