"""Reading YAML: values, limits, and the nodes with the line of each value."""

from __future__ import annotations

import datetime
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.config.yaml_reader import parse_yaml
from cfgtrain.errors import ConfigError, ConfigSyntaxError


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "x: 1\na: !!python/object/apply:os.system ['true']\n",
            2,
            "cannot have the tag !!python/object/apply:os.system",
        ),
        ("a: !!python/name:os.system\n", 1, "cannot have the tag !!python/name:os.system"),
        ("a: !mine 3\n", 1, "cannot have the tag !mine"),
        ("a: !!map [1]\n", 1, "cannot have the tag !!map"),
        ("a: !!seq {b: 1}\n", 1, "cannot have the tag !!seq"),
        ("a: !!omap [1]\n", 1, "cannot have the tag !!omap"),
        ("a: *x\n", 1, "no anchor 'x' before"),
        ("a: 1\n---\nb: 2\n", 2, "one document"),
        ("? [1, 2]\n: 3\n", 1, "a list or mapping cannot be a key"),
        ("a: 1\n<<: 3\n", 2, "<< merges a mapping"),
        ("a:\n\tb: 1\n", 2, "not valid YAML"),
        ("a: \x00\n", None, "not valid YAML"),
    ],
)
def test_yaml_that_is_not_a_config(text: str, line: int | None, message: str) -> None:
    """Features of YAML that a config cannot have are an error with a line."""
    with pytest.raises(ConfigSyntaxError, match=message) as caught:
        parse_yaml(text, "a.yaml")
    assert (caught.value.file, caught.value.line) == ("a.yaml", line)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: [1, 1.5, 1e-3, true, ~, x, '1', 0x1F]", {"a": [1, 1.5, 0.001, True, None, "x", "1", 31]}),
        ("a: !!str 1\nb: !!int '2'\n", {"a": "1", "b": 2}),
        ("a: !!python/tuple [1, !!python/tuple [2]]\n", {"a": (1, (2,))}),
        ("? !!python/tuple [1, 2]\n: 3\n=: 4\n", {(1, 2): 3, "=": 4}),
        ("a: !!set {x, y}\nb: !!omap [{x: 1}]\nc: !!pairs [{x: 1}, {x: 2}]\n", {"a": {"x", "y"}, "b": [("x", 1)], "c": [("x", 1), ("x", 2)]}),
        ("a: 2020-01-02\nb: !!binary aGk=\n", {"a": datetime.date(2020, 1, 2), "b": b"hi"}),
        ("a: &x 1\nb: &y [*x, *x]\nc: *y\n", {"a": 1, "b": [1, 1], "c": [1, 1]}),
        ("b: &b {x: 1, y: 2}\nc: &c {x: 3, z: 4}\nd: {<<: [*b, *c], y: 5}\n", {"b": {"x": 1, "y": 2}, "c": {"x": 3, "z": 4}, "d": {"x": 1, "z": 4, "y": 5}}),
        ("b: &b {x: 1}\nc: &c {x: 2, y: 3}\nd:\n  <<: *b\n  <<: *c\n", {"b": {"x": 1}, "c": {"x": 2, "y": 3}, "d": {"x": 1, "y": 3}}),
        ("a: '<<'\n'<<': 1\n", {"a": "<<", "<<": 1}),
    ],
)  # fmt: skip
def test_yaml(text: str, value: object) -> None:
    """Each construct of YAML for data gives the right value."""
    assert parse_yaml(text, "a.yaml").value == value


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(scalars, inner), max_leaves=12)


@settings(deadline=None, max_examples=50)
@given(trees, st.sampled_from([None, True, False]))
def test_yaml_is_read_as_pyyaml_reads_it(tree: Any, flow: bool | None) -> None:
    """A text that PyYAML writes gives the same value as with the safe loader of PyYAML."""
    try:
        text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
        text.encode()
    except (UnicodeEncodeError, yaml.YAMLError):
        return
    assert parse_yaml(text, "a.yaml").value == yaml.safe_load(text)


def test_errors_are_those_of_configs() -> None:
    """Every error in the data is a ConfigError."""
    for text in ("{", "[1,", '"', "a: b: c", "{a: 1", "%YAML 9"):
        with pytest.raises(ConfigError):
            parse_yaml(text, "a.yaml")


def test_the_nodes_have_the_lines() -> None:
    """Each mapping has the nodes of its keys, including those that << merges and those of an alias."""
    document = parse_yaml("a: &a\n  x: 1\nb:\n  <<: *a\n  y: 2\nc: *a\n", "a.yaml")
    found = {}
    for key, (_, node) in document.entries[document.root].items():  # type: ignore[index]  # it is not empty
        found[key] = {
            inner: place.start_mark.line + 1 for inner, (place, _) in document.entries[node].items()
        }
    assert found == {"a": {"x": 2}, "b": {"x": 2, "y": 5}, "c": {"x": 2}}


def test_an_anchor_can_be_defined_again() -> None:
    """An alias refers to the last anchor of its name before it."""
    assert parse_yaml("a: &x 1\nb: *x\nc: &x 2\nd: *x\n", "a.yaml").value == {"a": 1, "b": 1, "c": 2, "d": 2}


WITHOUT_LIBYAML = """
import sys

sys.modules["yaml._yaml"] = None
import yaml

assert not yaml.__with_libyaml__
from cfgtrain import Config
from cfgtrain.errors import ConfigError

cfg = Config.fromstring("a: &a {x: 1e-3}\\nb:\\n  <<: *a\\n  y: [1, !!python/tuple [2]]\\n", ".yaml")
print(cfg.to_dict(), cfg.origin("b.x").line, cfg.origin("b.y").line)
for text in ("a: " + "[" * 10_000, "a: 1\\na: 2", "a: &a [*a]", "a: !!python/name:os.system"):
    try:
        Config.fromstring(text, ".yaml")
    except ConfigError as error:
        print(error.message)
"""


def test_without_libyaml() -> None:
    """Without the parser in C, PyYAML's parser in Python gives the same values, lines and errors."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_LIBYAML], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "{'a': {'x': 0.001}, 'b': {'x': 0.001, 'y': [1, (2,)]}} 1 4",
        "The config nests deeper than 100 levels.",
        "The key 'a' occurs twice, first on line 1.",
        "The config is not valid YAML: the alias 'a' is inside the value that it refers to.",
        "The config is not valid YAML: a value of this kind cannot have the tag !!python/name:os.system; a config may "
        "use the standard tags and !!python/tuple.",
    ]


@pytest.mark.parametrize("tag", ["map", "seq", "set", "omap", "python/tuple"])
def test_a_scalar_is_not_a_collection(tag: str) -> None:
    """The tag of a collection on a scalar is an error at its line."""
    with pytest.raises(ConfigSyntaxError, match=f"cannot have the tag !!{tag}") as caught:
        parse_yaml(f"a: 1\nb: !!{tag} x\n", "a.yaml")
    assert caught.value.line == 2
