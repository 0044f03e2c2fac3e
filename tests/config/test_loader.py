"""Loading one config file and its bases."""

from __future__ import annotations

import builtins
import json
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cfgtrain import Config, ConfigDict
from cfgtrain.config.loader import load_file, load_text
from cfgtrain.errors import (
    ConfigCycleError,
    ConfigFormatError,
    ConfigKeyError,
    ConfigMergeError,
    ConfigNotFoundError,
    ConfigSyntaxError,
    ConfigValueError,
    ConfigWarning,
)

Write = Callable[[str, str], Path]


def load(file: str | Path) -> dict[str, Any]:
    return load_file(file).tree.to_dict()


# ---------------------------------------------------------------------------- one file

SAME = {"a": 1, "b": {"c": [1, {"d": None}], "e": 0.5}, "f": "x"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "a = 1\nb = dict(c=[1, dict(d=None)], e=0.5)\nf = 'x'\n"),
        ("c.json", json.dumps(SAME)),
        ("c.yaml", yaml.safe_dump(SAME)),
        ("c.yml", yaml.safe_dump(SAME)),
        ("a.b.c.py", "a = 1\nb = dict(c=[1, dict(d=None)], e=0.5)\nf = 'x'\n"),
    ],
)
def test_all_formats_give_the_same_config(name: str, text: str, write: Write) -> None:
    """Python, JSON and YAML files give the same config, with ConfigDicts at every level."""
    cfg = load_file(write(name, text)).tree
    assert cfg == SAME
    assert type(cfg) is type(cfg.b) is type(cfg.b.c[1]) is ConfigDict


def test_keys_keep_the_order_of_the_file(write: Write) -> None:
    """Keys are in the order of their first occurrence in the file."""
    assert list(load(write("c.py", "b = 1\na = 2\nc = 3\nb = 4\n"))) == ["b", "a", "c"]


@pytest.mark.parametrize("name", ["c.py", "c.json", "c.yaml"])
@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_an_empty_config(name: str, text: str, write: Write) -> None:
    """An empty file has no keys."""
    assert load(write(name, text)) == {}


PYTHON = """
import os
import os.path as p
from collections import OrderedDict
from math import *

__private = 1
_kept = 2
file = __file__
name = __name__


def double(x):
    return 2 * x


class Thing:
    pass


triple = lambda x: 3 * x
a = double(2)
b = [triple(i) for i in range(3)]
c = dict(type=OrderedDict, thing=Thing())
d = len
"""


def test_the_keys_of_a_python_config(write: Write) -> None:
    """Data is kept; modules, functions, classes and names that begin with two underscores are not."""
    file = write("c.py", PYTHON)
    cfg = load(file)
    assert set(cfg) == {"_kept", "file", "name", "a", "b", "c", "pi", "e", "tau", "inf", "nan"}
    assert (cfg["a"], cfg["b"], cfg["c"]["type"].__name__) == (4, [0, 3, 6], "OrderedDict")
    assert (cfg["file"], cfg["name"]) == (str(file), "<config>")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", '{"__a": 1, "b": {"__c": 2}}'),
        ("c.yaml", "__a: 1\nb: {__c: 2}\n"),
        ("c.py", "__a = 1\nb = dict(__c=2)\n"),
    ],
)
def test_dunder_keys_are_dropped_at_the_top_only(name: str, text: str, write: Write) -> None:
    """In every format, keys that begin with two underscores are private at the top level and data below."""
    assert load(write(name, text)) == {"b": {"__c": 2}}


def test_functions_of_a_config_see_its_names(write: Write) -> None:
    """A function or comprehension in a config can read names that are set after it, as in any module."""
    text = "def area():\n    return width * height\nwidth, height = 2, 3\nsize = area()\n"
    assert load(write("c.py", text)) == {"width": 2, "height": 3, "size": 6}


