"""Origins of values and their history."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cfgtrain import Config, ConfigDict
from cfgtrain.config.dict import with_trace
from cfgtrain.config.provenance.file_source import Dependency
from cfgtrain.config.provenance.python_source import PythonSource
from cfgtrain.config.provenance.yaml_source import YamlSource
from cfgtrain.config.trace import FixedSource
from cfgtrain.errors import ConfigKeyError
from cfgtrain.origin import Origin, describe, where

Write = Callable[[str, str], Path]


def lines(file: str, *keys: str) -> list[int | None]:
    """Return the line of the newest origin of each key, all of which must be in ``file``."""
    cfg = Config.fromfile(file)
    found = [cfg.origin(key) for key in keys]
    assert {origin.file for origin in found if origin} == {file}
    return [origin.line if origin else 0 for origin in found]


def places(cfg: Config, key: str) -> list[str]:
    return [str(origin) for origin in cfg.history(key)]


# ---------------------------------------------------------------------------------- Python

PYTHON = """\
model = dict(
    type='A',
    neck=dict(type='B',
              size=(1,
                    2)),
    **{
        'odd key': 1,
        'plain': 2})
pipeline = [
    dict(type='Load'),
    dict(
        type='Resize'),
]
copy = model
named = dict(neck=model, first=pipeline)
x: int = 1
for i in range(2):
    if i:
        late = [i]
    else:
        late = []
try:
    tried = 1
finally:
    done = 2
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("model", 1),
        ("model.type", 2),
        ("model.neck", 3),
        ("model.neck.type", 3),
        ("model.neck.size", 4),
        ("model.neck.size[0]", 4),
        ("model.neck.size[1]", 5),
        ("pipeline", 9),
        ("pipeline[0].type", 10),
        ("pipeline.1.type", 12),
        ("copy.neck.type", 3),
        ("named.neck.neck.size[1]", 5),
        ("named.first[1].type", 12),
        ("x", 16),
        ("i", 17),
        ("late", 17),
        ("tried", 23),
        ("done", 25),
    ],
)
def test_lines_of_python(key: str, line: int | None, write: Write) -> None:
    """Lines are found for dict(...), lists, tuples and names, within if, for and try."""
    write("c.py", PYTHON)
    assert lines("c.py", key) == [line]


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = {\n'x': 1,\n'y': {'z': 2}}\n", "a.y.z", 3),
        ("a = {\n'x': 1,\n'x': 2}\n", "a.x", 3),
        ("b = dict(\nx=1)\na = dict(**b, y=2)\n", "a.x", 2),
        ("b = dict(\nx=1)\na = {**b,\n'y': 2}\n", "a.x", 2),
        ("b = dict(\nx=1)\na = {**b,\n'y': 2}\n", "a.y", 4),
        ("b = dict(\nx=1)\na = dict(**b,\ny=2) if 0 else dict(**b)\n", "a.x", 3),
        ("a = dict(x=1)\na.update(\nx=2)\n", "a.x", 3),
        ("a = dict(x=1)\na.update(dict(\nx=2))\n", "a.x", 3),
        ("a = dict(x=1)\na.update({'y': 2})\n", "a.x", 1),
        ("a = dict(x=1)\na.update({'y': 2})\n", "a.y", 2),
        ("a = dict(x=1)\na['x'] = 2\n", "a.x", 2),
        ("a = dict(x=1)\na['y'] = dict(\nz=2)\n", "a.y.z", 3),
        ("a = dict(x=dict(y=1))\na['x']['y'] = 2\n", "a.x.y", 2),
        ("a = [1, dict(x=1)]\na[1]['x'] = 2\n", "a[1].x", 2),
        ("a = dict(x=dict(y=1), z=1)\na['x']['y'] = 2\n", "a.z", 1),
        ("a = dict(x=1)\na['x'] = 2\n", "a", 1),
        ("a = 1\na = 2\n", "a", 2),
        ("a = b = 1\n", "b", 1),
        ("b = dict(\nx=1)\na = b\nb = dict(y=2)\n", "a.x", 2),
        ("a, b = (1,\n2)\n", "b", 2),
        ("import os\nfrom math import pi\n", "pi", 2),
        ("def make():\n    a = 1\n    return dict(x=2)\n\n\na = make()\n", "a.x", 6),
        ("a = [\n*[1, 2],\n3]\n", "a[1]", 2),
        ("a = [dict(x=i) for i in\n range(2)]\n", "a[1].x", 1),
        ("for b in [dict(x=1)]:\n    a = dict(**b)\n", "a.x", 1),
    ],
)
def test_lines_of_statements(text: str, key: str, line: int | None, write: Write) -> None:
    """The origin is the last statement that set a value; otherwise the nearest known line."""
    write("c.py", text)
    assert lines("c.py", key) == [line]


