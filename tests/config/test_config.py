"""The Config object: access, reading, writing, copying."""

from __future__ import annotations

import copy
import json
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import Config, ConfigDict, dump, load
from cfgtrain.config.merge import merge
from cfgtrain.errors import (
    ConfigFormatError,
    ConfigImportError,
    ConfigKeyError,
    ConfigMergeError,
    ConfigNotFoundError,
)
from cfgtrain.origin import Origin, where

Write = Callable[[str, str], Path]

TREE: dict[str, Any] = {
    "item1": [1, 2],
    "item2": {"a": {"b": None}, "l": [{"x": 1}, ({"y": (2,)},)]},
    "item3": True,
    "item4": "te'st",
    "item5": 1e-3,
}
ODD: dict[Any, Any] = {"ints": {6: 1, "6": 2}, "paths": {"x/x": 1, "a.0": 2.5}, "class": 3}

TEXTS = st.text(max_size=4)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=3),
    ),
    max_leaves=8,
)
# Private and reserved names are not keys.
NAMES = TEXTS.filter(lambda name: not name.startswith("_") and name != "text")
TREES = st.dictionaries(NAMES, VALUES, max_size=4)


def as_lists(value: Any) -> Any:
    """Return a value as JSON represents it, with lists in place of tuples."""
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value


# ----------------------------------------------------------------------------------- making


def test_an_empty_config() -> None:
    """Without arguments a config has no keys, no file and no text."""
    cfg = Config()
    assert (len(cfg), cfg.filename, cfg.text, cfg._cfg_dict) == (0, None, "", {})


@pytest.mark.parametrize("value", [[], [("a", 1)], "a=1", 3])
def test_a_config_is_made_from_a_mapping(value: Any) -> None:
    """Anything else is a TypeError."""
    with pytest.raises(TypeError, match="mapping"):
        Config(value)


def test_the_input_is_copied() -> None:
    """Changing the config changes neither the dict nor the ConfigDict that it was made from."""
    plain = copy.deepcopy(TREE)
    node = ConfigDict(plain)
    for cfg in (Config(plain), Config(node)):
        cfg.item2.a.b = 1
        cfg.item1.append(3)
    assert plain == node == TREE


@pytest.mark.parametrize("kind", [str, Path])
def test_a_config_with_a_file(kind: type, write: Write) -> None:
    """The file name is kept as it was given, as a str, and the text is that of the file."""
    write("a.py", "x = 1\n")
    cfg = Config({"x": 1}, filename=kind("a.py"))
    assert (cfg.filename, cfg._filename, cfg.text, cfg._text) == ("a.py", "a.py", "x = 1\n", "x = 1\n")
    assert Config({}, cfg_text="other", filename="gone.py").text == "other"


def test_a_missing_file_name() -> None:
    """If the text is not given, the file must exist."""
    with pytest.raises(FileNotFoundError):
        Config({}, filename="gone.py")


@pytest.mark.parametrize("key", ["filename", "text", "pretty_text"])
def test_reserved_keys(key: str, write: Write) -> None:
    """A top-level key with the name of a property is a KeyError; below the top level it is allowed."""
    write("c.py", f"\n{key} = 1\n")
    cfg = Config({"a": {key: 1}})
    assert cfg.a[key] == 1
    ways: list[Callable[[], Any]] = [
        lambda: Config({key: 1}),
        lambda: setattr(cfg, key, 1),
        lambda: cfg.__setitem__(key, 1),
        lambda: cfg.merge_from_dict({key: 1}),
        lambda: Config.fromstring(f"{key} = 1", ".py"),
    ]
    for way in ways:
        with pytest.raises(KeyError, match="reserved"):
            way()
    with pytest.raises(ConfigKeyError, match="reserved") as caught:
        Config.fromfile("c.py")
    assert (caught.value.file, caught.value.line, caught.value.key) == ("c.py", 2, key)