def test_a_config_may_load_another(write: Write) -> None:
    """A Config that a config loads is a value with attribute access and can be used in expressions."""
    write("a.py", "x = dict(y=1)\n")
    cfg = load_file(
        write("c.py", "from cfgtrain import Config\na = Config.fromfile('a.py')\nb = a.x.y + 1\n")
    )
    assert cfg.tree.a.x.y == 1
    assert cfg.tree.b == 2
    assert "Config" not in cfg.tree


def test_loading_leaves_no_trace_in_the_process(write: Write) -> None:
    """Loading changes neither sys.path nor sys.modules and writes no file, even if it fails."""
    write("c.py", "a = 1\n")
    write("bad.py", "1 / 0\n")
    before = list(sys.path), set(sys.modules), sorted(Path().iterdir())
    load("c.py")
    with pytest.raises(ZeroDivisionError):
        load("bad.py")
    assert (list(sys.path), set(sys.modules), sorted(Path().iterdir())) == before


def test_a_failing_config_shows_its_own_line(write: Write) -> None:
    """An exception from the code of a config is not caught, and its traceback has the line of the file."""
    file = write("c.py", "a = 1\nb = a / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        load(file)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno, last.line) == (str(file), 2, "b = a / 0")


def test_threads_can_load_configs(write: Write) -> None:
    """Configs of the same name in several folders can be loaded at the same time."""
    folders = range(8)
    for i in folders:
        write(f"{i}/base.py", f"base = {i}\n")
        write(f"{i}/c.py", f"_base_ = 'base.py'\na = {i}\n")
    found: dict[int, object] = {}
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, load(f"{i}/c.py"))) for i in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: {"base": i, "a": i} for i in folders}


# ------------------------------------------------------------------------ what can be wrong


def test_a_missing_config_is_suggested(write: Write) -> None:
    """A missing file is a FileNotFoundError that suggests a similar config of the folder."""
    write("resnet.py", "")
    with pytest.raises(FileNotFoundError, match=r"'resnt\.py' does not exist\. Did you mean 'resnet\.py'"):
        load("resnt.py")


@pytest.mark.parametrize("name", ["nowhere/c.py", "c.jpg"])
def test_a_missing_file_is_reported_first(name: str) -> None:
    """A missing folder, and a missing file of an unknown format, are reported as a missing file."""
    with pytest.raises(ConfigNotFoundError):
        load(name)


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    """A folder is a FileNotFoundError that says that it is a folder."""
    (tmp_path / "c.py").mkdir()
    with pytest.raises(ConfigNotFoundError, match="is a folder"):
        load("c.py")


@pytest.mark.parametrize("name", ["c.jpg", "c.txt", "c", "c.PY", "c.json5"])
def test_an_unknown_extension_is_rejected(name: str, write: Write) -> None:
    """Any extension but the four, in lower case, is an OSError."""
    with pytest.raises(OSError, match=r"\.py, \.json, \.yaml, \.yml") as caught:
        load(write(name, "a = 1"))
    assert type(caught.value) is ConfigFormatError


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("c.py", "a = 1\nb = = 2\n", 2, "There are syntax errors in config file {file}"),
        ("c.py", "_base_ = []\nb = [\n", 2, "There are syntax errors in config file {file}"),
        ("c.py", "a = 1\nreturn\n", 2, "'return' outside function"),
        ("c.py", "a = '\0'\n", None, "There are syntax errors in config file {file}"),
        ("c.json", '{"a": 1,\n "b" 2}', 2, "not valid JSON"),
        ("c.json", "{'a': 1}", 1, "not valid JSON"),
        ("c.yaml", "a: 1\nb: [1\n", 3, "not valid YAML"),
        ("c.yaml", "a: 1\nb: !!python/object/apply:os.getcwd []\n", 2, "not valid YAML"),
        ("c.yaml", "a: {[1]: 2}\n", 1, "not valid YAML"),
        ("c.yaml", "a: \x01\n", None, "not valid YAML"),
        ("c.yaml", "a: 2020-13-45\n", None, "not valid YAML"),
    ],
)
def test_syntax_errors(name: str, text: str, line: int | None, message: str, write: Write) -> None:
    """A text that cannot be parsed is a SyntaxError with the file, and the line if the parser knows it."""
    file = write(name, text)
    with pytest.raises(SyntaxError) as caught:
        load(file)
    assert type(caught.value) is ConfigSyntaxError
    assert message.format(file=file) in str(caught.value)
    assert (caught.value.file, caught.value.line) == (str(file), line)


