"""``{{ }}`` in config files: the file's own name, and values of its bases.

``{{ fileBasename }}`` and its kin are replaced in the text before anything reads it.
``{{ _base_.key.path }}`` stands for a value of the merged bases and keeps its type, so
that it can be used in expressions; inside a longer string its text is put in.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from cfgtrain.config.dict import copied
from cfgtrain.errors import ConfigKeyError, suggest

_FILE_VARIABLE = re.compile(r"\{\{\s*(fileDirname|fileBasename|fileBasenameNoExtension|fileExtname)\s*\}\}")
_BASE_REFERENCE = re.compile(r"\{\{\s*_base_\.([\w.]+?)\s*\}\}")
_TOKEN = re.compile(r"__base_reference_\d+__")


def fill_file_variables(text: str, file: Path) -> str:
    """Return ``text`` with the names of ``file`` (its absolute path) put in.

    Quotes in a path are escaped where the format knows an escape, so that a folder named
    ``it's`` does not end the string that it is put into.
    """
    values = {
        "fileDirname": file.parent.as_posix(),
        "fileBasename": file.name,
        "fileBasenameNoExtension": file.stem,
        "fileExtname": file.suffix,
    }
    unsafe = {".py": r"""(['"\\])""", ".json": r'(["\\])'}.get(file.suffix)

    def value(match: re.Match[str]) -> str:
        found = values[match[1]]
        return re.sub(unsafe, r"\\\1", found) if unsafe else found

    return _FILE_VARIABLE.sub(value, text)


def hide_references(text: str, suffix: str) -> tuple[str, dict[str, str]]:
    """Replace each ``{{ _base_.x }}`` by a token that the format's parser accepts.

    Returns:
        The text, and the dotted key path behind each token.
    """
    paths: dict[str, str] = {}

    def token(match: re.Match[str]) -> str:
        name = f"__base_reference_{len(paths)}__"
        paths[name] = match[1]
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        inside = len(re.findall(r'(?<!\\)"', line)) % 2 == 1
        return f'"{name}"' if suffix == ".json" and not inside else name

    return _BASE_REFERENCE.sub(token, text), paths


def used_references(paths: dict[str, str], text: str) -> dict[str, str]:
    """Return the references whose tokens stand in ``text``: those in comments are gone by then."""
    used = set(_TOKEN.findall(text))
    return {token: path for token, path in paths.items() if token in used}


def look_up_references(paths: dict[str, str], bases: Any, file: str, lines: dict[str, int]) -> dict[str, Any]:
    """Return the typed value behind each token.

    Raises:
        ConfigKeyError: A path leads nowhere in the merged bases.
    """
    return {token: _look_up(path, bases, file, lines.get(token)) for token, path in paths.items()}


def token_lines(text: str) -> dict[str, int]:
    """Return the 1-based line on which each token stands."""
    return {match[0]: text.count("\n", 0, match.start()) + 1 for match in _TOKEN.finditer(text)}


def _look_up(path: str, bases: Any, file: str, line: int | None) -> Any:
    value = bases
    for part in path.split("."):
        if isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            names = value if isinstance(value, dict) else ()
            raise ConfigKeyError(
                f"The bases define no {path!r}: {part!r} is not there.{suggest(part, map(str, names))}",
                file=file,
                line=line,
                key=f"_base_.{path}",
            )
    return copied(value)


class FillStrings(ast.NodeTransformer):
    """Put the text of the referenced values into the string literals of a Python config."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Fill one literal; its place stays what it was."""
        if isinstance(node.value, str) and _TOKEN.search(node.value):
            return ast.copy_location(ast.Constant(_as_text(node.value, self.values)), node)
        return node


def fill_tree(value: Any, values: dict[str, Any]) -> Any:
    """Put the referenced values into loaded YAML or JSON: typed where they stand alone."""
    if isinstance(value, str):
        return copied(values[value]) if value in values else _as_text(value, values)
    if isinstance(value, dict):
        return {
            _as_text(k, values) if isinstance(k, str) else k: fill_tree(v, values) for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(fill_tree(item, values) for item in value)
    return value


def _as_text(text: str, values: dict[str, Any]) -> str:
    return _TOKEN.sub(lambda match: str(values[match[0]]) if match[0] in values else match[0], text)
