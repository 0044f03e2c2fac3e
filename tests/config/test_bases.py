"""Find the configs that a config inherits from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.config.bases import locate_base
from cfgtrain.errors import ConfigNotFoundError
from cfgtrain.keys import setting

Write = Callable[[str, str], Path]


@pytest.fixture
def package(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that raises when it is imported, with configs in its folders."""
    home = write("site/withconfigs/__init__.py", "raise RuntimeError('imported')\n").parent
    write("site/withconfigs/own.py", "a = 'own'\n")
    write("site/withconfigs/configs/sub/listed.yaml", "a: listed\n")
    write("site/withconfigs/.mim/configs/mim.py", "a = 'mim'\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return home


@pytest.mark.parametrize(
    ("name", "value"), [("own.py", "own"), ("sub/listed.yaml", "listed"), ("mim.py", "mim")]
)
def test_a_base_in_a_package(name: str, value: str, package: Path, write: Write) -> None:
    """A config can be in an installed package, which is not imported."""
    child = write("c.py", f"_base_ = 'withconfigs::{name}'\nb = 1\n")
    assert Config.fromfile(child) == {"a": value, "b": 1}
    assert Config.fromfile(f"withconfigs::{name}") == {"a": value}


def test_a_base_of_cfgtrain_itself(write: Write, configs: Path) -> None:
    """The configs of the repository are in the package, too."""
    name = "_base_/default_runtime.py"
    assert Config.fromfile(write("c.py", f"_base_ = 'cfgtrain::{name}'\n")) == Config.fromfile(configs / name)


def test_the_runtime_suits_both_runners() -> None:
    """The shipped runtime leaves every interval in epochs or iterations to the defaults of the runner."""
    cfg = Config.fromfile("cfgtrain::_base_/default_runtime.py")
    intervals = [setting(cfg, "checkpoint_config", by_epoch)["interval"] for by_epoch in (True, False)]
    assert (intervals, setting(cfg, "evaluation")) == ([1, 1000], None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nopackage::a.py", "is in the package 'nopackage', which is not installed"),
        ("json.decoder::a.py", "is in the package 'json.decoder', which is not installed"),
        ("textwrap::a.py", "is in the package 'textwrap', which is not installed"),
        ("withconfigs::a.py", "The package 'withconfigs' has no config 'a.py'; searched"),
        ("withconfigs::sub/listd.yaml", "Did you mean 'listed.yaml'?"),
    ],
)
def test_missing_packages_and_configs(name: str, message: str, package: Path, write: Write) -> None:
    """The error says whether the package or the config is missing, with the line of _base_."""
    with pytest.raises(ConfigNotFoundError, match=message) as caught:
        Config.fromfile(write("c.py", f"a = 1\n_base_ = {name!r}\n"))
    assert (caught.value.line, caught.value.key) == (2, "_base_")


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name is relative to the given folder; an absolute path and ~ are not."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate_base("../b.py", str(tmp_path / "sub")) == str(tmp_path / "b.py")
    assert locate_base("~/b.py", "anywhere") == str(tmp_path / "b.py")
    assert locate_base(str(tmp_path / "b.py"), "anywhere") == str(tmp_path / "b.py")


@pytest.mark.parametrize("base", ["None", "[]", "()"])
def test_no_base(base: str, write: Write) -> None:
    """None and an empty list name no base, also in a file with environment variables."""
    assert Config.fromfile(write("c.py", f"_base_ = {base}\na = 1\n")) == {"a": 1}
    assert Config.fromfile(write("d.py", f"_base_ = {base}\na = '{{{{$UNSET_NAME:x}}}}'\n")) == {"a": "x"}


@pytest.mark.parametrize(
    "bases", ["['a.yaml', 'b.json']", "('a.yaml', 'b.json')", "[f'{n}' for n in ('a.yaml', 'b.json')]"]
)
def test_several_bases(bases: str, write: Write) -> None:
    """A list, a tuple and an expression can name several bases, of any format."""
    write("a.yaml", "a: 1\n")
    write("b.json", '{"b": {"c": 2}}')
    assert Config.fromfile(write("c.py", f"_base_ = {bases}\nb = dict(d=3)\n")) == {
        "a": 1,
        "b": {"c": 2, "d": 3},
    }
