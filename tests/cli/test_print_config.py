"""``cfgtrain print-config``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config, load


@pytest.mark.parametrize("suffix", [".py", ".json", ".yaml"])
def test_the_example_configs_are_equal(suffix: str, configs: Path) -> None:
    """The .py, .yaml and .json versions of a config are equal."""
    wanted = Config.fromfile(configs / "digits" / "lenet5.py")
    cfg = Config.fromfile(configs / "digits" / f"lenet5{suffix}")
    variables = {"train_pipeline", "test_pipeline"}  # of the Python config
    as_json = [
        json.loads(json.dumps({k: v for k, v in c.items() if k not in variables})) for c in (cfg, wanted)
    ]
    assert as_json[0] == as_json[1]


@pytest.mark.parametrize("name", ["py", "json", "yaml"])
def test_output_loads_back_equal(name: str, run: Callable[..., object], small: Path, tmp_path: Path) -> None:
    """The output in each format is a config that loads as an equal one."""
    ran = run("print-config", small, "--format", name, "--cfg-options", "optimizer.lr=0.02")
    assert ran.code == 0
    (tmp_path / f"again.{name}").write_text(ran.out)
    again, wanted = Config.fromfile(tmp_path / f"again.{name}"), Config.fromfile(small)
    wanted.optimizer.lr = 0.02
    assert json.loads(json.dumps(again.to_dict())) == json.loads(json.dumps(wanted.to_dict()))


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--key", "optimizer.lr"], "0.1"),
        (["--key", "optimizer.type"], "'SGD'"),
        (["--key", "optimizer.type", "--format", "json"], '"SGD"'),
        (["--key", "optimizer.type", "--format", "yaml"], "SGD"),
        (["--key", "data.train.pipeline[0].type"], "'Resize'"),
        (["--key", "data.train.pipeline.0.scale.1"], "32"),
        (["--key", "runner"], "type = 'EpochBasedRunner'\nmax_epochs = 1"),
        (["--key", "load_from", "--format", "json"], "null"),
    ],
)
def test_key(words: list[str], printed: str, run: Callable[..., object], small: Path) -> None:
    """``--key`` prints one part, in the requested format."""
    ran = run("print-config", small, *words)
    assert (ran.code, ran.out.strip()) == (0, printed)


def test_unknown_key(run: Callable[..., object], small: Path) -> None:
    """An unknown key is exit code 2 with a suggestion."""
    ran = run("print-config", small, "--key", "optimizer.lrr")
    assert ran.code == 2
    assert "Did you mean 'lr'?" in ran.err


def test_forms_of_cfg_options(run: Callable[..., object], small: Path) -> None:
    """One flag with several words, a repeated flag, and ``flag=word`` all work."""
    words = [
        "--cfg-options",
        "optimizer.lr=1",
        "runner.max_epochs=3",
        "--format",
        "yaml",
        "--cfg-options=+new.key=[a,b]",
    ]
    cfg = load(io.StringIO(run("print-config", *words, small).out), "yaml")
    assert (cfg["optimizer"]["lr"], cfg["runner"]["max_epochs"], cfg["new"]) == (1, 3, {"key": ["a", "b"]})


@pytest.mark.parametrize(
    ("words", "text"), [(["--version"], "cfgtrain "), (["--help"], "print-config"), (["-h"], "train")]
)
def test_help_and_version(words: list[str], text: str, run: Callable[..., object]) -> None:
    """``--help`` lists the commands and ``--version`` prints the version."""
    ran = run(*words)
    assert ran.code == 0
    assert text in ran.out


def test_warning_about_a_value_of_another_type(run: Callable[..., object], small: Path) -> None:
    """The value is set, and the warning has the origin of the value that it replaces."""
    ran = run("print-config", small, "--key", "optimizer.lr", "--cfg-options", "optimizer.lr=fast")
    assert (ran.code, ran.out.strip()) == (0, "'fast'")
    assert "Warning: optimizer.lr is now a str 'fast'; the value that it replaces is a float 0.1 (" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(small: Path) -> None:
    """An output that cannot be written is one message and exit code 1."""
    command = [sys.executable, "-m", "cfgtrain", "print-config", str(small)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: Cannot write the output: No space left on device."


@pytest.mark.parametrize("typed", ["007", "1e3", "0.10", "1_000", "TRUE", "a,b", "(1,2)"])
def test_advice_for_a_string_keeps_the_word_as_typed(
    typed: str, write: Callable[[str, str], Path], run: Callable[..., Any]
) -> None:
    """What is typed over a string becomes it if quoted as the warning says; origins show the word as well."""
    config = write("named.py", "name = 'abc'\nother = 1\n")
    ran = run("print-config", config, "--origin", "--cfg-options", f"name={typed}")
    text = ran.err.replace("\n", " ")
    advice = f'name="{typed}"'
    assert f"For a string write '{advice}', the quotes included." in text
    assert f"--cfg-options name={typed}" in ran.out
    quoted = run("print-config", config, "--key", "name", "--cfg-options", advice)
    assert (quoted.out.strip(), quoted.err) == (repr(typed), "")


def test_no_advice_that_would_need_escapes(
    write: Callable[[str, str], Path], run: Callable[..., Any]
) -> None:
    """A list of quoted strings cannot be put into quotes as it is."""
    config = write("named.py", "name = 'abc'\n")
    ran = run("print-config", config, "--cfg-options", "name=['a','b']")
    assert "name is now a list ['a', 'b']" in ran.err.replace("\n", " ")
    assert "For a string" not in ran.err


def test_an_unknown_format(small: Path, run: Callable[..., Any]) -> None:
    """An unknown format is an error that names the formats and the one that was meant."""
    ran = run("print-config", small, "--format", "jsn")
    assert ran.code == 2
    text = " ".join(ran.err.replace("│", " ").split())
    assert "must be 'py', 'json' or 'yaml', not 'jsn'. Did you mean 'json'?" in text
