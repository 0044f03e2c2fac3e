"""Rewrite the strings in Python code that name modules and objects of MMCV."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

from cfgtrain import registries
from cfgtrain.compat.migrate.mmengine_settings import known
from cfgtrain.compat.migrate.names import (
    BY_HAND,
    is_module,
    reason_by_name,
    reason_for_missing,
    resolve,
    unknown_module,
    unknown_name,
)
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.source import Edit, Source
from cfgtrain.registry import Registry

# What a string is: a name that a registry looks up, the path of a module, the path of what a test replaces, or
# what a package requires.
Role = Literal["type", "import", "patch", "requirement"]

WORD = re.compile(r"(?<![\w./-])mmcv\b(?!-)")
_REQUIREMENT = re.compile(
    r"\s*mmcv(-full|-lite)?\s*(\[\w*\]\s*)?(([<>=!~]=?|===)\s*[\w.*+!-]+.*)?", re.DOTALL
)
_PATH = re.compile(r"mmcv(\.\w+)*")
_IMPORTERS = frozenset({
    "import_module", "find_spec", "importorskip", "import_modules_from_strings", "run_module", "reload_module",
})  # fmt: skip
_ROLES: dict[str, Role] = {
    "type": "type",
    "imports": "import",  # of custom_imports
    "install_requires": "requirement",
    "setup_requires": "requirement",
    "tests_require": "requirement",
    "extras_require": "requirement",
}


def rewrite_strings(source: Source, tree: ast.Module, report: FileReport) -> list[Edit]:
    """Return the edits of strings that are import paths, and list the other strings that mention MMCV."""
    edits: list[Edit] = []
    roles = dict(_roles(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "mmcv" in node.value:
            new = _new_text(node, roles.get(id(node)), report, can_change=_is_plain(node, source))
            if new is not None:
                start, end = source.span(node)
                at = source.text.index(node.value, start, end)
                edits.append(Edit(at, at + len(node.value), new))
    return edits


def parse_annotations(source: Source, tree: ast.Module) -> None:
    """Replace the strings in annotations of a syntax tree by the expressions that they contain."""
    parser = _AnnotationParser(source)
    for node in list(ast.walk(tree)):
        for name in ("annotation", "returns"):
            if isinstance(value := getattr(node, name, None), ast.expr):
                setattr(node, name, parser.visit(value))
        if isinstance(node, ast.Call) and _called(node)[-1:] == ["cast"] and node.args:
            node.args[0] = parser.visit(node.args[0])


class _AnnotationParser(ast.NodeTransformer):
    def __init__(self, source: Source) -> None:
        self.source = source

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Leave the strings in ``Literal[...]``, which are values."""
        if isinstance(node.value, ast.Name | ast.Attribute) and ast.unparse(node.value).endswith("Literal"):
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Return the expression in a string, with its position in the file."""
        if not isinstance(node.value, str) or "mmcv" not in node.value or not _is_plain(node, self.source):
            return node
        try:
            new = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return node
        before = self.source.of(node).index(node.value)
        for each in ast.walk(new):
            if isinstance(each, ast.expr) and each.end_col_offset is not None:
                each.lineno = each.end_lineno = node.lineno
                each.col_offset += node.col_offset + before
                each.end_col_offset += node.col_offset + before
        return new


def _new_text(node: ast.Constant, role: Role | None, report: FileReport, can_change: bool) -> str | None:
    """Return the new text of a string, or None if it stays; then it is listed."""
    text, line = str(node.value), node.lineno
    is_requirement = text.strip() != "mmcv" or role == "requirement"
    if "\n" not in text and is_requirement and _REQUIREMENT.fullmatch(text):
        report.add(line, f"It requires {text!r}.", "Require cfgtrain instead.")
        return None
    if not WORD.search(text):
        return None
    if not _PATH.fullmatch(text):
        lines = text.split("\n")
        index = next(index for index, each in enumerate(lines) if WORD.search(each))
        below = index if node.end_lineno == line + len(lines) - 1 else 0  # else it is not written as it is
        report.add(line + below, f"A string mentions mmcv: {lines[index].strip()[:60]!r}", kind="note")
        return None
    report.uses_old_names = True
    is_path = role in ("import", "patch")
    if text == "mmcv" and not is_path:
        report.add(line, "The string 'mmcv' is not changed.", "As a scope it means cfgtrain.", "note")
        return None
    module, _, name = text.rpartition(".")
    if role == "type" and module == "mmcv":
        if _is_registered(name):
            report.add(line, f"{text!r} runs as is: the scope mmcv is an alias of cfgtrain.", kind="note")
        else:
            hint = reason_by_name(name) or "Correct the name, or register the class."
            report.add(line, f"No registry of cfgtrain has {text!r}.", hint)
        return None
    found, rest, missing = resolve("mmcv", text.split(".")[1:])
    if missing is not None:
        _add_missing(text, line, missing, report)
        return None
    new = "cfgtrain" if found is None else ".".join([found.dotted, *rest])
    if can_change and (is_path or (role == "type" and module != "mmcv")):
        if role == "patch" and new != f"cfgtrain{text.removeprefix('mmcv')}":
            message = f"The patch of {text!r} becomes one of {new!r}."
            report.add(line, message, "Check that the code under test finds the name there.", "note")
        return new
    what = "a module" if is_module(text) else "an object"
    hint = (
        f"Write {new!r}."
        if role is not None or is_module(text)
        else f"Write {new!r} if it is an import path."
    )
    report.add(line, f"The string {text!r} names {what} of MMCV.", hint)
    return None


def _add_missing(text: str, line: int, missing: tuple[str, str], report: FileReport) -> None:
    """List a string that names what has no counterpart."""
    if is_module(text):
        hint = f"Its names are in several modules of cfgtrain. {BY_HAND}"
        report.add(line, f"The string {text!r} names a module of MMCV.", hint)
        return
    unknown = unknown_module(missing[0]) or unknown_name(*missing)
    if unknown:
        report.add(line, unknown, "Correct the name.")
        return
    hint = reason_for_missing(*missing) or BY_HAND
    report.add(line, f"The string {text!r} names an object of MMCV that cfgtrain does not have.", hint)


def _is_plain(node: ast.Constant, source: Source) -> bool:
    """Return whether a string is written as one literal on one line, without escapes."""
    pattern = r"""[rRuU]?('''|""\"|'|")""" + re.escape(str(node.value)) + r"\1"
    return node.lineno == node.end_lineno and re.fullmatch(pattern, source.of(node)) is not None


def _roles(tree: ast.Module) -> Iterator[tuple[int, Role]]:
    """Yield the ids of strings of which it is known what they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = _called(node)
            if called[-1:] and called[-1] in _IMPORTERS:
                yield from ((each, "import") for each in _strings(node.args[:1]))
            elif "patch" in called or (
                called[:1] == ["monkeypatch"] and called[-1] in ("setattr", "delattr")
            ):
                yield from ((each, "patch") for each in _strings(node.args[:1]))
            for keyword in node.keywords:
                yield from _roles_below(keyword.arg, keyword.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield from _roles_below(getattr(key, "value", None), value)
        elif isinstance(node, ast.Assign | ast.Compare):
            targets = node.targets if isinstance(node, ast.Assign) else [node.left]
            values = [node.value] if isinstance(node, ast.Assign) else node.comparators
            for target in targets:
                for value in values:
                    yield from _roles_below(_last_key(target), value)


def _roles_below(key: object, value: ast.expr) -> Iterator[tuple[int, Role]]:
    role = _ROLES.get(key) if isinstance(key, str) else None
    if role is None:
        return
    for each in ast.walk(value) if role == "requirement" else [value]:
        if isinstance(each, ast.expr):
            yield from ((found, role) for found in _strings([each]))


def _strings(nodes: list[ast.expr]) -> Iterator[int]:
    """Yield the ids of strings and of those in lists and tuples."""
    for node in nodes:
        if isinstance(node, ast.List | ast.Tuple):
            yield from _strings(node.elts)
        elif isinstance(node, ast.Constant):
            yield id(node)


def _last_key(node: ast.expr) -> object:
    """Return the last key of ``cfg['model']['type']`` or ``cfg.type``."""
    if isinstance(node, ast.Subscript):
        return getattr(node.slice, "value", None)
    return getattr(node, "attr", getattr(node, "id", None))


def _called(node: ast.Call) -> list[str]:
    """Return the parts of the name of what is called, such as ``["mock", "patch"]``."""
    parts: list[str] = []
    inner = node.func
    while isinstance(inner, ast.Attribute):
        parts.insert(0, inner.attr)
        inner = inner.value
    return [inner.id, *parts] if isinstance(inner, ast.Name) else parts


@cache
def _is_registered(name: str) -> bool:
    """Return whether a registry of cfgtrain has a name."""
    every = [each for each in vars(registries).values() if isinstance(each, Registry)]
    return any(known(registry, name) is not None for registry in every)
