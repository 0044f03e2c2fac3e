"""``custom_imports`` of several configs: a union of bases, and no module that is dropped in silence."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.errors import ConfigImportError, ConfigKeyError, ConfigWarning

Write = Callable[[str, str], Path]
MODULES = ("ci_first", "ci_second", "ci_third")


@pytest.fixture(autouse=True)
def modules(write: Write, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that can be imported, and are forgotten after the test."""
    for name in MODULES:
        monkeypatch.syspath_prepend(write(f"{name}.py", "").parent)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def imported() -> list[str]:
    return [name for name in MODULES if name in sys.modules]


@pytest.mark.parametrize("suffix", ["py", "yaml", "json"])
def test_two_bases_are_united(suffix: str, write: Write) -> None:
    """The modules of both are imported, each once and in order; each has the line of its own base."""
    write("one.py", "custom_imports = dict(imports=['ci_first'])\na = 1\n")
    texts = {
        "py": "b = 1\ncustom_imports = dict(\n    imports=['ci_second', 'ci_first', 'ci_third'])\n",
        "yaml": "b: 1\ncustom_imports:\n  imports: [ci_second, ci_first, ci_third]\n",
        "json": '{"b": 1,\n"custom_imports": {\n"imports": ["ci_second", "ci_first", "ci_third"]}}\n',
    }
    write(f"two.{suffix}", texts[suffix])
    cfg = Config.fromfile(write("child.py", f"_base_ = ['one.py', 'two.{suffix}']\n"))
    assert cfg.custom_imports == {"imports": ["ci_first", "ci_second", "ci_third"]}
    assert imported() == list(MODULES)
    places = [str(cfg.origin(f"custom_imports.imports[{i}]")) for i in range(3)]
    assert [Path(place).name for place in places] == ["one.py:1", f"two.{suffix}:3", f"two.{suffix}:3"]
    assert (cfg.a, cfg.b) == (1, 1)


def test_three_bases_and_single_names(write: Write) -> None:
    """``imports`` may be one name; the union is a list with the right lines."""
    for i, name in enumerate(MODULES):
        write(f"base{i}.py", "\n" * i + f"custom_imports = dict(imports={name!r})\n")
    cfg = Config.fromfile(write("child.py", "_base_ = ['base0.py', 'base1.py', 'base2.py']\n"))
    assert cfg.custom_imports.imports == list(MODULES)
    assert [cfg.origin(f"custom_imports.imports[{i}]").line for i in range(3)] == [1, 2, 3]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("", "", None),
        (", allow_failed_imports=True", "", False),
        ("", ", allow_failed_imports=True", False),
        (", allow_failed_imports=True", ", allow_failed_imports=True", True),
        (", allow_failed_imports=True", ", allow_failed_imports=False", False),
    ],
)
def test_failures_are_allowed_if_both_bases_allow_them(
    first: str, second: str, joined: bool | None, write: Write
) -> None:
    """The stricter of two bases decides."""
    write("one.py", f"custom_imports = dict(imports=['ci_first']{first})\n")
    write("two.py", f"custom_imports = dict(imports=['ci_second']{second})\n")
    cfg = Config.fromfile(write("child.py", "_base_ = ['one.py', 'two.py']\n"))
    assert cfg.custom_imports.get("allow_failed_imports") is joined


def test_module_of_a_base_that_fails(write: Write) -> None:
    """The error has the place of that module, also among those of several bases."""
    write("one.py", "custom_imports = dict(imports=['ci_first'])\n")
    write("two.py", "\n\ncustom_imports = dict(imports=['ci_second', 'ci_missing'])\n")
    with pytest.raises(ConfigImportError, match="'ci_missing'") as caught:
        Config.fromfile(write("child.py", "_base_ = ['one.py', 'two.py']\n"))
    assert caught.value.key == "custom_imports.imports[2]"
    assert (Path(str(caught.value.file)).name, caught.value.line) == ("two.py", 3)


