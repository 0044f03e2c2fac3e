"""``print-config --origin`` and ``--why``, and the warnings of commands that read configs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config


@pytest.fixture
def child(write: Callable[[str, str], Path]) -> str:
    """A config whose ``lr`` does not update the optimizer, and which misspells ``momentum``."""
    write(
        "base.py",
        "lr = 0.1\noptimizer = dict(\n    type='SGD', lr=lr, momentum=0.9)\nsteps = [1, 2]\nempty = {}\n",
    )
    write("child.py", "_base_ = 'base.py'\nlr = 0.2\noptimizer = dict(momentun=0.5)\nsteps = [3]\n")
    return "child.py"


ORIGINS = """\
lr = 0.2           # child.py:2
optimizer = dict(
    type='Adam',   # --cfg-options optimizer.type=Adam
    lr=0.1,        # base.py:3
    momentum=0.9,  # base.py:3
    momentun=0.5,  # child.py:3
)
steps = [3]        # child.py:4
empty = dict()     # base.py:5
"""

WHY = """\
optimizer.lr = 0.1

  set to 0.1                base.py:3   type='SGD', lr=lr, momentum=0.9)
    computed from lr = 0.1  base.py:1   lr = 0.1
  NOT updated by lr = 0.2   child.py:2  lr = 0.2

optimizer.lr was computed before lr = 0.2 was set, and was not updated. To change it, set optimizer.lr itself.
"""

STALE = """\
lr = 3

  set to 0.1                    base.py:1   lr = 0.1
  replaced by 0.2               child.py:2  lr = 0.2
  replaced by 3                 --cfg-options lr=3
  does NOT update optimizer.lr  base.py:3   type='SGD', lr=lr, momentum=0.9)

