"""Importing modules that are named by strings."""

from __future__ import annotations

import json
import string
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.errors import ConfigImportError
from cfgtrain.introspection.imports import import_object
from cfgtrain.utils.imports import import_modules_from_strings

Write = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("imports", "modules"),
    [
        ("json", json),
        (["json", "string"], [json, string]),
        (("string",), [string]),
        ("json.decoder", json.decoder),
        (None, None),
        ("", None),
        ([], None),
    ],
)
def test_modules_are_imported(imports: Any, modules: Any) -> None:
    """A name gives its module, a list the modules in order, and nothing gives None."""
    assert import_modules_from_strings(imports) == modules


@pytest.mark.parametrize("imports", [1, ["json", 1], {"json": 1}, {"json"}, b"json"])
def test_names_are_text(imports: Any) -> None:
    """Other containers and other items are a TypeError."""
    with pytest.raises(TypeError, match="names a module or a list of modules"):
        import_modules_from_strings(imports)


@pytest.mark.parametrize("imports", ["not_there_at_all", ["json", "not_there_at_all.sub"]])
def test_a_missing_module(imports: Any) -> None:
    """The ImportError names what is missing and where was searched, and keeps its cause."""
    with pytest.raises(ImportError, match=r"no module 'not_there_at_all' to import.*PYTHONPATH") as caught:
        import_modules_from_strings(imports)
    assert isinstance(caught.value, ConfigImportError)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("\nimport not_there_at_all\n", r"failing\.py:2\)\.$"),
        ("def f():\n    return {}['a']\n\n\nf()\n", r"KeyError: 'a' \(.*failing\.py:2\)\.$"),
        ("x = (\n", r"SyntaxError: '\(' was never closed \(/.*/failing\.py:1\)\.$"),
        (
            "from cfgtrain.cnn import MODELS\n\n\n@MODELS.register_module()\nclass LeNet5:\n    pass\n",
            r"'LeNet5' is in the model registry already.*\(.*failing\.py:4\)\.$",
        ),
        ("import json\n\njson.loads('{')\n", r"JSONDecodeError: .*\(.*failing\.py:3\)\.$"),
    ],
)
def test_a_module_that_fails(text: str, end: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and line that failed are told, once."""
    monkeypatch.syspath_prepend(write("failing.py", text).parent)
    with pytest.raises(ConfigImportError, match=rf"'failing' cannot be imported: .*{end}"):
        import_modules_from_strings("failing")


@pytest.mark.parametrize("text", ["import not_there_at_all\n", "from json import not_there_at_all\n"])
def test_a_module_that_lacks_something_itself(
    text: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a module is there but cannot be imported, its own reason is told."""
    monkeypatch.syspath_prepend(write("lacking.py", text).parent)
    with pytest.raises(ConfigImportError, match=r"'lacking' cannot be imported: .*not_there_at_all"):
        import_modules_from_strings("lacking")


def test_a_failure_may_be_allowed() -> None:
    """Allowed to fail, a missing module is a warning and None in its place."""
    with pytest.warns(UserWarning, match=r"not_there_at_all.*skipped"):
        assert import_modules_from_strings(["json", "not_there_at_all"], True) == [json, None]
    with pytest.warns(UserWarning, match="skipped"):
        assert import_modules_from_strings("not_there_at_all", allow_failed_imports=True) is None


def test_only_failing_imports_are_allowed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of another kind in a module is never passed over."""
    monkeypatch.syspath_prepend(write("raising.py", "1 / 0\n").parent)
    with pytest.raises(ConfigImportError, match="ZeroDivisionError: division by zero"):
        import_modules_from_strings("raising", allow_failed_imports=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jsn", "There is no module 'jsn' to import. Did you mean 'json'?"),
        (
            "xml.etre.ElementTree",
            "There is no module 'xml.etre' to import. Did you mean 'xml.etree.ElementTree'?",
        ),
        ("xml.zzzzzz", "There is no module 'xml.zzzzzz' to import: 'xml' does not hold it."),
        ("json.tool.x", "There is no module 'json.tool.x' to import: 'json.tool' does not hold it."),
    ],
)
def test_a_misspelt_module(name: str, text: str) -> None:
    """The nearest module is suggested, or how far the name leads is told."""
    with pytest.raises(ConfigImportError) as caught:
        import_modules_from_strings(name)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("collections.OrderedDict", OrderedDict),
        ("pathlib.Path.cwd", Path.cwd),
        ("json", None),
        ("sys.path", None),
        ("json.nothing", None),
        ("no_module.x", None),
        ("json..dumps", None),
        ("", None),
    ],
)
def test_objects_by_path(path: str, found: Any) -> None:
    """A function, class or method of a module; None for what is not there or cannot be called."""
    assert import_object(path) == found