# ----------------------------------------------------------------------------------- access


def test_access() -> None:
    """Keys are read, set and deleted by item and by attribute, and dicts get attributes at every level."""
    cfg = Config(TREE)
    cfg.new = {"a": {"b": None}}
    cfg["other"] = [{"c": 1}]
    assert cfg.new.a.b is None
    assert cfg.other[0].c == cfg["other"][0]["c"] == 1
    del cfg.new
    del cfg["other"]
    assert cfg == TREE


def test_a_config_acts_as_a_dict() -> None:
    """Length, iteration, membership, ** and the methods of a dict work."""
    cfg = Config(TREE)
    assert (len(cfg), list(cfg), "item1" in cfg, "x" in cfg) == (5, list(TREE), True, False)
    assert {**cfg} == dict(cfg.items()) == cfg.to_dict() == TREE
    assert list(cfg.keys()) == list(TREE)
    assert list(cfg.values()) == list(TREE.values())
    assert (cfg.get("x"), cfg.get("x", 1), cfg.setdefault("x", 2), cfg.pop("x")) == (None, 1, 2, 2)
    cfg.update({"item2": {"c": 1}})
    assert cfg.item2 == {**TREE["item2"], "c": 1}
    assert type(cfg.copy()) is ConfigDict


def test_missing_keys() -> None:
    """A missing key is an AttributeError by attribute and a KeyError by item, when it is read or deleted."""
    cfg = Config(TREE)
    assert not hasattr(cfg, "not_exist")
    for by_item in (lambda: cfg["not_exist"], lambda: cfg.__delitem__("not_exist")):
        with pytest.raises(KeyError, match="not_exist"):
            by_item()
    for by_attribute in (lambda: cfg.not_exist, lambda: delattr(cfg, "not_exist")):
        with pytest.raises(AttributeError, match="not_exist"):
            by_attribute()


def test_equality() -> None:
    """Configs are equal to configs and dicts with the same values, whatever their files."""
    assert Config(TREE) == Config(TREE, cfg_text="x") == TREE
    assert Config(TREE) != Config({})
    assert Config({}) != []
    with pytest.raises(TypeError, match="unhashable"):
        hash(Config())


def test_repr(write: Write) -> None:
    """The repr has the file and the values."""
    write("c.py", "a = dict(b=1)\n")
    assert repr(Config.fromfile("c.py")) == "Config (path: c.py): {'a': {'b': 1}}"


# ---------------------------------------------------------------------------------- copying


def test_a_shallow_copy_shares_its_values(write: Write) -> None:
    """copy.copy makes another Config with the same tree."""
    write("c.py", "a = 1\n")
    cfg = Config.fromfile("c.py")
    twin = copy.copy(cfg)
    assert twin is not cfg
    assert twin._cfg_dict is cfg._cfg_dict
    assert (twin.filename, twin.text) == (cfg.filename, cfg.text)


@pytest.mark.parametrize("deep", [copy.deepcopy, lambda cfg: pickle.loads(pickle.dumps(cfg))])
def test_a_deep_copy_shares_nothing(deep: Callable[[Config], Config], write: Write) -> None:
    """copy.deepcopy and pickle make an equal Config that shares no values."""
    write("c.py", "a = dict(b=[1])\n")
    cfg = Config.fromfile("c.py")
    twin = deep(cfg)
    assert (twin, twin.filename, twin.text) == (cfg, cfg.filename, cfg.text)
    twin.a.b.append(2)
    assert cfg.a.b == [1]
    assert type(twin.a) is ConfigDict


def test_a_pickled_config_can_be_loaded(tmp_path: Path) -> None:
    """A pickled Config keeps integer keys and keys with dots and slashes."""
    dump(Config(ODD), tmp_path / "c.pkl")
    cfg = load("c.pkl")
    assert isinstance(cfg, Config)
    assert cfg._cfg_dict == ODD