def test_an_origin_has_the_text_of_its_line(write: Write) -> None:
    """The line is quoted as in the file, without its indent."""
    write("c.py", "model = dict(\n    name='{{ fileBasename }}',  # a comment\n)\n")
    origin = Config.fromfile("c.py").origin("model.name")
    assert origin == Origin("c.py", 2, "name='{{ fileBasename }}',  # a comment")


# A break may have come before any line of the loop.
BROKEN_LOOP = "for i in range(3):\n    a = 1\n    break\n"


def test_an_origin_without_a_line_is_the_file(write: Write) -> None:
    """If the line is unknown, the file is still known."""
    write("c.py", BROKEN_LOOP)
    assert Config.fromfile("c.py").origin("a") == Origin("c.py", None, "")


def test_references_do_not_move_lines(write: Write) -> None:
    """Lines are those of the file, also with references and file variables."""
    write("a.py", "size = [1,\n2]\n")
    write("c.py", "_base_ = 'a.py'\nx = {{ _base_.size }}\ny = dict(\n  z='{{ fileDirname }}')\n")
    assert lines("c.py", "x", "x[1]", "y.z") == [2, 2, 4]


# ---------------------------------------------------------------------------- YAML and JSON

YAML = """\
# a comment
model:
  type: A
  neck: {type: B,
         size: [1,
                2]}
pipeline:
  - type: Load
  - {type: Resize}
again: &name
  x: 1
shared: *name
6: six
"""

JSON = """\
{
\t"model": {"type": "A",
\t\t"neck": {
\t\t\t"size": [1,
\t\t\t\t2]}},
\t"pipeline": [
\t\t{"type": "Load"}]
}
"""


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        (
            "c.yaml",
            YAML,
            {
                "model": 2,
                "model.type": 3,
                "model.neck.type": 4,
                "model.neck.size": 5,
                "model.neck.size[1]": 6,
                "pipeline": 7,
                "pipeline[0].type": 8,
                "pipeline[1]": 9,
                "shared.x": 11,
            },
        ),
        (
            "c.json",
            JSON,
            {
                "model": 2,
                "model.type": 2,
                "model.neck": 3,
                "model.neck.size": 4,
                "model.neck.size[1]": 5,
                "pipeline[0].type": 7,
            },
        ),
    ],
)
def test_lines_of_data(name: str, text: str, keys: dict[str, int], write: Write) -> None:
    """In YAML and JSON a key, or an item of a list, has the line on which it begins."""
    write(name, text)
    assert dict(zip(keys, lines(name, *keys), strict=True)) == keys


def test_lines_of_json_with_surrogate_pairs(write: Write) -> None:
    """JSON writes an emoji as two escapes, which YAML cannot read; lines and keys are found anyway."""
    text = json.dumps(
        {"a": "\U0001f642", "\U0001f642": 1, "half": "\ud83d", "path": "C:\\ud83d", "b": {"c": 2}}, indent=1
    )
    assert r"\ud83d\ude42" in text
    write("c.json", text)
    assert lines("c.json", "a", "\U0001f642", "half", "path", "b.c") == [2, 3, 4, 5, 7]