def test_a_config_is_utf_8(tmp_path: Path) -> None:
    """A file in another encoding is an error of the config."""
    (tmp_path / "c.py").write_bytes(b"a = '\xff'\n")
    with pytest.raises(ConfigSyntaxError, match="not UTF-8 text"):
        load("c.py")


def test_text_beyond_ascii(write: Write) -> None:
    """The file is read as UTF-8 in any locale."""
    assert load(write("c.yaml", "größe: 'naïve ☃'\n")) == {"größe": "naïve ☃"}


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("c.json", "[1]", "a list"),
        ("c.yaml", "- 1\n", "a list"),
        ("c.yaml", "x", "a str"),
        ("c.yaml", "3", "an int"),
    ],
)
def test_a_config_is_a_mapping(name: str, text: str, kind: str, write: Write) -> None:
    """JSON and YAML files with another value are a TypeError with its type."""
    with pytest.raises(ConfigMergeError, match=f"mapping of keys to values; this file holds {kind}"):
        load(write(name, text))


def test_yaml_runs_no_code(write: Write) -> None:
    """A YAML config with a call is rejected and the call is not made."""
    file = write("c.yaml", "a: !!python/object/apply:os.mkdir [made]\n")
    with pytest.raises(ConfigSyntaxError):
        load(file)
    assert not Path("made").exists()


# -------------------------------------------------------------------------------- bases


def test_bases_of_all_formats(write: Write) -> None:
    """A Python config may extend YAML that extends JSON; each path is relative to the file that it is in."""
    write("base/a.json", '{"a": 1, "x": {"a": 1, "l": [1]}}')
    write("base/b.yaml", "_base_: a.json\nb: 2\nx: {b: 2}\n")
    write("c.py", "_base_ = ['./base/b.yaml']\nc = 3\nx = dict(c=3, l=[2])\n")
    wanted = {"a": 1, "x": {"a": 1, "l": [2], "b": 2, "c": 3}, "b": 2, "c": 3}
    cfg = load("c.py")
    assert cfg == wanted
    assert list(cfg) == list(wanted)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "_base_ = 'a.py'\n"),
        ("c.py", "_base_ = ['a.py']\n"),
        ("c.py", "_base_ = ('a.py',)\n"),
        ("c.py", "_base_ = './sub/../a.py'\n"),
        ("c.py", "_base_: str = 'a.py'\n"),
        ("c.py", "name = 'a'\n_base_ = name + '.py'\ndel name\n"),
        ("c.py", "import pathlib\n_base_ = pathlib.Path('a.py')\n"),
        ("c.py", "_base_ = 'nothing.py'\n_base_ = 'a.py'\n"),
        ("c.json", '{"_base_": "a.py"}'),
        ("c.yaml", "_base_: [a.py]\n"),
    ],
)
def test_ways_to_name_a_base(name: str, text: str, write: Write) -> None:
    """A base is a path or a list of paths, as a literal or an expression, and the key is removed."""
    write("a.py", "a = 1\n")
    assert load(write(name, text)) == {"a": 1}


def test_a_base_may_be_absolute(write: Write) -> None:
    """An absolute path is used as it is."""
    base = write("elsewhere/a.py", "a = 1\n")
    assert load(write("c.py", f"_base_ = {str(base)!r}\n")) == {"a": 1}