def test_deep_copies_keep_shared_references() -> None:
    """A Config that is in a container twice is one object in the copy as well."""
    cfg = Config(TREE)
    first, second = copy.deepcopy([cfg, cfg])
    assert first is second


# ---------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", [str, Path])
def test_fromfile(kind: type, write: Write) -> None:
    """A file is given as str or Path; its name is kept as given, and its text has the absolute path."""
    file = write("sub/c.py", "a = 1\n")
    cfg = Config.fromfile(kind("sub/c.py"))
    assert (cfg.a, cfg.filename, cfg.text) == (1, "sub/c.py", f"{file}\na = 1\n")
    assert Config.fromfile(kind(file)).filename == str(file)


def test_a_missing_file() -> None:
    """A missing file is a FileNotFoundError, an unknown extension an OSError."""
    with pytest.raises(ConfigNotFoundError):
        Config.fromfile("no_such_file.py")
    Path("color.jpg").touch()
    with pytest.raises(OSError, match="jpg"):
        Config.fromfile("color.jpg")


def test_fromstring() -> None:
    """Text is read without a file: there is no file name, and the text is the given one."""
    cfg = Config.fromstring("a = dict(b=1)\n", ".py")
    assert (cfg.a.b, cfg.filename, cfg.text) == (1, None, "a = dict(b=1)\n")


@pytest.mark.parametrize("suffix", [".jpg", "py", ""])
def test_fromstring_needs_a_format(suffix: str) -> None:
    """An unknown format is an OSError."""
    with pytest.raises(OSError, match="A config must be one of"):
        Config.fromstring("a = 1", suffix)


