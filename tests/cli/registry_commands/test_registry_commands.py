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
    """Limit the known registries to those of cfgtrain and one of pets."""
    pets = Registry("small pet", scope="zoo")
    pets.register_module(module=Cat)
    pets.register_module(module=Catfish)
    builtin = [each for each in (*vars(cfgtrain.registries).values(), MODELS) if isinstance(each, Registry)]
    monkeypatch.setattr(cfgtrain.registry.registry, "_registries", weakref.WeakSet([*builtin, pets]))
    return pets


@pytest.fixture
def project(write: Write) -> Path:
    """A config that imports a module from its own folder."""
    write("project/till_parts.py", PARTS.format(scope="tills"))
    return write("project/cfg.py", "custom_imports = dict(imports=['till_parts'])\n")


def test_list_of_registries(run: Run) -> None:
    """Each registry has a line with its name, scope, number of names, and names."""
    ran = run("list")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    assert {"dataset", "hook", "model", "optimizer", "pipeline", "runner", "sampler"} <= {
        line[0] for line in lines
    }
    assert ["small", "pet", "zoo", "2", "Cat,", "Catfish"] in lines


def test_list_of_registries_is_wrapped_on_a_terminal(pets: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are wrapped to the width of the terminal, without breaking a name."""
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
def test_list_of_one_registry(word: str, run: Run) -> None:
    """Each name has the summary of its docstring. The registry may be in plural and upper case."""
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
def test_patterns(words: list[str], names: list[str], run: Run) -> None:
    """A part of a name or a glob selects names in one or all registries, ignoring case."""
    assert [line.split()[0] for line in run("list", *words).out.splitlines()] == names


def test_an_empty_registry(pets: Registry, run: Run) -> None:
    """An empty registry is reported as such."""
    pets.module_dict.clear()
    assert "The small pet registry is empty." in run("list", "small pet").err


def test_list_with_a_config(project: Path, run: Run) -> None:
    """With ``--config``, names that its modules register are listed with their scope."""
    lines = [line.split(maxsplit=1) for line in run("list", "model", "--config", project).out.splitlines()]
    assert ["tills.Till", "Adds it all up."] in lines
    assert ["tills.Bare", "till_parts.Bare"] in lines  # not the docstring of nn.Module


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["list", "smal pet"], "Did you mean 'small pet'?"),
        (["list", "smal pet", "x"], "There is no registry 'smal pet'. Did you mean 'small pet'?"),
        (["list", "hook", "chekpoint"], "No name in the hook registry matches 'chekpoint'. Did you mean 'CheckpointHook'"),
        (["list", "hook", "step*r"], "No name in the hook registry matches 'step*r'."),
        (["list", "small pet", "fish*"], "Without the *, 'fish' matches 'Catfish'."),
        (["list", "hook", "updater*"], "Without the *, 'updater' matches 'CosineAnnealing"),
        (["list", "--config", "missing.py"], "missing.py"),
        (["list", "--cfg-options", "a=1"], "--config"),
        (["show", "Resiz"], "Did you mean 'Resize'?"),
        (["show", "torch.nn.Gelu"], "Did you mean 'torch.nn.GELU'"),
        (["show", "hooks"], "`cfgtrain list hooks`"),
        (["show", "zzzzzz"], "`cfgtrain list` lists all registries."),
    ],
)  # fmt: skip
def test_mistakes_are_reported(words: list[str], text: str, run: Run) -> None:
    """The message has a suggestion, and the exit code is that of wrong usage."""
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err


def test_show(project: Path, run: Run) -> None:
    """``show`` prints registry, signature, documentation, source and config snippet, with or without the scope."""
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
        "    # and more keyword arguments\n"
        ")\n"
    )


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("SGD", "optimizer = dict(\n    type='SGD',\n    lr=0.001,"),  # train() passes params
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
def test_snippet_has_the_config_key(name: str, begin: str) -> None:
    """A snippet begins with the config key that the entry belongs to."""
    assert snippet(find(name)[0]).startswith(begin)


def test_every_snippet_is_valid_python() -> None:
    """The snippet of every registered name is valid Python."""
    for entry in search("*", None):
        text = snippet(entry)
        namespace: dict[str, Any] = {}
        exec(text if " = " in text.partition("(")[0] else f"x = {text}", namespace)
        assert "params" not in str(namespace.get("optimizer", ""))


def test_json(project: Path, run: Run) -> None:
    """``list`` and ``show`` print registries, entries and details as JSON."""
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


def test_entry_without_source() -> None:
    """An entry without source and signature has a snippet too."""
    entry = Entry("builtins.dict", None, dict)
    assert (entry.place, entry.parameters) == ("", None)
    assert "its arguments are unknown" in snippet(entry)


def test_output_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, rows are cut off or wrapped, and details are coloured."""
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


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        ("conv layers", {"Conv1d", "Conv2d", "Conv3d", "Conv", "ConvWS", "ConvAWS", "Conv2dAdaptivePadding", "deconv"}),
        ("NORM_LAYERS", {"BN", "BN1d", "BN2d", "BN3d", "SyncBN", "GN", "LN", "IN", "IN1d", "IN2d", "IN3d"}),
        ("activation layer", {"ReLU", "GELU", "SiLU", "Mish", "Swish", "HSigmoid", "HSwish", "Clip"}),
        ("padding layer", {"zero", "reflect", "replicate"}),
        ("upsample layer", {"nearest", "bilinear", "pixel_shuffle", "deconv", "deconv3d", "carafe"}),
        ("plugin layer", {"ConvModule", "ContextBlock", "GeneralizedAttention", "NonLocal2d", "CrissCrossAttention"}),
        ("dropout layer", {"Dropout", "DropPath"}),
    ],
)  # fmt: skip
def test_layers_are_listed(run: Run, registry: str, names: set[str]) -> None:
    """The names of the layers are listed by registry, with the first sentence of their documentation."""
    out = run("list", registry).out
    found = {line.split()[0] for line in out.splitlines()}
    assert names <= found
    assert all(len(line.split()) > 1 for line in out.splitlines())


def test_the_snippet_of_a_layer_has_what_a_config_contains() -> None:
    """Arguments that the code around a layer passes, such as its channels, are not in the snippet."""
    entry = next(entry for entry in find("GN") if entry.registry is cfgtrain.registries.NORM_LAYERS)
    text = snippet(entry)
    assert "num_groups=...," in text
    assert "num_channels" not in text