def test_an_empty_list_of_bases(write: Write) -> None:
    """An empty list of bases inherits nothing."""
    assert load(write("c.py", "_base_ = []\na = 1\n")) == {"a": 1}


@pytest.mark.parametrize(
    ("base", "child", "merged"),
    [
        ("a = [1, 2]\nb = dict(a=0)\n", "a = dict(a=0, _delete_=True)\nb = dict(b=0)\n", {"a": {"a": 0}, "b": {"a": 0, "b": 0}}),
        ("a = 1\nb = 2\n", "_delete_ = True\nc = 3\n", {"c": 3}),
        ("a = dict(b=dict(c=1))\n", "a = dict(b=dict(_delete_=True))\n", {"a": {"b": {}}}),
        ("a = dict(_delete_=True, b=1)\n", "", {"a": {"b": 1}}),
        ("_delete_ = True\na = 1\n", "b = 2\n", {"a": 1, "b": 2}),
        ("a = None\n", "a = dict(b=1)\n", {"a": {"b": 1}}),
        ("a = dict(b=1)\n", "a = 3\n", {"a": 3}),
    ],
)  # fmt: skip
def test_a_child_is_merged_over_its_base(base: str, child: str, merged: dict[str, Any], write: Write) -> None:
    """Dicts of files are merged, _delete_ works at every level and is removed."""
    write("a.py", base)
    assert load(write("c.py", "_base_ = 'a.py'\n" + child)) == merged


def test_expressions_of_a_base_are_not_run_again(write: Write) -> None:
    """A value that the base computed from a variable does not change if the child sets the variable."""
    write("a.py", "item = dict(b=1)\ncopy = dict(cfg=item)\n")
    cfg = load(write("c.py", "_base_ = 'a.py'\nitem = dict(b=2)\n"))
    assert cfg == {"item": {"b": 2}, "copy": {"cfg": {"b": 1}}}


def test_a_dict_over_a_value_has_a_location(write: Write) -> None:
    """A dict over a value that is not a dict is a TypeError with the key path and the line of the child."""
    write("a.py", "x = dict(y=True)\n")
    with pytest.raises(ConfigMergeError, match="_delete_=True") as caught:
        load(write("c.py", "_base_ = 'a.py'\nx = dict(\n    y=dict(z=1))\n"))
    assert (caught.value.key, caught.value.line) == ("x.y", 3)


def test_bases_do_not_share_a_key(write: Write) -> None:
    """A top-level key in two bases is a KeyError with both places."""
    write("a.py", "x = 1\n")
    write("b.py", "y = 2\nx = 1\n")
    with pytest.raises(KeyError, match=r"Two bases define 'x': a\.py:1 and b\.py:2\.") as caught:
        load(write("c.py", "_base_ = ['a.py', 'b.py']\n"))
    assert type(caught.value) is ConfigKeyError


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a.py"], "a.py -> a.py"),
        (["a.py", "b.py"], "a.py -> b.py -> a.py"),
        (["a.py", "b.yaml", "sub/c.json"], "a.py -> b.yaml -> sub/c.json -> a.py"),
    ],
)
def test_a_cycle_of_bases_is_shown(names: list[str], text: str, write: Write, tmp_path: Path) -> None:
    """Configs that inherit from each other are an error that shows the cycle."""
    say = {".py": "_base_ = {!r}", ".yaml": "_base_: {}", ".json": '{{"_base_": "{}"}}'}
    for name, base in zip(names, [*names[1:], names[0]], strict=True):
        write(name, say[Path(name).suffix].format(str(tmp_path / base)))
    with pytest.raises(ConfigCycleError) as caught:
        load(names[0])
    assert f"in a cycle: {text}." in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_only_the_cycle_is_shown(write: Write) -> None:
    """A file that inherits from the cycle but is not in it is not shown."""
    write("a.py", "_base_ = 'b.py'\n")
    write("b.py", "_base_ = 'a.py'\n")
    with pytest.raises(ConfigCycleError, match=r"cycle: a\.py -> b\.py -> a\.py\."):
        load(write("c.py", "_base_ = 'a.py'\n"))


