"""A command line with one option per leaf of a config."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.config.argparser import add_args

Write = Callable[[str, str], Path]

TEXT = """
model = dict(type='Net', depth=18, rate=0.5, frozen=True, size=(1, 2), empty={})
names = ['a', 'b']
nothing = None
none_yet = []
mixed = [dict(a=1)]
config = 'a key like the positional'
"""


@pytest.fixture
def parsed(write: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Return a function that parses a command line as a script would."""
    file = str(write("c.py", TEXT))

    def parse(*words: str) -> Config:
        monkeypatch.setattr("sys.argv", ["script", *(file if word == "CONFIG" else word for word in words)])
        parser, cfg = Config.auto_argparser("A script.")
        cfg.merge_from_args(parser.parse_args())
        return cfg

    return parse


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--model.type", "Other"], "model.type", "Other"),
        (["--model.type", "1"], "model.type", "1"),
        (["--model.depth", "34"], "model.depth", 34),
        (["--model.rate", "1"], "model.rate", 1.0),
        (["--no-model.frozen"], "model.frozen", False),
        (["--model.size", "3", "4", "5"], "model.size", (3, 4, 5)),
        (["--names", "c"], "names", ["c"]),
        (["--nothing", "[1, x]"], "nothing", [1, "x"]),
        (["--none_yet", "(1,)"], "none_yet", (1,)),
        (["--model.empty", "{a: 1}"], "model.empty", {"a": 1}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_options(words: list[str], key: str, value: Any, first: bool, parsed: Callable[..., Config]) -> None:
    """An option has the type of its leaf, may follow the config, and is the origin of the value."""
    if len(words) > 2 and not first:
        first = True  # otherwise the config would be parsed as an item of a list
    cfg = parsed("CONFIG", *words) if first or key == "names" else parsed(*words, "CONFIG")
    found: Any = cfg
    for part in key.split("."):
        found = found[part]
    assert (found, type(found) in (type(value), type(cfg.model))) == (value, True)
    assert str(cfg.origin(key)).startswith(f"--{key}")


def test_nothing_given_changes_nothing(parsed: Callable[..., Config], write: Write) -> None:
    """Without options the config is the file."""
    assert parsed("CONFIG") == Config.fromfile(write("again.py", TEXT))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--model.depth", "3"],
        ["CONFIG", "--model.depth", "x"],
        ["CONFIG", "--nothing", "[1"],
        ["CONFIG", "--mdoel", "1"],
    ],
)
def test_wrong_command_lines(words: list[str], parsed: Callable[..., Config]) -> None:
    """Wrong command lines are reported by argparse."""
    with pytest.raises(SystemExit) as caught:
        parsed(*words)
    assert caught.value.code == 2


def test_help(parsed: Callable[..., Config], capsys: pytest.CaptureFixture[str]) -> None:
    """With a config, --help lists its leaves; without a config, it shows the usage."""
    for words, shown in ((["CONFIG", "--help"], "--model.depth INT"), (["--help"], "path of the config")):
        with pytest.raises(SystemExit) as caught:
            parsed(*words)
        assert caught.value.code == 0
        assert shown in capsys.readouterr().out


def test_keys_with_a_meaning_in_argparse(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key named help or no-x gets an option; a key that cannot be written as a dotted key does not."""
    file = write("odd.yaml", "help: 1\nno-x: 2\nx: true\n'a.b': 3\n5: 4\n")
    monkeypatch.setattr("sys.argv", ["script", str(file), "--help", "7"])
    parser, cfg = Config.auto_argparser()
    cfg.merge_from_args(parser.parse_args())
    assert cfg == {"help": 7, "no-x": 2, "x": True, "a.b": 3, 5: 4}
    assert "--a.b" not in parser.format_help()
    assert "--5" not in parser.format_help()


def test_options_of_the_script_are_not_merged(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script may add its own options to the parser; they do not change the config."""
    monkeypatch.setattr("sys.argv", ["script", str(write("c.py", "lr = 0.1")), "--lr", "0.2", "--extra", "x"])
    parser, cfg = Config.auto_argparser()
    parser.add_argument("--extra")
    cfg.merge_from_args(parser.parse_args())
    assert cfg == {"lr": 0.2}


def test_add_args_extends_a_parser() -> None:
    """The options of a dict are added to an existing parser."""
    parser = add_args(argparse.ArgumentParser(), {"a": {"b": 1}})
    assert vars(parser.parse_args(["--a.b", "2"])) == {"a.b": 2}
    assert vars(parser.parse_args([])) == {}