optimizer.lr was computed from the old value and is still 0.1. To change it, set optimizer.lr itself.
"""


def test_origins_as_python(run: Callable[..., object], child: str, tmp_path: Path) -> None:
    """``--origin`` prints a config that loads back equal, with the origin of every value."""
    ran = run("print-config", child, "--origin", "--cfg-options", "optimizer.type=Adam")
    assert (ran.code, ran.out) == (0, ORIGINS)
    (tmp_path / "again.py").write_text(ran.out)
    again = Config.fromfile("again.py")
    assert (again.optimizer.type, again.optimizer.lr, again.steps, again.empty) == ("Adam", 0.1, [3], {})


def test_origins_of_a_part(run: Callable[..., object], child: str) -> None:
    """``--key`` with ``--origin`` prints one part."""
    assert run("print-config", child, "--origin", "-k", "steps[-1]").out == "3  # child.py:4\n"
    assert "lr = 0.1        # base.py:3" in run("print-config", child, "--origin", "-k", "optimizer").out


def test_origins_as_json(run: Callable[..., object], child: str) -> None:
    """In JSON, every value and the fields of its origin are listed by dotted key."""
    out = json.loads(run("print-config", child, "--origin", "--format", "json").out)
    assert out["optimizer.lr"] == {
        "value": 0.1, "file": "base.py", "line": 3, "text": "type='SGD', lr=lr, momentum=0.9)",
    }  # fmt: skip
    assert list(out) == [
        "lr", "optimizer.type", "optimizer.lr", "optimizer.momentum", "optimizer.momentun", "steps[0]", "empty",
    ]  # fmt: skip
    part = json.loads(run("print-config", child, "--origin", "-f", "json", "-k", "optimizer.lr").out)
    assert list(part) == ["optimizer.lr"]


def test_why(run: Callable[..., object], child: str) -> None:
    """``--why`` shows what set a value, what it was computed from, and what does not update it."""
    assert run("print-config", child, "--why", "optimizer.lr").out == WHY
    assert run("print-config", child, "--why", "lr", "--cfg-options", "lr=3").out == STALE


@pytest.mark.parametrize(
    ("files", "key", "lines"),
    [
        (
            {"c.py": "_base_ = 'a.yaml'\npolicy = dict(_delete_=True, x=1)\n", "a.yaml": "policy: {x: 0, y: 0}\n"},
            "policy",
            ["set to dict(x=0, y=0)", "replaced by dict(_delete_=True, x=1)"],
        ),
        (
            {"c.py": "_base_ = 'a.py'\npolicy = dict(y=2)\n", "a.py": "policy = dict(x=0)\n"},
            "policy",
            ["set to dict(x=0)", "merged with dict(y=2)"],
        ),
        (
            {
                "c.py": "_base_ = 'b.py'\nx = dict(y=2)\n",
                "b.py": "_base_ = 'a.py'\nx = dict(_delete_=True, z=1)\n",
                "a.py": "x = dict(y=1)\n",
            },
            "x.y",
            ["set to 1", "removed with x", "set to 2"],
        ),
        (
            {"c.py": "_base_ = 'a.py'\nx = {{ _base_.y }} * 2\n", "a.py": "z = 1\ny = z + 1\n"},
            "x",
            ["set to 4", "computed from {{ _base_.y }} = 2", "computed from z = 1"],
        ),
        ({"c.py": "x = {{$SHOP_N:7}}\n"}, "x", ["set to 7", "computed from the environment variable SHOP_N"]),
        (
            {"c.py": "_base_ = 'a.py'\nn = [2]\n", "a.py": "n = [1, 1]\nx = dict(y=n)\n"},
            "x.y[1]",
            ["set to 1", "computed from n[1] = 1", "NOT updated by the new n"],
        ),
        (
            {"c.py": "_base_ = 'a.py'\nn = dict(b=[2])\n", "a.py": "n = dict(b=[1], c=2)\nx = dict(y=n['b'])\n"},
            "x",
            ["set to dict(y=[1])", "NOT updated by the new n.b"],
        ),
        (
            {"c.py": "_base_ = 'a.py'\nx = dict(_delete_=True, z=1)\n", "a.py": "x = dict(y=1)\n"},
            "x.y",
            ["set to 1", "removed with x"],
        ),
        (
            {"c.py": "_base_ = 'a.py'\n_delete_ = True\nz = 1\n", "a.py": "x = dict(y=1)\n"},
            "x.y",
            ["set to 1", "removed with everything inherited"],
        ),
    ],
    ids=[
        "_delete_", "merged", "removed and set again", "references", "environment", "removed item", "replaced dict",
        "removed", "removed with everything",
    ],
)  # fmt: skip
def test_rows_of_why(
    files: dict[str, str],
    key: str,
    lines: list[str],
    write: Callable[[str, str], Path],
    run: Callable[..., object],
) -> None:
    """Each step has its own row, in the order in which they happened."""
    for name, text in files.items():
        write(name, text)
    ran = run("print-config", "c.py", "--why", key)
    assert ran.code == 0, ran.err
    head, rows = ran.out.split("\n\n")[:2]
    table = rows.splitlines()
    assert head.endswith("is no longer in the config.") == ("removed" in lines[-1])
    assert [
        words for words, line in zip(lines, table, strict=True) if not line.strip().startswith(words)
    ] == []


def test_why_of_a_value_without_a_line(run: Callable[..., object], write: Callable[[str, str], Path]) -> None:
    """An item that a call returned has the line of the call; what ``globals()`` sets has only the file."""
    write("c.py", "a = [max([1])]\n")
    assert (
        run("print-config", "c.py", "--why", "a.0").out == "a[0] = 1\n\n  set to 1  c.py:1  a = [max([1])]\n"
    )
    write("c.py", "globals()['a'] = 1\n")
    assert run("print-config", "c.py", "--why", "a").out == "a = 1\n\n  set to 1  c.py\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--why", "optimizer.lrr"], "Did you mean 'lr'"),
        (["--why", "lr", "--origin"], "--why cannot be combined with --origin"),
        (
            ["--why", "lr", "--key", "lr", "--format", "json"],
            "--why cannot be combined with --key and --format",
        ),
        (["--origin", "--format", "yaml"], "py and json, not yaml"),
    ],
)
def test_wrong_usage(words: list[str], text: str, run: Callable[..., object], child: str) -> None:
    """Unknown keys and options that do not combine are exit code 2."""
    ran = run("print-config", child, *words)
    assert ran.code == 2
    assert text in " ".join(ran.err.replace("│", " ").split())


@pytest.mark.parametrize("words", [["--origin"], ["--why", "optimizer.lr"]])
def test_colours_follow_the_environment(
    words: list[str], run: Callable[..., object], child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets plain text; FORCE_COLOR adds colours, and NO_COLOR takes precedence."""
    monkeypatch.delenv("NO_COLOR")
    plain = run("print-config", child, *words).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = run("print-config", child, *words).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("print-config", child, *words).out == plain
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain


WARNINGS = """\
Warning: 'momentun' is a new key, one letter away from 'momentum', which is set at base.py:3. Did you mean 'momentum'?
  at optimizer.momentun (child.py:3)
Warning: lr = 0.2 does not reach optimizer.lr (base.py:3), which was computed from lr = 0.1 (base.py:1) and stays 0.1. Set optimizer.lr instead.
  at lr (child.py:2)
"""


@pytest.mark.parametrize("command", ["print-config", "train"])
def test_commands_warn_about_probable_mistakes(command: str, run: Callable[..., object], child: str) -> None:
    """Commands that read a config warn about probable mistakes on stderr."""
    assert run(command, child).err.startswith(WARNINGS)


def test_no_warnings_about_the_example_configs(run: Callable[..., object], configs: Path) -> None:
    """The configs of the repository cause no warnings."""
    for name in ("lenet5.py", "lenet5.yaml", "lenet5.json", "lenet5_iter.py"):
        assert run("print-config", configs / "digits" / name).err == ""