def test_too_many_bases_are_rejected(write: Write) -> None:
    """Exponentially many files, and a long chain of files, are errors with a location."""
    for i in range(120):
        write(f"twice{i}.yaml", f"_base_: [twice{i + 1}.yaml, twice{i + 1}.yaml]")
        write(f"line{i}.yaml", f"_base_: line{i + 1}.yaml")
    write("twice30.yaml", "")
    for file, place in ("line0.yaml", "line99.yaml:1"), ("twice0.yaml", r"twice\d+.yaml:1"):
        with pytest.raises(ConfigValueError, match=rf"at most 100 levels and 1,000 files[^$]*{place}"):
            load(file)
    write("line99.yaml", "x: 1")
    assert load("line0.yaml") == {"x": 1}


def test_a_missing_base_has_a_location_and_a_suggestion(write: Write, tmp_path: Path) -> None:
    """The error has the path, a similar file, and the line of _base_."""
    write("base/model.py", "")
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'model\.py'") as caught:
        load(write("c.py", "a = 1\n_base_ = ['base/modle.py']\n"))
    assert str(tmp_path / "base" / "modle.py") in str(caught.value)
    assert (caught.value.line, caught.value.key) == (2, "_base_")  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["3", "[3]", "{'a': 1}", "[None]"])
def test_a_base_is_a_path(value: str, write: Write) -> None:
    """Anything but paths is a TypeError with the line of the key."""
    with pytest.raises(ConfigMergeError, match="_base_ names a config") as caught:
        load(write("c.py", f"\n_base_ = {value}\n"))
    assert caught.value.line == 2


# ---------------------------------------------------------------------------------- text


def test_the_text_of_one_file(write: Write) -> None:
    """The text is the absolute path, a newline, and the text of the file."""
    file = write("c.py", "a = '{{ fileBasename }}'\n")
    assert load_file("c.py").text == f"{file}\na = '{{{{ fileBasename }}}}'\n"


def test_the_text_of_several_files(write: Write) -> None:
    """The texts of the bases come first, in order, joined by newlines."""
    texts = {name: f"{name[0]} = 1\n" for name in ("a.py", "b.py")}
    files = [write(name, text) for name, text in texts.items()]
    child = write("sub/c.py", "_base_ = ['../a.py', '../b.py']\n")
    wanted = "\n".join(f"{file}\n{file.read_text()}" for file in [*files, child])
    assert load_file(child).text == wanted


# -------------------------------------------------------------------------------- strings


@pytest.mark.parametrize(
    ("text", "suffix"), [("a = 1\n", ".py"), ('{"a": 1}', ".json"), ("a: 1", ".yaml"), ("a: 1", ".yml")]
)
def test_a_string_is_parsed_in_its_format(text: str, suffix: str) -> None:
    """Text is parsed like a file with that extension."""
    assert load_text(text, suffix).tree == {"a": 1}


def test_a_string_may_have_bases(write: Write) -> None:
    """A relative base of a string is relative to the current folder."""
    write("a.py", "a = 1\n")
    assert load_text("_base_ = 'a.py'\nb = 2\n", ".py").tree == {"a": 1, "b": 2}


@pytest.mark.parametrize("suffix", ["py", ".txt", ""])
def test_a_string_needs_a_format(suffix: str) -> None:
    """An extension without its dot, or an unknown one, is an OSError."""
    with pytest.raises(OSError, match="A config must be one of"):
        load_text("a = 1", suffix)


@pytest.mark.parametrize(("text", "suffix"), [("a = dict(b=1)\n", ".json"), ('{"a": true}', ".py")])
def test_text_of_another_format_is_rejected(text: str, suffix: str) -> None:
    """Python given as JSON, or JSON given as Python, is an error."""
    with pytest.raises((ConfigSyntaxError, NameError)):
        load_text(text, suffix)


