"""``cfgtrain list`` and ``cfgtrain show``."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

import cfgtrain.registries
from cfgtrain.cnn import MODELS
from cfgtrain.registry.registry import Registry
from cfgtrain_cli import columns
from cfgtrain_cli.registry_commands import report
from cfgtrain_cli.registry_commands.catalog import Entry, find, search
from cfgtrain_cli.registry_commands.snippet import snippet

Write = Callable[[str, str], Path]
Run = Callable[..., Any]

PARTS = '''
from torch import nn
from cfgtrain import Registry
from cfgtrain.cnn import MODELS

SHOP = Registry("model", parent=MODELS, scope="{scope}")


@SHOP.register_module()
class Till(nn.Module):
    """Adds it all up.

    Args:
        keys: How many it has.
    """

    def __init__(self, keys: int, drawer=nn.ReLU, tax: float = 0.2, **rest):
        super().__init__()


@SHOP.register_module()
class Bare(nn.Module):
    pass
'''


class Cat:
    """Purrs."""


class Catfish:
    """Swims.

    It does not purr.
    """


@pytest.fixture(autouse=True)
def pets(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Know the registries of cfgtrain and one of pets, not those that other tests made and left."""
    pets = Registry("small pet", scope="zoo")
    pets.register_module(module=Cat)
    pets.register_module(module=Catfish)
    own = [each for each in (*vars(cfgtrain.registries).values(), MODELS) if isinstance(each, Registry)]
    monkeypatch.setattr(cfgtrain.registry.registry, "_registries", weakref.WeakSet([*own, pets]))
    return pets


@pytest.fixture
def project(write: Write) -> Path:
    """A config in a folder of its own that imports a module from there."""
    write("project/till_parts.py", PARTS.format(scope="tills"))
    return write("project/cfg.py", "custom_imports = dict(imports=['till_parts'])\n")


def test_the_registries_are_listed(run: Run) -> None:
    """Each registry has a line with its scope, how many names it holds, and which."""
    ran = run("list")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    assert {"dataset", "hook", "model", "optimizer", "pipeline", "runner", "sampler"} <= {
        line[0] for line in lines
    }
    assert ["small", "pet", "zoo", "2", "Cat,", "Catfish"] in lines