def test_reference_to_the_union(write: Write) -> None:
    """``{{_base_.custom_imports.imports}}`` is the list of all bases, so that it can be extended."""
    write("one.py", "custom_imports = dict(imports=['ci_first'])\n")
    write("two.py", "custom_imports = dict(imports=['ci_second'])\n")
    child = write(
        "child.py",
        "_base_ = ['one.py', 'two.py']\n"
        "custom_imports = dict(imports={{_base_.custom_imports.imports}} + ['ci_third'])\n",
    )
    assert Config.fromfile(child).custom_imports.imports == list(MODULES)


@pytest.mark.parametrize(
    "wrong", ["3", "dict()", "dict(imports=['ci_second'], allow=1)", "dict(imports=[1])"]
)
def test_invalid_form_is_not_united(wrong: str, write: Write) -> None:
    """What is not a list of modules is a key that two bases define, as any other."""
    write("one.py", "custom_imports = dict(imports=['ci_first'])\n")
    write("two.py", f"custom_imports = {wrong}\n")
    with pytest.raises(ConfigKeyError, match="Two bases define 'custom_imports'"):
        Config.fromfile(write("child.py", "_base_ = ['one.py', 'two.py']\n"))


def warnings_of(file: Path) -> tuple[list[str], Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cfg = Config.fromfile(file)
    return [str(each.message) for each in caught if issubclass(each.category, ConfigWarning)], cfg


def test_child_replaces_the_modules_of_its_base_with_a_warning(write: Write) -> None:
    """As in MMCV; the warning names the modules, their line and what keeps them."""
    write("base.py", "a = 1\ncustom_imports = dict(imports=['ci_first', 'ci_second'])\n")
    child = write(
        "child.py", "_base_ = 'base.py'\ncustom_imports = dict(\n    imports=['ci_second', 'ci_third'])\n"
    )
    (text,), cfg = warnings_of(child)
    assert cfg.custom_imports.imports == ["ci_second", "ci_third"]
    assert imported() == ["ci_second", "ci_third"]
    assert text.startswith("The module 'ci_first' (")
    assert "base.py:2) is no longer imported" in text
    assert "write imports=['ci_first', 'ci_second', 'ci_third']" in text
    assert text.endswith(f"at custom_imports.imports ({child}:3)")
    kept = child.read_text().replace("['ci_second', 'ci_third']", "['ci_first', 'ci_second', 'ci_third']")
    assert warnings_of(write("kept.py", kept))[0] == []


def test_several_modules_of_several_bases(write: Write) -> None:
    """All that are dropped are named."""
    write("one.py", "custom_imports = dict(imports='ci_first')\n")
    write("two.py", "custom_imports = dict(imports=['ci_second'])\n")
    child = write("child.py", "_base_ = ['one.py', 'two.py']\ncustom_imports = dict(imports='ci_third')\n")
    (text,), _ = warnings_of(child)
    assert text.startswith("The modules 'ci_first' and 'ci_second' (")
    assert "one.py:1, " in text
    assert "two.py:1) are no longer imported" in text


@pytest.mark.parametrize(
    "own",
    [
        "dict(_delete_=True, imports=['ci_third'])",  # replaces on purpose
        "None",
        "dict(allow_failed_imports=True)",
        "dict(imports=['ci_third', 'ci_first'])",
    ],
)
def test_no_warning(own: str, write: Write) -> None:
    """Nothing is dropped, or it is on purpose."""
    write("base.py", "custom_imports = dict(imports=['ci_first'])\n")
    assert warnings_of(write("child.py", f"_base_ = 'base.py'\ncustom_imports = {own}\n"))[0] == []


def test_override_on_the_command_line(write: Write, run: Callable[..., Any]) -> None:
    """The command line replaces the list as well, with the same warning."""
    config = write("base.py", "custom_imports = dict(imports=['ci_first'])\n")
    words = ["print-config", config, "--cfg-options"]
    text = run(*words, "custom_imports.imports=[ci_third]").err.replace("\n", " ")
    assert "The module 'ci_first' (" in text
    assert "--cfg-options custom_imports.imports=[ci_third])" in text
    assert run(*words, "custom_imports.imports=[ci_third]", "custom_imports._delete_=true").err == ""
    assert run(*words, "custom_imports.imports=[ci_first,ci_third]").err == ""