def test_home_is_expanded(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is the home folder, for the file and for its bases."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write("home/a.py", "a = 1\n")
    write("home/c.py", "_base_ = '~/a.py'\n")
    assert Config.fromfile("~/c.py").a == 1


# ------------------------------------------------------------------ notices and left-overs


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        ("dict(expected='b.py', reference='https://example.com/1')", ["old.py is deprecated", "Use b.py instead", "See https://example.com/1"]),
        ("dict(expected='b.py')", ["Use b.py instead."]),
        ("{}", ["old.py is deprecated."]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inherited", [True, False])
def test_a_deprecated_config_warns(notice: str, words: list[str], inherited: bool, write: Write) -> None:
    """_deprecation_ warns at the line that loads the config, and is not a key of it."""
    write("base.py", "b = 2\n")
    file = write("old.py", f"_base_ = 'base.py'\n_deprecation_ = {notice}\na = 1\n")
    if inherited:
        file = write("new.py", "_base_ = 'old.py'\n")
    with pytest.warns(DeprecationWarning) as caught:
        assert Config.fromfile(file) == {"a": 1, "b": 2}
    assert all(word in str(caught[0].message) for word in words)
    assert caught[0].filename == __file__


def test_a_deprecation_notice_is_a_dict(write: Write) -> None:
    """Anything but a dict is an error."""
    with pytest.raises(ConfigMergeError, match="_deprecation_ must be dict"):
        load(write("old.yaml", "_deprecation_: soon\n"))


def test_file_handles_are_left_out(write: Write) -> None:
    """A file handle or a generator is not a value of a config: a warning names it."""
    file = write(
        "c.py", "with open(__file__) as handle:\n    n = len(handle.read())\nodd = (i for i in [1])\n"
    )
    with pytest.warns(ConfigWarning) as caught:
        assert list(load(file)) == ["n"]
    assert [str(warning.message)[:8] for warning in caught] == ["'handle'", "'odd' in"]


def test_a_config_that_cannot_be_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system is an error of the config."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = write("c.py", "a = 1\n")
    monkeypatch.setattr("cfgtrain.config.loader.open", refuse, raising=False)
    with pytest.raises(ConfigNotFoundError, match="cannot be read: Permission denied"):
        load(file)


def test_a_file_that_two_bases_share_is_read_once_and_executed_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both bases get the module list of the file; a change of one copy is not seen in the other."""
    (tmp_path / "shared.py").write_text("custom_imports = dict(imports=['json'])\n")
    (tmp_path / "a.py").write_text("_base_ = 'shared.py'\na = dict(folder='{{ fileDirname }}')\n")
    (tmp_path / "b.py").write_text("_base_ = 'shared.py'\nb = 2\n")
    (tmp_path / "both.py").write_text("_base_ = ['a.py', 'b.py']\n")
    opened: list[str] = []
    real = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda file, *args, **kw: opened.append(Path(file).name) or real(file, *args, **kw)
    )
    cfg = Config.fromfile(tmp_path / "both.py")
    assert cfg.to_dict() == {
        "custom_imports": {"imports": ["json"]},
        "a": {"folder": tmp_path.as_posix()},
        "b": 2,
    }
    assert sorted(opened) == ["a.py", "b.py", "both.py", "shared.py"]


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_of_other_systems_are_read_as_newlines(tmp_path: Path, ends: str) -> None:
    """The text of the config has the same lines as a text file has in Python, and origins have the right number."""
    (file := tmp_path / "a.py").write_bytes(f"a = 1{ends}b = 2{ends}".encode())
    cfg = Config.fromfile(file)
    assert cfg.text == f"{file}\na = 1\nb = 2\n"
    assert (cfg.b, cfg.origin("b").line) == (2, 2)