def test_a_terminal_folds_the_registries(pets: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room, the names go on below each other, each whole."""
    out = io.StringIO()
    monkeypatch.setattr(
        columns, "Console", lambda **options: Console(file=out, force_terminal=True, width=44)
    )
    for name in ("Lion", "Tiger", "Leopard", "Cheetah"):
        pets.register_module(name, module=dict)
    report.print_registries([pets])
    lines = Text.from_ansi(out.getvalue()).plain.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 44
    assert [word for line in lines for word in line.replace(",", " ").split()][4:] == sorted(pets)


@pytest.mark.parametrize("word", ["small pet", "small-pets", "SMALL_PETS"])
def test_a_registry_is_listed(word: str, run: Run) -> None:
    """Its names come with the first sentence of what they are; plural and capitals will do."""
    assert run("list", word).out == "Cat      Purrs.\nCatfish  Swims.\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["small pet", "cat"], ["Cat", "Catfish"]),
        (["small pet", "FISH"], ["Catfish"]),
        (["small pet", "ca?"], ["Cat"]),
        (["small pet", "*fish"], ["Catfish"]),
        (["catfi"], ["Catfish"]),
        (["StepLrUpdater*"], ["StepLrUpdaterHook"]),
    ],
)
def test_a_pattern_picks_names(words: list[str], names: list[str], run: Run) -> None:
    """A part of a name or a glob, in one registry or in all; case does not matter."""
    assert [line.split()[0] for line in run("list", *words).out.splitlines()] == names


def test_an_empty_registry(pets: Registry, run: Run) -> None:
    """A registry that holds nothing says so."""
    pets.module_dict.clear()
    assert "The small pet registry is empty." in run("list", "small pet").err


def test_a_project_is_listed(project: Path, run: Run) -> None:
    """With --config what its modules register is there, in the scope that a config has to name."""
    lines = run("list", "model", "--config", project).out.splitlines()
    assert "tills.Till       Adds it all up." in lines
    assert "tills.Bare       till_parts.Bare" in lines  # not the words of nn.Module


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["list", "smal pet"], "Did you mean 'small pet'?"),
        (["list", "smal pet", "x"], "There is no registry 'smal pet'. Did you mean 'small pet'?"),
        (["list", "hook", "chekpoint"], "The hook registry holds nothing like 'chekpoint'. Did you mean 'CheckpointHook'"),
        (["list", "hook", "step*r"], "The hook registry holds nothing like 'step*r'."),
        (["list", "small pet", "fish*"], "'fish' without the * is in 'Catfish'."),
        (["list", "hook", "updater*"], " without the * is in 'CosineAnnealing"),
        (["list", "--config", "missing.py"], "missing.py"),
        (["list", "--cfg-options", "a=1"], "--config"),
        (["show", "Resiz"], "Did you mean 'Resize'?"),
        (["show", "torch.nn.Gelu"], "Did you mean 'torch.nn.GELU'"),
        (["show", "hooks"], "`cfgtrain list hooks`"),
        (["show", "zzzzzz"], "`cfgtrain list` shows the registries."),
    ],
)  # fmt: skip
def test_a_slip_is_told(words: list[str], text: str, run: Run) -> None:
    """The message has what was probably meant, and the exit code is that of wrong usage."""
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err


def test_all_of_a_thing_is_shown(project: Path, run: Run) -> None:
    """Registry, signature, documentation, place and a config to paste; the scope need not be typed."""
    out = run("show", "Till", "--config", project).out
    assert run("show", "tills.Till", "--config", project).out == out
    assert "tills.Till  model registry, scope tills\n" in out
    assert "Till(keys: int, drawer=ReLU, tax: float = 0.2, **kwargs)" in out
    assert "Adds it all up.\n\nArgs:\n    keys: How many it has.\n" in out
    assert f"till_parts.Till\n{project.parent / 'till_parts.py'}:9\n" in out
    assert out.endswith(
        "model = dict(\n"
        "    type='tills.Till',\n"
        "    keys=...,  # int\n"
        "    # drawer=ReLU,\n"
        "    tax=0.2,\n"
        "    # and what else it takes by name\n"
        ")\n"
    )


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("SGD", "optimizer = dict(\n    type='SGD',\n    lr=0.001,"),  # params is what train() gives
        ("EpochBasedRunner", "runner = dict(\n    type='EpochBasedRunner',"),
        ("StepLrUpdaterHook", "lr_config = dict(\n    policy='step',\n    step=...,  # "),
        ("CosineAnnealingLrUpdaterHook", "lr_config = dict(\n    policy='CosineAnnealing',"),
        ("CheckpointHook", "checkpoint_config = dict(\n    interval="),
        ("TextLoggerHook", "log_config = dict(hooks=[dict(\n    type='TextLoggerHook',"),
        ("EvalHook", "custom_hooks = [dict(\n    type='EvalHook',"),
        ("Resize", "dict(\n    type='Resize',\n    scale=...,"),
        ("mmcv.Resize", "dict(\n    type='mmcv.Resize',"),
        ("torch.nn.GELU", "dict(\n    type='torch.nn.GELU',\n    approximate='none',\n)"),
    ],
)
def test_a_config_stands_where_it_belongs(name: str, begin: str) -> None:
    """The lines to paste say the key of the config that the thing belongs to."""
    assert snippet(find(name)[0]).startswith(begin)


def test_every_snippet_is_python() -> None:
    """The lines to paste are valid, and build a dict of the arguments, for whatever is registered."""
    for entry in search("*", None):
        text = snippet(entry)
        namespace: dict[str, Any] = {}
        exec(text if " = " in text.partition("(")[0] else f"x = {text}", namespace)
        assert "params" not in str(namespace.get("optimizer", ""))


def test_both_commands_speak_json(project: Path, run: Run) -> None:
    """Registries, entries and all that is known of one are printed as JSON."""
    by_name = {each["name"]: each for each in json.loads(run("list", "--json").out)}
    assert by_name["small pet"] == {
        "name": "small pet",
        "scope": "zoo",
        "parent": None,
        "entries": ["Cat", "Catfish"],
    }
    assert [each["name"] for each in json.loads(run("list", "small pet", "--json").out)] == ["Cat", "Catfish"]
    (till,) = json.loads(run("show", "Till", "--json", "-c", project).out)
    assert (till["name"], till["registry"], till["scope"], till["path"]) == (
        "tills.Till",
        "model",
        "tills",
        "till_parts.Till",
    )
    assert till["arguments"] == [
        {"name": "keys", "type": "int", "required": True},
        {"name": "drawer", "type": None, "required": False, "default": "ReLU"},
        {"name": "tax", "type": "float", "required": False, "default": "0.2"},
    ]
    assert till["documentation"].startswith("Adds it all up.")
    assert till["config"].startswith("model = dict(")


def test_builtins_are_shown() -> None:
    """A thing without source, signature and own documentation breaks nothing."""
    entry = Entry("builtins.dict", None, dict)
    assert (entry.place, entry.parameters) == ("", None)
    assert "its arguments cannot be read" in snippet(entry)


def test_a_terminal_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal rows are cut to its width or wrapped, and details are coloured."""
    out = io.StringIO()

    def terminal(**options: Any) -> Console:
        return Console(
            file=out, force_terminal=True, width=30, no_color=False, color_system="standard", **options
        )

    monkeypatch.setattr(columns, "Console", terminal)
    monkeypatch.setattr(report, "Console", terminal)
    columns.print_columns([("name", "word " * 20)], ("bold", ""))
    assert out.getvalue().count("\n") == 1
    assert "…" in out.getvalue()
    columns.print_columns([("name", "word " * 20)], ("bold", ""), wrap=True)
    assert out.getvalue().count("word") > 20
    report.print_details(find("Resize"))
    assert "\x1b[1mResize" in out.getvalue()
    assert "Target size (w, h)" in out.getvalue()
