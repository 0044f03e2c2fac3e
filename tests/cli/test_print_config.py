"""``cfgtrain print-config``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config, load


@pytest.mark.parametrize("suffix", [".py", ".json", ".yaml"])
def test_the_same_experiment_stands_in_three_languages(suffix: str, configs: Path) -> None:
    """The .py, .yaml and .json configs come to the same experiment."""
    wanted = Config.fromfile(configs / "digits" / "lenet5.py")
    cfg = Config.fromfile(configs / "digits" / f"lenet5{suffix}")
    own = {"train_pipeline", "test_pipeline"}  # variables of the Python config
    as_json = [json.loads(json.dumps({k: v for k, v in c.items() if k not in own})) for c in (cfg, wanted)]
    assert as_json[0] == as_json[1]


@pytest.mark.parametrize("name", ["py", "json", "yaml"])
def test_what_is_printed_loads_back_equal(
    name: str, run: Callable[..., object], small: Path, tmp_path: Path
) -> None:
    """In each language the print is a config that comes to the same."""
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
def test_a_part_can_be_printed(
    words: list[str], printed: str, run: Callable[..., object], small: Path
) -> None:
    """--key prints one part, in the language asked for."""
    ran = run("print-config", small, *words)
    assert (ran.code, ran.out.strip()) == (0, printed)


def test_a_wrong_key_is_suggested(run: Callable[..., object], small: Path) -> None:
    """A part that is not there is exit code 2 and a suggestion."""
    ran = run("print-config", small, "--key", "optimizer.lrr")
    assert ran.code == 2
    assert "Did you mean 'lr'?" in ran.err


def test_overrides_are_spread_over_words_and_flags(run: Callable[..., object], small: Path) -> None:
    """Several words after one flag, repeated flags and flag=word come to the same."""
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
    ("words", "said"), [(["--version"], "cfgtrain "), (["--help"], "print-config"), (["-h"], "train")]
)
def test_help_and_version(words: list[str], said: str, run: Callable[..., object]) -> None:
    """--help lists the commands and --version prints the version."""
    ran = run(*words)
    assert ran.code == 0
    assert said in ran.out


def test_a_value_of_another_type_is_told(run: Callable[..., object], small: Path) -> None:
    """The value is set all the same, and the warning has the place of what it replaces."""
    ran = run("print-config", small, "--key", "optimizer.lr", "--cfg-options", "optimizer.lr=fast")
    assert (ran.code, ran.out.strip()) == (0, "'fast'")
    assert "Warning: optimizer.lr is now a str 'fast'; the value that it replaces is a float 0.1 (" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(small: Path) -> None:
    """Output that cannot be written is one message and exit code 1."""
    command = [sys.executable, "-m", "cfgtrain", "print-config", str(small)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: The output cannot be written: No space left on device."