def test_custom_imports_are_imported(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading imports the modules in the merged config, and the key is kept."""
    monkeypatch.setenv("CUSTOM_IMPORT", "no")
    monkeypatch.syspath_prepend(
        write("custom_one.py", "import os\nos.environ['CUSTOM_IMPORT'] = 'yes'\n").parent
    )
    write("a.py", "custom_imports = dict(imports=['custom_one'], allow_failed_imports=False)\n")
    write("c.py", "_base_ = 'a.py'\n")
    assert Config.fromfile("c.py", import_custom_modules=False).custom_imports.imports == ["custom_one"]
    assert os.environ["CUSTOM_IMPORT"] == "no"
    Config.fromfile("c.py")
    assert os.environ["CUSTOM_IMPORT"] == "yes"


def test_fromstring_imports_custom_modules(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of a config from a string are imported as well, also a single name without a list."""
    monkeypatch.setenv("CUSTOM_IMPORT", "no")
    monkeypatch.syspath_prepend(
        write("custom_two.py", "import os\nos.environ['CUSTOM_IMPORT'] = 'yes'\n").parent
    )
    Config.fromstring("custom_imports = dict(imports='custom_two')", ".py")
    assert os.environ["CUSTOM_IMPORT"] == "yes"


@pytest.mark.parametrize("value", ["None", "dict()", "[]", "''"])
def test_nothing_to_import(value: str) -> None:
    """An empty custom_imports imports nothing."""
    assert "custom_imports" in Config.fromstring(f"custom_imports = {value}", ".py")


def test_a_failing_import_has_a_location(write: Write) -> None:
    """The ImportError has the module, the key, the line and the cause."""
    write("c.py", "custom_imports = dict(\n    imports=['no_such_module_here'])\n")
    with pytest.raises(ImportError, match="no_such_module_here") as caught:
        Config.fromfile("c.py")
    assert isinstance(caught.value, ConfigImportError)
    assert (caught.value.file, caught.value.line, caught.value.key) == (
        "c.py",
        2,
        "custom_imports.imports[0]",
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_failing_import_without_a_file() -> None:
    """For a config made in code, the error has the key only."""
    cfg = Config({"custom_imports": {"imports": "no_such_module_here"}})
    with pytest.raises(ConfigImportError, match=r"at custom_imports\.imports$"):
        cfg.import_custom_modules()


@pytest.mark.parametrize(
    "value",
    [
        "dict(imports=[1])",
        "dict(imports=3)",
        "dict(imports='os', allow_failed_imports='no')",
        "['a']",
        "'a'",
        "dict(imports=['a'], allow_failed=True)",
        "dict(allow_failed_imports=True)",
    ],
)
def test_custom_imports_are_validated(value: str, write: Write) -> None:
    """Anything but a dict of imports and allow_failed_imports is a TypeError with the key."""
    write("c.py", f"\ncustom_imports = {value}\n")
    with pytest.raises(TypeError, match="custom_imports must be dict") as caught:
        Config.fromfile("c.py")
    assert isinstance(caught.value, ConfigMergeError)
    assert (caught.value.file, caught.value.line) == ("c.py", 2)


def test_failed_imports_may_be_allowed() -> None:
    """With allow_failed_imports, a missing module is a warning."""
    with pytest.warns(UserWarning, match="no_such_module_here"):
        Config.fromstring(
            "custom_imports = dict(imports='no_such_module_here', allow_failed_imports=True)", ".py"
        )


def test_yaml_that_looks_like_python() -> None:
    """Text with dict( in it is parsed in the given format without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Config.fromstring("a: dict(b=1)", ".yaml").a == "dict(b=1)"


# ---------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("name", ["c.py", "c.json", "c.yaml", "c.yml"])
@pytest.mark.parametrize("kind", [str, Path])
def test_dump_and_reload(name: str, kind: type, tmp_path: Path) -> None:
    """A file in each format, given as str or Path, loads to an equal config; JSON makes lists of tuples."""
    cfg = Config(TREE)
    assert cfg.dump(kind(tmp_path / name)) is None
    again = Config.fromfile(name)
    assert again == (as_lists(TREE) if name == "c.json" else TREE)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("name", ["c.py", "c.json", "c.yaml", "c.yml"])
def test_dump_without_a_file(name: str, tmp_path: Path) -> None:
    """Without a file, the text is in the format of the file of the config."""
    Config(TREE).dump(name)
    cfg = Config.fromfile(name)
    text = cfg.dump()
    cfg.dump(f"again{Path(name).suffix}")
    assert text == (tmp_path / f"again{Path(name).suffix}").read_text(encoding="utf-8")


def test_a_config_without_a_file_is_written_as_python() -> None:
    """If there is no file name, dump returns the pretty text."""
    cfg = Config(TREE)
    assert cfg.dump() == cfg.dumps() == cfg.pretty_text
    assert cfg.pretty_text.startswith("item1 = [1, 2]\nitem2 = dict(")


def test_the_formats_are_those_of_the_libraries() -> None:
    """JSON is what json.dumps writes, and YAML what yaml.dump writes, with sorted keys."""
    tree = {"b": [1, 2], "a": {"x": None, "w": "y"}}
    assert Config(tree).dumps("json") == json.dumps(tree)
    assert Config(tree).dumps("yaml") == Config(tree).dumps("yml") == yaml.dump(tree)


@pytest.mark.parametrize("name", ["c.py", "c.yaml", "c.json"])
def test_odd_keys_are_kept(name: str) -> None:
    """Integer keys and keys that are not names can be written and loaded; JSON makes strings of integers."""
    odd = {"ints": {6: 1, 7: 2}, "paths": ODD["paths"], "class": 3}
    Config(odd).dump(name)
    wanted = {**odd, "ints": {"6": 1, "7": 2}} if name == "c.json" else odd
    assert Config.fromfile(name)._cfg_dict == wanted


@pytest.mark.parametrize("name", ["c.txt", "c", "c.pkl", "c.PY"])
def test_other_formats_are_rejected(name: str, tmp_path: Path) -> None:
    """An unknown extension is an error before anything is written."""
    with pytest.raises(ConfigFormatError, match="py, json or yaml"):
        Config(TREE).dump(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["c.py", "c.json", "c.yaml"])
def test_a_value_that_cannot_be_written_keeps_the_old_file(name: str, write: Write) -> None:
    """If the format cannot represent a value, the existing file is not changed."""
    file = write(name, "old")
    with pytest.raises((ValueError, TypeError), match="object"):
        Config({"a": object()}).dump(name)
    assert file.read_text() == "old"


def test_the_written_config_is_flat(write: Write) -> None:
    """The written config has no bases, comments or references."""
    write("a.py", "x = 1  # one\n")
    write("c.py", "_base_ = 'a.py'\ny = {{ _base_.x }}\n")
    assert Config.fromfile("c.py").dump() == "x = 1\ny = 1\n"


def test_json_does_not_write_a_config_object() -> None:
    """json.dump of a Config is a TypeError; its to_dict can be written."""
    with pytest.raises(TypeError, match="JSON cannot represent"):
        dump(Config(TREE), file_format="json")
    assert dump(Config({"a": 1}).to_dict(), file_format="json") == '{"a": 1}'


@pytest.mark.parametrize("file_format", ["py", "yaml", "json"])
@settings(deadline=None)
@given(tree=TREES)
def test_round_trips(file_format: str, tree: dict[str, Any]) -> None:
    """A config is equal after writing and loading; JSON makes lists of tuples."""
    text = Config(tree).dumps(file_format)
    again = Config.fromstring(text, f".{file_format}").to_dict()
    wanted = as_lists(tree) if file_format == "json" else tree
    assert again == wanted
    assert repr({key: again[key] for key in wanted}) == repr(wanted) or file_format == "yaml"


@settings(deadline=None)
@given(tree=TREES)
def test_text_and_config_agree(tree: dict[str, Any]) -> None:
    """Loading the pretty text and printing the result gives the same text."""
    text = Config(tree).pretty_text
    assert Config.fromstring(text, ".py").pretty_text == text


def test_double_underscore_attributes_are_not_keys() -> None:
    """Special attributes that Python looks up are never looked up among the keys."""
    cfg = Config({"__custom__": 1})
    assert not hasattr(cfg, "__custom__")
    assert cfg["__custom__"] == 1


def test_an_origin_may_be_a_function() -> None:
    """Code that merges options can give the origin of each by a function."""
    cfg = Config({"a": 1})
    cfg.merge_from_dict({"a": 2, "b": 3}, origin=lambda key, value: Origin(None, None, f"{key}!{value}"))
    assert [str(cfg.origin(key)) for key in ("a", "b")] == ["a!2", "b!3"]


def test_an_edit_is_the_newest_origin(write: Write) -> None:
    """A line of code that sets a key is its newest origin, before and after a merge."""
    cfg = Config.fromfile(write("c.py", "a = dict(b=1, c=2)\n"))
    cfg.a.b = 5
    here = cfg.origin("a.b")
    assert here is not None and here.file == __file__
    cfg.merge_from_dict({"a.c": 3})
    assert [place.text for place in cfg.history("a.b")] == ["a = dict(b=1, c=2)", "set in code"]
    assert str(cfg.origin("a.c")) == "merge_from_dict a.c=3"
    assert Config({"a": 1}).origin("a") is None


def test_a_node_that_was_moved_keeps_its_history(write: Write) -> None:
    """A part of a config that is merged over another part keeps its origins."""
    cfg = Config.fromfile(write("c.py", "a = dict(x=1)\nb = dict(x=2, y=3)\n"))
    merged = merge(cfg.a, cfg.b)
    assert merged == {"x": 2, "y": 3}
    assert [origin.line for origin in merged._trace.history("x")] == [1, 2]
    assert str(where(merged, "y")).endswith("c.py:2")
    assert where(merged, "z") is None
