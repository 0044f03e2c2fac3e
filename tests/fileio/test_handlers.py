"""Tests of the handlers for JSON, YAML and pickle, and of custom handlers."""

from __future__ import annotations

import io
import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import ConfigDict, dump, load
from cfgtrain.errors import ArgumentTypeError, NameTakenError
from cfgtrain.fileio import (
    BaseFileHandler,
    JsonHandler,
    PickleHandler,
    YamlHandler,
    register_handler,
)
from cfgtrain.fileio.handlers import _pickle_warned, file_handlers

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=8,
)


def as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value


@settings(deadline=None)
@given(value=VALUES)
def test_yaml_round_trips(value: Any) -> None:
    """Built-in types, tuples included, survive a round trip through YAML."""
    text = YamlHandler().dump_to_str(value, sort_keys=False)
    assert repr(YamlHandler().load_from_fileobj(io.StringIO(text))) == repr(value)


@settings(deadline=None)
@given(value=VALUES)
def test_json_round_trips(value: Any) -> None:
    """Built-in types survive a round trip through JSON; tuples become lists."""
    text = JsonHandler().dump_to_str(value)
    assert JsonHandler().load_from_fileobj(io.StringIO(text)) == as_lists(value)


@settings(deadline=None)
@given(value=VALUES)
def test_pickle_round_trips(value: Any) -> None:
    """Values survive a round trip through pickle."""
    data = PickleHandler().dump_to_str(value)
    assert repr(PickleHandler().load_from_fileobj(io.BytesIO(data))) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        ({1}, "[1]"),
        (range(3), "[0, 1, 2]"),
        (ConfigDict(a=(1, {"b": None})), '{"a": [1, {"b": null}]}'),
        ({6: 1}, '{"6": 1}'),
        (frozenset({1}), "[1]"),
        (np.ma.array([1, 2], mask=[0, 1]), "[1, null]"),
        (np.array("a"), '"a"'),
        ([np.str_("a")], '["a"]'),
    ],
)
def test_json_of_arrays_sets_and_ranges(value: Any, text: str) -> None:
    """NumPy arrays and scalars, sets and ranges are written as lists and numbers."""
    assert dump(value, file_format="json") == text
    out = io.StringIO()
    dump(value, out, file_format="json")
    assert out.getvalue() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": np.array([[1, 2]])}, "a:\n- - 1\n  - 2\n"),
        ([np.float32(0.5), np.float64(0.5), np.int64(3), np.bool_(True)], "- 0.5\n- 0.5\n- 3\n- true\n"),
        ([np.str_("a"), np.array("a"), range(2)], "- a\n- a\n- - 0\n  - 1\n"),
    ],
)
def test_yaml_of_arrays_and_ranges(value: Any, text: str) -> None:
    """NumPy arrays and scalars, and ranges, are written as in JSON."""
    assert dump(value, file_format="yaml") == text


@pytest.mark.parametrize(
    "value", [object(), Path("a"), 1j, np.longdouble(1), np.array([1j]), np.array([object()], dtype=object)]
)
@pytest.mark.parametrize("language", ["json", "yaml"])
def test_unsupported_values(value: object, language: str) -> None:
    """A value that the format cannot represent raises a TypeError with the value, in YAML as in JSON."""
    with pytest.raises(ArgumentTypeError, match=f"(?i){language} cannot represent "):
        dump({"a": [value]}, file_format=language)
    with pytest.raises(ArgumentTypeError):
        dump([value], io.StringIO(), file_format=language)


