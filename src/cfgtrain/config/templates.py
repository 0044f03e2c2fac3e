"""Placeholders ``{{ }}`` in config files: the name of the file, values of its bases, environment variables.

``{{ fileBasename }}`` and similar placeholders are replaced in the text before it is parsed.
``{{ _base_.key.path }}`` is a value of the merged bases, and ``{{$NAME:default}}`` the value of an
environment variable. Both keep their type, so that they can be used in expressions;
inside a longer string they are replaced by their text.
"""

from __future__ import annotations

import ast
import os
import re
from bisect import bisect
from contextlib import suppress
from typing import Any, NamedTuple

from cfgtrain.config.dict import copy_tree
from cfgtrain.config.key_paths import NoSuchKeyError, look_up
from cfgtrain.config.options import parse_value
from cfgtrain.errors import ConfigKeyError, OptionError
from cfgtrain.origin import Origin
from cfgtrain.suggestions import suggest

_FILE_VARIABLE = re.compile(r"\{\{\s*(fileDirname|fileBasename|fileBasenameNoExtension|fileExtname)\s*\}\}")
_VALUE = re.compile(
    r"\{\{\s*(?:_base_\.(?P<path>[\w.\[\]-]+?)"
    r"""|(?P<quote>['"]?)\$(?P<name>[A-Za-z_]\w*)(?::(?P<default>[^{}]*?))?(?P=quote))\s*\}\}"""
)
_ESCAPES = {
    ".py": str.maketrans({"'": r"\'", '"': r"\"", "\\": r"\\"}),
    ".json": str.maketrans({'"': r"\"", "\\": r"\\"}),
}
_JSON_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
TOKEN = re.compile(r"__(?:base|environment)_reference_\d+__")


class Variable(NamedTuple):
    """A ``{{$NAME:default}}``.

    Attributes:
        name: The name of the environment variable.
        default: The value if the variable is not set; None if the file has no default.
        quoted: Whether there are quotes directly around it: then it is text in any format.
    """

    name: str
    default: str | None
    quoted: bool


class Hidden(NamedTuple):
    """A text with tokens in place of its placeholders.

    Attributes:
        text: The text to parse.
        references: The key path in the bases for each token.
        variables: The environment variable for each token.
    """

    text: str
    references: dict[str, str]
    variables: dict[str, Variable]

    def sources(self) -> dict[str, str]:
        """Return the key path, or the ``$NAME`` of a variable, for each token."""
        return self.references | {token: f"${variable.name}" for token, variable in self.variables.items()}


def fill_file_variables(text: str, file: str) -> str:
    """Return ``text`` with the parts of the absolute path ``file`` filled in.

    Quotes in the path are escaped if the format allows it, so that a folder named ``it's`` does
    not end the string that it is in.
    """
    folder, name = os.path.split(file)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  # pathlib is slower than reading a small file
    values = {
        "fileDirname": folder.replace(os.sep, "/"),
        "fileBasename": name,
        "fileBasenameNoExtension": stem,
        "fileExtname": suffix,
    }
    escapes = _ESCAPES.get(suffix, {})
    return _FILE_VARIABLE.sub(lambda match: values[match[1]].translate(escapes), text)


def hide_values(text: str, suffix: str, variables: bool = True) -> Hidden:
    """Replace each ``{{ _base_.x }}`` and ``{{$NAME}}`` by a token that the format's parser accepts."""
    hidden = Hidden(text, {}, {})
    strings = [match.span() for match in _JSON_STRING.finditer(text)] if suffix == ".json" else []

    def token(match: re.Match[str]) -> str:
        if match["path"]:
            name = f"__base_reference_{len(hidden.references)}__"
            hidden.references[name] = match["path"]
        elif variables:
            name = f"__environment_reference_{len(hidden.variables)}__"
            around = text[max(match.start() - 1, 0) : match.start()], text[match.end() : match.end() + 1]
            hidden.variables[name] = Variable(
                match["name"], match["default"], around in (("'", "'"), ('"', '"'))
            )
        else:
            return match[0]
        if suffix != ".json":
            return name
        before = bisect(strings, (match.start(), 0))  # number of strings that begin before the match
        in_string = before > 0 and match.start() < strings[before - 1][1]
        return name if in_string else f'"{name}"'

    return hidden._replace(text=_VALUE.sub(token, text))


def used_tokens(text: str) -> set[str]:
    """Return the tokens in a parsed text, which contains no comments."""
    return set(TOKEN.findall(text))


def look_up_references(paths: dict[str, str], bases: Any, file: str, text: str) -> dict[str, Any]:
    """Return the value for each token of ``paths``; ``text`` is the text with the tokens.

    Raises:
        ConfigKeyError: A path does not exist in the merged bases.
    """
    values = {}
    for token, path in paths.items():
        try:
            values[token] = copy_tree(look_up(bases, path))
        except NoSuchKeyError as missing:
            raise ConfigKeyError(
                f"The bases do not define {path!r}: there is no {missing.part!r}.",
                hint=missing.hint(),
                origin=Origin(file, _line(token, text)),
                key=f"_base_.{path}",
            ) from None
    return values


def read_environment(
    variables: dict[str, Variable], file: str, text: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the value for each token, parsed like a value of the command line, and its text.

    Raises:
        ConfigKeyError: A variable is not set and has no default.
    """
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for token, (name, default, quoted) in variables.items():
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigKeyError(
                f"The environment variable {name} is not set.",
                hint=f"{suggest(name, os.environ)} Set it, or give it a default: {{{{${name}:default}}}}.",
                origin=Origin(file, _line(token, text)),
            )
        values[token] = texts[token] = found
        if not quoted:
            with suppress(OptionError):  # what cannot be parsed is a string
                values[token] = parse_value(found)
    return values, texts


def _line(token: str, text: str) -> int:
    """Return the 1-based line of the first occurrence of a token."""
    return text.count("\n", 0, text.index(token)) + 1


class FillStrings(ast.NodeTransformer):
    """Replaces the tokens in the string literals of a Python config by their texts."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Fill in one literal, which keeps its location."""
        if isinstance(node.value, str) and TOKEN.search(node.value):
            return ast.copy_location(ast.Constant(fill_text(node.value, self.texts)), node)
        return node


def fill_tree(value: Any, values: dict[str, Any], texts: dict[str, str]) -> Any:
    """Fill values into parsed YAML or JSON: the value for a string that is a token, else its text."""
    if isinstance(value, str):
        return copy_tree(values[value]) if value in values else fill_text(value, texts)
    if isinstance(value, dict):
        return {
            fill_text(k, texts) if isinstance(k, str) else k: fill_tree(v, values, texts)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)([fill_tree(item, values, texts) for item in value])
    return value


def fill_text(text: str, texts: dict[str, str]) -> str:
    """Return ``text`` with each token that is in ``texts`` replaced by its text."""
    return TOKEN.sub(lambda match: texts.get(match[0], match[0]), text)