def test_lines_of_merged_keys(write: Write) -> None:
    """A key that ``<<`` merges has its line in the merged mapping; the keys of the mapping itself come first."""
    write("c.yaml", "a: &a\n  x: 1\n  y: 1\nb: &b\n  z: 1\nc:\n  <<: [*a, *b]\n  y: 2\nd:\n  <<: *a\n")
    assert lines("c.yaml", "c.x", "c.y", "c.z", "d.x") == [2, 8, 5, 2]


YAML_KEYS = """\
a:
  yes: 1
  ~: 1
  1e3: 1
  0x10: 1
  2: 1
  2001-01-01: 1
  "3": 1
  !!str 4: 1
  =: 1
  ? !!python/tuple [5, yes]
  : 1
  "<<": 1
  {{ fileExtname }}: 1
"""


def test_lines_of_keys_that_are_not_str(write: Write) -> None:
    """A YAML key may be read as a number, a date or None; its line is found anyway."""
    cfg = Config.fromfile(write("c.yaml", YAML_KEYS))
    found = [origin and origin.line for origin in (cfg.origin(("a", key)) for key in cfg.a)]
    assert found == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14]
    assert list(cfg.a)[:5] == [True, None, 1000.0, 16, 2]


def test_a_key_that_is_a_number_is_not_an_alias() -> None:
    """A value below such a key has no dependencies."""
    text = "1: {x: 2}\n"
    assert YamlSource("c.yaml", text, {1: {"x": 2}}, text).uses((1, "x")) == []


