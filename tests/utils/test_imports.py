"""Tests of importing modules by name."""

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
    """A name returns its module, a list its modules in order, and an empty argument None."""
    assert import_modules_from_strings(imports) == modules


@pytest.mark.parametrize("imports", [1, ["json", 1], {"json": 1}, {"json"}, b"json"])
def test_invalid_names(imports: Any) -> None:
    """Other containers and other items raise a TypeError."""
    with pytest.raises(TypeError, match="must be a module name or a list of them"):
        import_modules_from_strings(imports)


@pytest.mark.parametrize("imports", ["not_there_at_all", ["json", "not_there_at_all.sub"]])
def test_missing_module(imports: Any) -> None:
    """The ImportError names the missing module and the folders searched, and chains its cause."""
    with pytest.raises(ImportError, match=r"No module named 'not_there_at_all'.*PYTHONPATH") as caught:
        import_modules_from_strings(imports)
    assert isinstance(caught.value, ConfigImportError)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("\nimport not_there_at_all\n", r"failing\.py:2\)\.$"),
        ("def f():\n    return {}['a']\n\n\nf()\n", r"KeyError: 'a' \(.*failing\.py:2\)\.$"),
        ("x = (\n", r"SyntaxError: .*\(failing\.py, line 1\)\.$"),
    ],
)
def test_module_that_raises(text: str, end: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the file and line that raised, once."""
    monkeypatch.syspath_prepend(write("failing.py", text).parent)
    with pytest.raises(ConfigImportError, match=rf"'failing' cannot be imported: .*{end}"):
        import_modules_from_strings("failing")


@pytest.mark.parametrize("text", ["import not_there_at_all\n", "from json import not_there_at_all\n"])
def test_module_with_missing_dependency(text: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a module exists but its own imports fail, the message contains the reason."""
    monkeypatch.syspath_prepend(write("lacking.py", text).parent)
    with pytest.raises(ConfigImportError, match=r"'lacking' cannot be imported: .*not_there_at_all"):
        import_modules_from_strings("lacking")


def test_allow_failed_imports() -> None:
    """If failures are allowed, a missing module issues a warning and is None in the result."""
    with pytest.warns(UserWarning, match=r"not_there_at_all.*skipped"):
        assert import_modules_from_strings(["json", "not_there_at_all"], True) == [json, None]
    with pytest.warns(UserWarning, match="skipped"):
        assert import_modules_from_strings("not_there_at_all", allow_failed_imports=True) is None


def test_other_errors_are_not_allowed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other errors in a module are raised even if failed imports are allowed."""
    monkeypatch.syspath_prepend(write("raising.py", "1 / 0\n").parent)
    with pytest.raises(ConfigImportError, match="ZeroDivisionError: division by zero"):
        import_modules_from_strings("raising", allow_failed_imports=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jsn", "No module named 'jsn'. Did you mean 'json'?"),
        (
            "xml.etre.ElementTree",
            "No module named 'xml.etre'. Did you mean 'xml.etree.ElementTree'?",
        ),
        ("xml.zzzzzz", "No module named 'xml.zzzzzz': 'xml' does not contain it."),
        ("json.tool.x", "No module named 'json.tool.x': 'json.tool' does not contain it."),
    ],
)
def test_misspelled_module(name: str, text: str) -> None:
    """The message suggests the nearest module, or names the package that does not contain it."""
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
def test_import_object(path: str, found: Any) -> None:
    """The path of a function, class or method returns it; other paths return None."""
    assert import_object(path) == found
