"""Placeholders ``{{ }}`` in configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.config.loader import load_file
from cfgtrain.errors import ConfigKeyError, ConfigSyntaxError

Write = Callable[[str, str], Path]

BASE = """
item1 = [1, 2]
item2 = dict(a=0, b=dict(c=[dict(d='deep'), 5]))
item3 = 2.5
item4 = 'name'
"""


def load(file: str | Path) -> dict[str, Any]:
    return load_file(file).tree.to_dict()


@pytest.fixture
def base(write: Write) -> Path:
    return write("base.py", BASE)


# ------------------------------------------------------------------------- the file's name


@pytest.mark.parametrize(
    ("name", "line"),
    [("sub/a.b.py", "x = '{}'\n"), ("sub/a.b.json", '{{"x": "{}"}}'), ("sub/a.b.yaml", "x: '{}'\n")],
)
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("{{ fileDirname }}", "{folder}"),
        ("{{fileBasename}}", "a.b{suffix}"),
        ("{{  fileBasenameNoExtension}}", "a.b"),
        ("{{ fileExtname }}", "{suffix}"),
        ("pre_{{ fileBasenameNoExtension }}_{{ fileExtname }}", "pre_a.b_{suffix}"),
        ("{{ unknown }}", "{{{{ unknown }}}}"),
        ("{ fileDirname }", "{{ fileDirname }}"),
    ],
)
def test_file_variables_are_filled_in(name: str, line: str, variable: str, value: str, write: Write) -> None:
    """In every format, the four variables become text, and unknown ones are not changed."""
    file = write(name, line.format(variable))
    assert load(file) == {"x": value.format(folder=file.parent, suffix=file.suffix)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "x = '{{ fileBasename }}'\n"),
        ("c.json", '{"x": "{{ fileBasename }}"}'),
        ("c.yaml", "x: '{{ fileBasename }}'\n"),
    ],
)
def test_file_variables_can_be_disabled(name: str, text: str, write: Write) -> None:
    """With use_predefined_variables=False they are not filled in, also in the bases."""
    write(name, text)
    write("child.py", f"_base_ = {name!r}\ny = '{{{{ fileExtname }}}}'\n")
    cfg = Config.fromfile("child.py", use_predefined_variables=False)
    assert (cfg.x, cfg.y) == ("{{ fileBasename }}", "{{ fileExtname }}")


def test_each_base_has_its_own_file_variables(write: Write) -> None:
    """Each file of a chain fills in its own name."""
    write("t.py", "x = '{{ fileBasename }}'\n")
    assert load(write("u.py", "_base_ = './t.py'\ny = '{{ fileBasename }}'\n")) == {"x": "t.py", "y": "u.py"}


def test_file_variables_in_base_paths(write: Write) -> None:
    """The variables work in _base_, where a folder of configs is often named."""
    write("a.py", "a = 1\n")
    assert load(write("c.py", "_base_ = '{{ fileDirname }}/a.py'\n")) == {"a": 1}


@pytest.mark.parametrize(
    ("folder", "text"),
    [("it's", "x = '{{ fileDirname }}'\n"), ('a"b', 'x = "{{ fileDirname }}"\n'), ("a\\nb", "x = '{{ fileDirname }}'\n")],
)  # fmt: skip
def test_quotes_in_a_path_do_not_end_the_string(folder: str, text: str, write: Write) -> None:
    """The name of a folder with quotes or backslashes is filled in correctly."""
    file = write(f"{folder}/c.py", text)
    assert load(file) == {"x": str(file.parent)}


# ------------------------------------------------------------------------ values of the bases

REFERENCES = [
    ("{{ _base_.item1 }}", [1, 2]),
    ("{{_base_.item2}}", {"a": 0, "b": {"c": [{"d": "deep"}, 5]}}),
    ("{{ _base_.item2.a }}", 0),
    ("{{ _base_.item2.b.c.0.d }}", "deep"),
    ("{{ _base_.item3 }}", 2.5),
    ("[{{ _base_.item3 }}, {{ _base_.item4 }}]", [2.5, "name"]),
]


@pytest.mark.parametrize(("written", "value"), REFERENCES)
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("c.py", "_base_ = './base.py'\nx = {}\n"),
        ("c.json", '{{"_base_": ["base.py"], "x": {}}}'),
        ("c.yaml", "_base_: base.py\nx: {}\n"),
    ],
)
def test_a_value_of_the_bases_is_filled_in(
    name: str, line: str, written: str, value: object, base: Path, write: Write
) -> None:
    """In every format a reference is replaced by the value, of any type and at any depth."""
    assert load(write(name, line.format(written)))["x"] == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{{ _base_.item3 }} + 1", 3.5),
        ("{{ _base_.item2 }}['b']['c'][1]", 5),
        ("{{ _base_.item2 }}.a", 0),
        ("({{ _base_.item1 }}, 1)", ([1, 2], 1)),
        ("[i * 2 for i in {{ _base_.item1 }}]", [2, 4]),
        ("{ {{ _base_.item4 }}: 1 }", {"name": 1}),
        ("f'{ {{ _base_.item4 }} }.pth'", "name.pth"),
        ("'{{ _base_.item4 }}'", "name"),
        ("'pre_{{ _base_.item4 }}_{{ _base_.item3 }}'", "pre_name_2.5"),
        ("{'{{ _base_.item4 }}': 1}", {"name": 1}),
        ("'_base_.item4'", "_base_.item4"),
    ],
)
def test_references_in_expressions(expression: str, value: object, base: Path, write: Write) -> None:
    """In Python, a reference is a value in any expression, and text inside a string."""
    assert load(write("c.py", f"_base_ = ['base.py']\nx = {expression}\n"))["x"] == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "_base_: base.py\nx: 'pre_{{ _base_.item4 }}'\ny: {'{{ _base_.item4 }}': [1]}\n"),
        ("c.json", '{"_base_": "base.py", "x": "pre_{{ _base_.item4 }}", "y": {"{{ _base_.item4 }}": [1]}}'),
    ],
)
def test_references_in_strings_of_data(name: str, text: str, base: Path, write: Write) -> None:
    """In YAML and JSON, a reference inside a string or a key becomes text."""
    cfg = load(write(name, text))
    assert (cfg["x"], cfg["y"]) == ("pre_name", {"name": [1]})


def test_an_alias_of_a_reference(base: Path, write: Write) -> None:
    """A name that is assigned a reference has its value."""
    cfg = load(write("c.py", "_base_ = 'base.py'\nx = {{ _base_.item3 }}\ny = x\nz = x * 2\n"))
    assert (cfg["x"], cfg["y"], cfg["z"]) == (2.5, 2.5, 5.0)


def test_references_see_the_bases_and_not_the_child(base: Path, write: Write) -> None:
    """A value that the child sets does not change the value of a reference."""
    cfg = load(write("c.py", "_base_ = 'base.py'\nitem3 = 7\nx = {{ _base_.item3 }}\n"))
    assert (cfg["item3"], cfg["x"]) == (7, 2.5)


def test_references_see_the_whole_chain(base: Path, write: Write) -> None:
    """A reference can be to a value that a base inherits, and to keys of each of several bases."""
    write("middle.py", "_base_ = 'base.py'\nitem3 = 3\n")
    write("other.yaml", "other: {k: v}\n")
    text = "_base_ = ['middle.py', 'other.yaml']\nx = [{{ _base_.item3 }}, {{ _base_.item4 }}, {{ _base_.other.k }}]\n"
    assert load(write("c.py", text))["x"] == [3, "name", "v"]


def test_references_need_literal_bases(base: Path, write: Write) -> None:
    """Bases are loaded before the file runs: if an expression names them, references cannot be filled in."""
    file = write("c.py", "_base_ = 'ba' + 'se.py'\nx = {{ _base_.item3 }}\n")
    with pytest.raises(ConfigKeyError, match="item3"):
        load(file)


def test_the_value_of_a_reference_is_a_copy(base: Path, write: Write) -> None:
    """Changing the value of a reference changes neither the base nor other references to it."""
    text = "_base_ = 'base.py'\nx = {{ _base_.item2 }}\ny = {{ _base_.item2 }}\nx['a'] = 9\n"
    cfg = Config.fromfile(write("c.py", text))
    cfg.x.b.c.append(1)
    assert (cfg.x.a, cfg.y.a, cfg.item2.a) == (9, 0, 0)
    assert cfg.y.b.c == cfg.item2.b.c == [{"d": "deep"}, 5]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("c.py", "_base_ = 'base.py'\n\nx = {{ _base_.item2.aa }}\n", 3),
        ("c.yaml", "_base_: base.py\nx: {{ _base_.item2.aa }}\n", 2),
        ("c.json", '{"_base_": "base.py",\n\n"x": {{ _base_.item2.aa }}}', 3),
    ],
)
def test_a_reference_that_does_not_exist(name: str, text: str, line: int, base: Path, write: Write) -> None:
    """The KeyError has the whole path, a similar name, the file and the line."""
    with pytest.raises(KeyError, match=r"'item2\.aa': there is no 'aa'\. Did you mean 'a'\?") as caught:
        load(write(name, text))
    assert isinstance(caught.value, ConfigKeyError)
    assert (caught.value.line, caught.value.key) == (line, "_base_.item2.aa")


@pytest.mark.parametrize("path", ["item1.2", "item1.x", "item3.y", "nothing"])
def test_references_to_missing_items(path: str, base: Path, write: Write) -> None:
    """An index out of range, a key of a list and a key of a number are KeyErrors as well."""
    with pytest.raises(ConfigKeyError, match="there is no"):
        load(write("c.py", f"_base_ = 'base.py'\nx = {{{{ _base_.{path} }}}}\n"))


def test_a_reference_without_bases(write: Write) -> None:
    """A reference in a file without bases is an error, not a strange string."""
    with pytest.raises(ConfigKeyError, match="item"):
        load(write("c.yaml", "x: {{ _base_.item }}\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "_base_ = 'base.py'\n# x = {{ _base_.gone }}\ny = 1\n"),
        ("c.yaml", "_base_: base.py\n# x: {{ _base_.gone }}\ny: 1\n"),
    ],
)
def test_a_reference_in_a_comment_is_ignored(name: str, text: str, base: Path, write: Write) -> None:
    """A comment may refer to a key that does not exist."""
    assert load(write(name, text))["y"] == 1


def test_references_do_not_change_line_numbers(base: Path, write: Write) -> None:
    """A syntax error below references has the line of the file."""
    text = "_base_ = 'base.py'\nx = {{ _base_.item2 }}\ny = '{{ _base_.item4 }}'\nz = = 1\n"
    with pytest.raises(ConfigSyntaxError) as caught:
        load(write("c.py", text))
    assert caught.value.line == 4


# ---------------------------------------------------------------- variables of the environment


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFG_PORT", "80")
    monkeypatch.setenv("CFG_TEXT", 'it\'s "x" \\\\ {a}')
    monkeypatch.setenv("CFG_EMPTY", "")
    monkeypatch.delenv("CFG_UNSET", raising=False)


VARIABLES = [
    ("{{$CFG_PORT}}", 80),
    ("{{ $CFG_PORT:9 }}", 80),
    ("{{'$CFG_PORT:9'}}", 80),
    ("{{$CFG_UNSET:9.5}}", 9.5),
    ("{{$CFG_UNSET:true}}", True),
    ("{{$CFG_UNSET:None}}", None),
    ("{{$CFG_UNSET:two words}}", "two words"),
    ("{{$CFG_UNSET:[1, (a, 2)]}}", [1, ("a", 2)]),
    ("{{$CFG_UNSET:[1}}", "[1"),
    ("{{$CFG_UNSET:}}", ""),
    ("{{$CFG_EMPTY:x}}", ""),
    ('"{{$CFG_PORT}}"', "80"),
    ('"{{$CFG_TEXT}}"', 'it\'s "x" \\\\ {a}'),
    ('"p={{$CFG_PORT}}, {{$CFG_UNSET:q}}"', "p=80, q"),
    ('"{{CFG_PORT}} {{$}}"', "{{CFG_PORT}} {{$}}"),
]


@pytest.mark.usefixtures("env")
@pytest.mark.parametrize(("written", "value"), VARIABLES)
@pytest.mark.parametrize(
    ("name", "line"), [("c.py", "x = {}\n"), ("c.json", '{{"x": {}}}'), ("c.yaml", "x: {}\n")]
)
def test_an_environment_variable_is_filled_in(
    name: str, line: str, written: str, value: Any, write: Write
) -> None:
    """Alone, it has the type of its parsed text; in quotes, it is text and cannot end the string."""
    found = load(write(name, line.format(written)))["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.usefixtures("env")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "# {{$CFG_UNSET}}\na = 1\nx = {{$CFG_UNSET}}\n"),
        ("c.yaml", "a: 1\nb: 2\nx: {{$CFG_UNSET}}\n"),
    ],
)
def test_a_variable_that_is_not_set(name: str, text: str, write: Write) -> None:
    """Without a default it is a KeyError with the line and a correction; in a comment it is ignored."""
    with pytest.raises(ConfigKeyError, match=r"CFG_UNSET is not set.*\{\{\$CFG_UNSET:default\}\}") as caught:
        load(write(name, text))
    assert caught.value.line == 3


@pytest.mark.usefixtures("env")
def test_variables_with_bases(write: Write) -> None:
    """A variable may name a base, and can be used beside references to it."""
    write("b80.py", "lr = 0.5\n")
    text = "_base_ = 'b{{$CFG_PORT}}.py'\nx = {{ _base_.lr }} * {{$CFG_PORT}}\n"
    assert load(write("c.py", text)) == {"lr": 0.5, "x": 40.0}
    assert load(write("c.yaml", "_base_: b{{$CFG_PORT}}.py\nx: [{{ _base_.lr }}, {{$CFG_PORT}}]\n"))["x"] == [
        0.5,
        80,
    ]


def test_environment_variables_can_be_disabled(write: Write) -> None:
    """With use_predefined_variables=False they are not filled in."""
    file = write("c.json", '{"x": "{{$CFG_UNSET}}"}')
    assert Config.fromfile(file, use_predefined_variables=False).x == "{{$CFG_UNSET}}"


def test_references_to_items_of_lists(write: Write) -> None:
    """Indices in brackets or after a dot, from either end, select items of lists."""
    write("base.py", "a = [dict(b=1), dict(b=2)]\n")
    text = "_base_ = 'base.py'\nx = [{{ _base_.a[0].b }}, {{ _base_.a[-1].b }}, {{ _base_.a.1.b }}]\n"
    assert load(write("c.py", text))["x"] == [1, 2, 2]


def test_a_backslash_at_the_end_of_a_json_string(base: Path, write: Write) -> None:
    """An escaped backslash does not escape the quote after it."""
    text = (
        r'{"_base_": "base.py", "p": "C:\\", "q": "\"", "v": "{{ _base_.item3 }}", "w": {{ _base_.item1 }}}'
    )
    loaded = load(write("c.json", text))
    assert (loaded["p"], loaded["q"], loaded["v"], loaded["w"]) == ("C:\\", '"', 2.5, [1, 2])