def _steps_of(keys: int) -> int:
    """Return how many lines of Python are run to find the origin of every key of a YAML config."""
    cfg = Config.fromstring("a:\n" + "".join(f"  key{i}: {{x: {i}}}\n" for i in range(keys)), ".yaml")
    steps = 0

    def count(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for i in range(keys):
            cfg.origin(f"a.key{i}.x")
    finally:
        sys.settrace(before)
    return steps


def test_lines_of_yaml_are_found_in_linear_time() -> None:
    """Twice as many keys take about twice as many steps."""
    assert _steps_of(400) < 3 * _steps_of(200)


def test_dependencies_of_yaml_and_json() -> None:
    """References and aliases are known, at any depth; other values have no dependencies."""
    text = "a: &a\n  x: [1]\nb: *a\nc: __base_reference_0__\nd: 'at __base_reference_0__'\n"
    tree = {"a": {"x": [1]}, "b": {"x": [1]}, "c": {"y": 2}, "d": "at 2"}
    source = YamlSource("c.yaml", text, tree, text, {"__base_reference_0__": "opt.lr"})
    alias = Dependency(("a", "x", 0), False, Origin("c.yaml", 2, "x: [1]"), 1)
    assert source.uses(("b", "x", 0)) == [alias]
    assert source.uses(("c", "y")) == [Dependency(("opt", "lr", "y"), True)]
    assert source.uses(("d",)) == [Dependency(("opt", "lr"), True)]
    assert source.uses(("a", "x")) == source.uses(("nothing", "there")) == []


def test_dependencies_of_merged_keys() -> None:
    """A key that ``<<`` merges depends on an alias of a mapping, but not on a mapping written in place."""
    text = "q: &q {x: {y: 1}}\n<<: *q\nr: {<<: {z: 1}}\n"
    source = YamlSource("c.yaml", text, {"q": {"x": {"y": 1}}, "x": {"y": 1}, "r": {"z": 1}}, text)
    assert [use.path for use in source.uses(("x", "y"))] == [("q", "x", "y")]
    assert source.uses(("q", "x", "y")) == source.uses(("r", "z")) == []


def test_a_value_of_a_base_has_the_line_of_its_reference(write: Write) -> None:
    """Values that a reference in YAML inserted, at any depth, have the line of the reference."""
    write("a.py", "item = dict(b=dict(c=[1]))\n")
    write("c.yaml", "_base_: a.py\n\nx: {{ _base_.item }}\n")
    assert lines("c.yaml", "x", "x.b", "x.b.c", "x.b.c[0]") == [3, 3, 3, 3]


def test_a_file_elsewhere_has_its_whole_path(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base outside the current folder is named by its absolute path."""
    base = write("a.py", "x = 1\n")
    write("sub/c.py", "_base_ = '../a.py'\n")
    monkeypatch.chdir(tmp_path / "sub")
    assert places(Config.fromfile("c.py"), "x") == [f"{base}:1"]


def test_a_file_whose_lines_cannot_be_found() -> None:
    """If YAML cannot read a text, such as JSON with a very long key, the origin is the file."""
    text = '{"%s": 1' % ("x" * 2000)
    source = YamlSource("c.json", text, {}, text)
    assert source.origin(("a",)) == Origin("c.json", None, "")


def test_an_empty_file_has_no_lines() -> None:
    """The origin of a key in an empty file is the file."""
    assert YamlSource("c.yaml", "", {}, "").origin(("a",)) == Origin("c.yaml", None, "")
    assert PythonSource("c.py", "", {}, "").origin(("a",)) == Origin("c.py", None, "")
    assert PythonSource("c.py", "", {}, "").origin(()) == Origin("c.py", None, "")


def test_origin_of_a_whole_config(write: Write) -> None:
    """The origin of the empty path is the file that was read last, without a line."""
    write("a.py", "x = 1\n")
    file = write("b.py", "_base_ = 'a.py'\n")
    assert Config.fromfile(file).origin(()) == Origin(str(file), None, "")


# --------------------------------------------------------------------------------- history


@pytest.fixture
def family(write: Write) -> Config:
    """A child (c.py) of a child (b.yaml) of a base (a.py)."""
    write("a.py", "model = dict(\n    depth=18,\n    width=1,\n    pre=None)\nlist = [1, 2]\n")
    write("b.yaml", "_base_: a.py\nmodel:\n  depth: 34\nlist: [3]\n")
    write("c.py", "_base_ = 'b.yaml'\nmodel = dict(\n\n    depth=50, new=1)\n")
    return Config.fromfile("c.py")


@pytest.mark.parametrize(
    ("key", "history"),
    [
        ("model.depth", ["a.py:2", "b.yaml:3", "c.py:4"]),
        ("model.width", ["a.py:3"]),
        ("model.new", ["c.py:4"]),
        ("model", ["a.py:1", "b.yaml:2", "c.py:2"]),
        ("list", ["a.py:5", "b.yaml:4"]),
        ("list[0]", ["a.py:5", "b.yaml:4"]),
    ],
)
def test_history_through_inheritance(key: str, history: list[str], family: Config) -> None:
    """Each file of the chain that set a key is in its history, oldest first."""
    assert places(family, key) == history
    assert str(family.origin(key)) == history[-1]


def test_history_contains_only_files_with_the_value(write: Write) -> None:
    """A file that set a number, or a shorter list, did not set the later items."""
    write("a.py", "x = 1\ny = [1]\n")
    write("c.py", "_base_ = 'a.py'\nx = [1]\ny = [1, 2]\n")
    cfg = Config.fromfile("c.py")
    assert (places(cfg, "x[0]"), places(cfg, "y[1]")) == (["c.py:2"], ["c.py:3"])
    assert places(cfg, "y[0]") == ["a.py:2", "c.py:3"]


def test_overrides_extend_the_history(family: Config) -> None:
    """The overrides of the command line follow the files, each with its text."""
    options = {"model.depth": 101, "model.width": 2}
    family.merge_from_dict(options, origin=Origin(None, None, "--cfg-options"))
    assert places(family, "model.depth")[-2:] == ["c.py:4", "--cfg-options model.depth=101"]
    assert places(family, "model.width") == ["a.py:3", "--cfg-options model.width=2"]
    assert places(family, "model.pre") == ["a.py:4"]


def test_overrides_without_an_origin_name_their_function(family: Config) -> None:
    """By default the origin is a call of ``merge_from_dict``."""
    family.merge_from_dict({"+extra": {"x": 1}})
    assert places(family, "extra.x") == ["merge_from_dict +extra={'x': 1}"]


def test_overridden_items_of_a_list(write: Write) -> None:
    """An item that is addressed by its index has its own history."""
    write("c.py", "p = [\n  dict(a=1, b=1),\n  dict(a=2)]\nq = [1, 2]\n")
    cfg = Config.fromfile("c.py")
    cfg.merge_from_dict({"p.0.a": 5, "q[1]": 7})
    assert places(cfg, "p[0].a") == ["c.py:2", "merge_from_dict p.0.a=5"]
    assert places(cfg, "p[0].b") == ["c.py:2"]
    assert places(cfg, "p[1].a") == ["c.py:3"]
    assert places(cfg, "q[1]") == ["c.py:4", "merge_from_dict q[1]=7"]


def test_a_replaced_dict_has_a_new_history(family: Config) -> None:
    """A dict that replaces another with ``_delete_`` has no history of the old keys."""
    family.merge_from_dict({"model": {"_delete_": True, "depth": 1}})
    assert [place.split()[0] for place in places(family, "model.depth")] == ["merge_from_dict"]
    with pytest.raises(ConfigKeyError):
        family.history("model.width")


def here() -> int:
    """Return the line of the caller."""
    import sys

    return sys._getframe(1).f_lineno


def test_code_extends_the_history(family: Config) -> None:
    """A key that code sets has the line of that code, for every way to set it."""
    family.model.depth, first = 1, here()
    family["fresh"], second = {"x": [{"y": 1}]}, here()
    family.model.update(width=3); third = here()  # fmt: skip  # noqa: E702  # one line, to know its number
    assert places(family, "model.depth") == ["a.py:2", "b.yaml:3", "c.py:4", f"{__file__}:{first}"]
    assert places(family, "fresh.x[0].y") == [f"{__file__}:{second}"]
    assert places(family, "fresh") == [f"{__file__}:{second}"]
    assert places(family, "model.width") == ["a.py:3", f"{__file__}:{third}"]


def test_history_is_in_the_order_of_events(family: Config) -> None:
    """An override after code is newer than the code, and later code is newer than the override."""
    family.model.depth = 1
    family.merge_from_dict({"model.depth": 2})
    assert places(family, "model.depth")[-1] == "merge_from_dict model.depth=2"
    family.model.depth = 3
    assert places(family, "model.depth")[-3:] == [
        str(family.history("model.depth")[3]),
        "merge_from_dict model.depth=2",
        str(family.origin("model.depth")),
    ]
    assert (family.origin("model.depth") or Origin("", 0, "")).file == __file__


@pytest.mark.parametrize("key", ["model.nothing", "modl", "list[7]", "list.x", "model.depth.x"])
def test_the_history_of_a_missing_key(key: str, family: Config) -> None:
    """The history of a key that the config does not have is a KeyError."""
    with pytest.raises(ConfigKeyError, match="There is no key"):
        family.history(key)


def test_a_config_made_in_code_has_no_origins() -> None:
    """Values that neither a file nor an override set have an empty history."""
    cfg = Config({"a": {"b": 1}})
    assert cfg.origin("a.b") is None
    assert cfg.history("a") == []


# -------------------------------------------------------------------------- what keeps traces


@pytest.mark.parametrize(
    "same",
    [
        lambda node: copy.copy(node),
        lambda node: node.copy(),
        lambda node: copy.deepcopy(node),
        lambda node: node.deepcopy(),
        lambda node: pickle.loads(pickle.dumps(node)),
        lambda node: ConfigDict(inner=node).inner,
        lambda node: Config({"inner": node}).inner,
        lambda node: Config(node)._cfg_dict,
        lambda node: [node][:][0],
        lambda node: node | {},
    ],
)
def test_copies_keep_their_origins(same: Callable[[ConfigDict], ConfigDict], family: Config) -> None:
    """A copy, a pickle or a nested node keeps its path and its lines."""
    twin = same(family.model)
    assert describe(twin, "depth") == "model.depth (c.py:4)"
    assert describe(twin) == "model (c.py:2)"


def test_slices_keep_their_origins(write: Write) -> None:
    """Items of a slice or a concatenated list keep their origins."""
    write("c.py", "p = [\n  dict(a=1),\n  dict(a=2),\n  dict(a=3)]\n")
    cfg = Config.fromfile("c.py")
    cfg.p = [*cfg.p[1:], {"a": 4}]
    origins = [where(item, "a") for item in cfg.p]
    assert [origin and origin.file for origin in origins] == ["c.py", "c.py", __file__]
    assert describe(cfg.p[0], "a") == "p[1].a (c.py:3)"


@pytest.mark.parametrize("same", [copy.copy, copy.deepcopy, lambda cfg: pickle.loads(pickle.dumps(cfg))])
def test_a_copied_config_keeps_its_history(same: Callable[[Config], Config], family: Config) -> None:
    """All origins of a Config survive copy, deepcopy and pickle, those of code and overrides too."""
    family.model.depth = 1
    family.merge_from_dict({"model.width": 2})
    for key in ("model.depth", "model.width", "list[0]"):
        assert same(family).history(key) == family.history(key)


def test_a_config_is_freed_with_its_last_reference() -> None:
    """Neither loading nor reading an origin leaves reference cycles."""
    cfg = Config.fromstring("x = dict(y=[1, dict(z=2)])\n", ".py")
    cfg.origin("x.y[1].z")
    source = weakref.ref(cfg._cfg_dict._trace.sources[0])
    gc.disable()
    try:
        del cfg
        assert source() is None
    finally:
        gc.enable()


def test_a_pickle_contains_the_record_of_the_execution() -> None:
    """The origins in a copy from a pickle are those of the execution."""
    cfg = Config.fromstring("x = dict(y=1)\nif False:\n    x['y'] = 1\nif True:\n    x['z'] = 1\n", ".py")
    for twin in (cfg, copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        assert [str(twin.origin(key)) for key in ("x.y", "x.z")] == ["<string>:1", "<string>:5"]


@pytest.mark.parametrize("suffix", [".py", ".yaml"])
def test_a_pickle_contains_no_cached_origins(suffix: str) -> None:
    """Data that was computed for an origin is not pickled."""
    cfg = Config.fromstring("x: {y: [1, 2]}\n" if suffix == ".yaml" else "x = dict(y=[1, 2])\n", suffix)
    before = pickle.dumps(cfg)
    origin = cfg.origin("x.y[0]")
    assert pickle.dumps(cfg) == before
    assert pickle.loads(before).origin("x.y[0]") == origin


def test_an_edit_of_a_copy_is_not_in_the_original(family: Config) -> None:
    """A key that code sets in a deep copy is not in the history of the original."""
    before = family.history("model.depth")
    twin = copy.deepcopy(family)
    twin.model.depth = 1
    family.model.copy().depth = 2
    assert family.history("model.depth") == before
    assert len(twin.history("model.depth")) == len(before) + 1


def test_plain_dicts_have_no_traces(family: Config) -> None:
    """``to_dict`` drops all origins."""
    plain: Any = family.to_dict()
    assert type(plain["model"]) is dict
    assert where(plain["model"], "depth") is None


def test_equality_ignores_origins(family: Config) -> None:
    """Equal values from different places are equal."""
    assert family.model == ConfigDict(depth=50, width=1, pre=None, new=1)
    assert family == Config(family.to_dict())


def test_origins_are_not_keys(family: Config) -> None:
    """The private attribute is neither among the keys nor in the repr."""
    assert "_trace" not in family.model
    assert "_trace" not in repr(family)
    assert list(family.model) == ["depth", "width", "pre", "new"]


def test_tracing_plain_data() -> None:
    """A tree of dicts, lists and tuples is copied, and every dict of the copy has its path."""
    tree = {"a": ({"b": 1}, [{"c": 2}])}
    node = with_trace(tree, FixedSource(tree, Origin("f", 1, "")))
    assert node == tree
    assert describe(node.a[1][0], "c") == "a[1][0].c (f:1)"