def test_circular_references() -> None:
    """A list that contains itself raises a ValueError in both text formats."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="Circular"):
        dump(value, file_format="json")
    with pytest.raises(ValueError, match="contains itself"):
        dump(value, file_format="yaml")


def test_json_default_of_caller() -> None:
    """The ``default`` argument of the caller replaces the built-in one."""
    assert dump({"a": 1j}, file_format="json", default=str) == '{"a": "1j"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-1.5e+3", -1500.0),
        ("1_0e2", 1000.0),
        ("1.0", 1.0),
        ("'1e-3'", "1e-3"),
        ("1e", "1e"),
        ("e3", "e3"),
        ("0x1e3", 0x1E3),
        ("!!python/tuple [1, [2]]", (1, [2])),
        ("!!python/tuple [!!python/tuple [], {a: !!python/tuple [1]}]", ((), {"a": (1,)})),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
    ],
)
def test_yaml_reads(text: str, value: Any) -> None:
    """Numbers such as 1e-3 are read as floats, and tuples as tuples."""
    found = load(io.StringIO(text), file_format="yaml")
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [made]",
        "!!python/object/new:os.mkdir [made]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
    ],
)
def test_yaml_does_not_run_code(text: str) -> None:
    """A document with tags for Python objects raises an error, and nothing is called."""
    with pytest.raises(yaml.constructor.ConstructorError):
        load(io.StringIO(text), file_format="yaml")
    assert not Path("made").exists()


def test_custom_yaml_loader() -> None:
    """The ``Loader`` argument selects another loader, even an unsafe one."""
    value = load(io.StringIO("!!python/name:os.getcwd"), file_format="yaml", Loader=yaml.UnsafeLoader)
    assert value.__name__ == "getcwd"


@pytest.mark.parametrize("value", [ConfigDict(b=[{"c": 1}], a=2), OrderedDict(b=[ConfigDict(c=1)], a=2)])
def test_yaml_of_dict_subclasses(value: Any) -> None:
    """Subclasses of dict are written as mappings."""
    assert dump(value, file_format="yaml") == "a: 2\nb:\n- c: 1\n"
    assert dump(value, file_format="yml", sort_keys=False) == "b:\n- c: 1\na: 2\n"


def test_yaml_without_aliases() -> None:
    """A list that occurs twice is written twice, without anchors."""
    shared = [1]
    assert dump({"a": shared, "b": shared}, file_format="yaml") == "a:\n- 1\nb:\n- 1\n"


def test_pickle_protocol() -> None:
    """The default protocol is 2; another one can be passed."""
    assert dump([1], file_format="pkl") == pickle.dumps([1], protocol=2)
    assert dump([1], file_format="pickle", protocol=4) == pickle.dumps([1], protocol=4)


# ------------------------------------------------------------------------- custom formats


class LinesHandler(BaseFileHandler):
    """Writes one item per line."""

    def __init__(self, end: str = "\n") -> None:
        self.end = end

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        return file.read().split(self.end)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        file.write(self.dump_to_str(obj))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        return self.end.join(map(str, obj))


@pytest.mark.parametrize("names", ["lines", ["lines", "rows"], ("lines",)])
def test_custom_format(names: Any) -> None:
    """A registered class reads and writes files with its extensions; the decorator returns the class."""
    with pytest.raises(TypeError):
        dump([1, 2], "a.lines")
    assert register_handler(names)(LinesHandler) is LinesHandler
    dump([1, 2], "a.lines")
    assert Path("a.lines").read_text() == "1\n2"
    assert load("a.lines") == ["1", "2"]
    assert ("rows" in file_handlers) == (names == ["lines", "rows"])


def test_handler_arguments() -> None:
    """Keyword arguments of register_handler are passed to the handler's constructor."""
    register_handler("lines", end=";")(LinesHandler)
    assert dump([1, 2], file_format="lines") == "1;2"


@pytest.mark.parametrize("names", [[1], ["a", None], (b"x",)])
def test_format_must_be_str(names: Any) -> None:
    """Names of formats of another type raise a TypeError."""
    with pytest.raises(TypeError, match="format"):
        register_handler(names)


@pytest.mark.parametrize("what", [dict, 3, LinesHandler()])
def test_handler_must_be_subclass(what: Any) -> None:
    """An object that is not a subclass of BaseFileHandler raises a TypeError and is not registered."""
    with pytest.raises(TypeError, match="BaseFileHandler"):
        register_handler("lines")(what)
    assert "lines" not in file_handlers


def test_format_is_not_replaced_by_accident() -> None:
    """A format keeps its handler, unless force is set or the class is defined again by the same module."""
    before = dict(file_handlers)
    with pytest.raises(NameTakenError, match=r"'json' is already registered for JsonHandler\. .*force=True"):
        register_handler(["lines", "json"])(LinesHandler)
    assert file_handlers == before
    register_handler("json", force=True)(LinesHandler)
    assert dump([1, 2], file_format="json") == "1\n2"
    again = type("LinesHandler", (LinesHandler,), {"__module__": LinesHandler.__module__})
    register_handler("json", end=";")(again)
    assert dump([1, 2], file_format="json") == "1;2"


def test_pickle_warning() -> None:
    """The first pickle that a process loads issues a warning, attributed to the line that calls load."""
    data = io.BytesIO(pickle.dumps([1]))
    _pickle_warned.clear()
    with pytest.warns(UserWarning, match="can run any code") as caught:
        assert load(data, file_format="pkl") == [1]
    assert caught[0].filename == __file__
    data.seek(0)
    assert load(data, file_format="pickle") == [1]


def test_handler_reads_and_writes_paths() -> None:
    """A handler opens paths itself, and writes them atomically."""
    for handler, name in ((JsonHandler(), "a.json"), (PickleHandler(), "a.pkl")):
        handler.dump_to_path({"ä": [1]}, name)
        assert handler.load_from_path(name) == {"ä": [1]}
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            handler.dump_to_path(lambda: 0, name)
        assert handler.load_from_path(Path(name), "rb") == {"ä": [1]}


def test_incomplete_handler() -> None:
    """A class without one of the three abstract methods cannot be registered."""

    class Half(BaseFileHandler):
        def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any: ...

    with pytest.raises(TypeError, match="abstract"):
        register_handler("half")(Half)


def test_builtin_formats() -> None:
    """Three formats are registered with five extensions; those of pickle are binary."""
    assert {name: handler.str_like for name, handler in file_handlers.items()} == {
        "json": True,
        "yaml": True,
        "yml": True,
        "pickle": False,
        "pkl": False,
    }


def test_json_text() -> None:
    """The text of built-in types equals that of the json module."""
    assert dump([{"a": "abc", "b": 1}, 2, "c"], file_format="json") == '[{"a": "abc", "b": 1}, 2, "c"]'
    assert json.loads(str(dump(["ä\n"], file_format="json"))) == ["ä\n"]
