"""Writing configs, and the values that each format can represent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import Config
from cfgtrain.config.dump import config_text
from cfgtrain.config.provenance.annotate import annotated
from cfgtrain.errors import ConfigFormatError, ConfigKeyError, ConfigValueError


class Odd:
    """An object that no format can represent."""


BRACES = {
    "a": "{{ fileDirname }}",
    "b": ["x {{$HOME}} y", {"{{ _base_.a }}": "{{{{ 'q' }}}}"}],
    "c": "\\{{ x }}",
}


@pytest.mark.parametrize("file_format", ["py", "json", "yaml", "yml"])
def test_braces_are_escaped(file_format: str, tmp_path: Path) -> None:
    """A written string with double braces is not a placeholder when the file is loaded."""
    file = tmp_path / f"a.{file_format}"
    Config(BRACES).dump(file)
    assert Config.fromfile(file) == BRACES
    assert Config.fromstring(file.read_text(), file.suffix) == BRACES


@pytest.mark.parametrize("tree", [{}, {"b": [1, 2.5, None, True, "x"], "a": {"c": "'"}}])
def test_json_and_yaml_are_the_output_of_their_libraries(tree: dict[str, Any]) -> None:
    """The text is exactly what json and yaml write."""
    assert config_text(tree, "json") == json.dumps(tree)
    assert config_text(tree, "yaml") == yaml.dump(tree)


@pytest.mark.parametrize("file_format", ["py", "json", "yaml"])
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("__x", "at the top of a file it is not a key of the config"),
        ("_base_", "at the top of a file it is not a key of the config"),
        ("_deprecation_", "at the top of a file it is not a key of the config"),
        ("_delete_", "it controls merging"),
        ("a._delete_", "it controls merging"),
        ("a.list[1]._delete_", "it controls merging"),
    ],
)
def test_a_key_that_would_be_lost_is_not_written(
    key: str, words: str, file_format: str, tmp_path: Path
) -> None:
    """A key that loading removes cannot be written; the error has the place that set it."""
    cfg = Config.fromstring("a = dict(x=1, list=[0, dict(y=1)])", ".py")
    node: Any = {"_delete_": cfg, "a._delete_": cfg.a, "a.list[1]._delete_": cfg.a.list[1]}.get(key, cfg)
    node[key.rpartition(".")[2]] = True
    with pytest.raises(ConfigKeyError, match=words) as caught:
        cfg.dump(tmp_path / f"a.{file_format}")
    assert (caught.value.key, caught.value.file) == (key, __file__)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigKeyError, match=words):
        list(annotated(cfg))
    del node[key.rpartition(".")[2]]
    assert Config.fromstring(cfg.dumps(file_format), f".{file_format}") == cfg


def test_such_a_key_in_a_nested_dict_is_written() -> None:
    """Two underscores have no meaning in a nested dict, nor does _delete_ in a string."""
    cfg = Config({"a": {"__x": 1, "_base_": 2, "_deprecation_": 3}, "b": "_delete_"})
    assert Config.fromstring(cfg.pretty_text, ".py") == cfg
    assert config_text(cfg.a, "json", ("a",)) == json.dumps(cfg.a)


@pytest.mark.parametrize(
    ("file_format", "tree", "key", "words"),
    [
        ("json", {"a": {"b": [1, {1, 2j}, 3j]}}, "a.b[1]", "set"),
        ("json", {"a": {"b": [1, 2j]}}, "a.b[1]", "JSON cannot represent 2j, which is a complex"),
        ("json", {"a": {"x": 1}, "b": [1], "c": 2j}, "c", "2j"),
        ("json", {"a": [{("x", 1): 2}]}, "a[0].('x', 1)", "the key ('x', 1), which is a tuple"),
        ("json", {"a": Odd()}, "a", "which is an Odd."),
        ("json", {"a": {6: 1, "6": 2}}, "a.6", "write the keys 6 and '6' as the same key"),
        ("json", {"a": {True: 1, "true": 2}}, "a.true", "write the keys True and 'true' as the same key"),
        ("yaml", {"a": ({"b": 2j},)}, "a[0].b", "YAML cannot represent 2j, which is a complex"),
        ("yaml", {"a": {"b": len}}, "a.b", "builtin_function_or_method"),
        ("yaml", {"a": {"b": "\ud800"}}, "a.b", "YAML cannot represent '\\ud800'"),
        ("py", {"a": {"b": [len]}}, "a.b[0]", "cannot be written in a config"),
    ],
)  # fmt: skip
def test_values_that_a_format_cannot_hold(
    file_format: str, tree: dict[str, Any], key: str, words: str, tmp_path: Path
) -> None:
    """The error has the key path and the value, and no file is written."""
    with pytest.raises(ConfigValueError) as caught:
        Config(tree).dump(tmp_path / f"a.{file_format}")
    assert caught.value.key == key
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_formats_other_than_those_of_configs() -> None:
    """Formats that cannot be loaded as a config are rejected."""
    with pytest.raises(ConfigFormatError, match="py, json or yaml, not 'pkl'"):
        config_text({}, "pkl")


texts = st.text() | st.sampled_from(
    ["{{ fileDirname }}", "{{", "1e-3", "=", "<<", "~", "0x1F", "1_000", "on", " x ", "a: b", "# x"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
lists = [lambda inner: st.lists(inner, max_size=3), lambda inner: st.lists(inner, max_size=3).map(tuple)]


def values(keys: st.SearchStrategy[Any], leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(*(each(inner) for each in lists), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=10,
    )


def as_json(value: Any) -> Any:
    """Return a value as JSON represents it: lists for tuples, strings for keys."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else json.dumps(key): as_json(part) for key, part in value.items()
        }
    return [as_json(part) for part in value] if isinstance(value, (list, tuple)) else value


top = texts.filter(lambda key: key not in ("filename", "text", "pretty_text") and not key.startswith("_"))
names = texts.filter(lambda key: key != "_delete_")  # it controls merging, so it cannot be written
anything = values(names | st.integers() | st.tuples(st.integers(), texts), leaves | st.binary())
plain = values(names | st.integers(), leaves)


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(top, anything, max_size=3))
def test_python_and_yaml_round_trip(tree: dict[str, Any]) -> None:
    """Tuples, odd keys and odd strings keep their types."""
    for suffix in (".py", ".yaml"):
        try:
            text = config_text(tree, suffix[1:])
        except ConfigValueError:
            assert "\\u" in ascii(tree)  # a lone surrogate has no UTF-8
            continue
        assert Config.fromstring(text, suffix)._cfg_dict.to_dict() == tree


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(top, plain, max_size=3))
def test_json_round_trip(tree: dict[str, Any]) -> None:
    """Tuples become lists and keys strings, unless two keys would become the same."""
    try:
        text = config_text(tree, "json")
    except ConfigValueError as error:
        assert "as the same key" in str(error)
        return
    assert Config.fromstring(text, ".json")._cfg_dict.to_dict() == as_json(tree)


def test_a_range_is_written(tmp_path: Path) -> None:
    """Scripts of MMCV's time set gpu_ids to one, and dump the config."""
    cfg = Config({"gpu_ids": range(1, 7, 2)})
    cfg.dump(tmp_path / "ranges.py")
    assert Config.fromfile(tmp_path / "ranges.py").gpu_ids == range(1, 7, 2)
