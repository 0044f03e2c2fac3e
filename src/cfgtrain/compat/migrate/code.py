"""Rewrite what Python code imports from MMCV 1.x."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cfgtrain.compat.migrate.module_imports import rewrite_module_imports
from cfgtrain.compat.migrate.names import (
    BY_HAND,
    Counterpart,
    add_missing,
    counterpart,
    is_mmcv,
    own_module,
    unknown_module,
)
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.source import Comment, Edit, Source
from cfgtrain.compat.migrate.strings import WORD, parse_annotations, rewrite_strings

# Comments that tools read: they are for each of the statements that an import is split into.
_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pylint:|pragma:|isort:|ruff:|pyright:|mypy:|fmt:)", re.IGNORECASE)


def rewrite_code(source: Source, tree: ast.Module, report: FileReport) -> list[Edit]:
    """Return the edits that make code import from cfgtrain, and add what cannot be rewritten to the report.

    Strings in the annotations of the tree are replaced by the expressions that they contain.
    """
    comments = source.comments()
    parse_annotations(source, tree)
    edits = rewrite_module_imports(source, tree, report)
    rewriter = _NameImports(source, comments, report)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and is_mmcv(node.module or ""):
            report.uses_old_names = True
            rewriter.rewrite(node)
    edits += rewriter.edits
    edits += rewrite_strings(source, tree, report)
    for comment in comments:
        if WORD.search(comment.text):
            report.add(comment.line, f"A comment mentions mmcv: {comment.text.strip()}", kind="note")
    return edits


@dataclass
class _Entry:
    """A name in a new import.

    Attributes:
        text: Such as ``a`` or ``a as b``.
        above: The comments on lines of their own above it.
        beside: The comment behind it, or ``""``.
        below: The comments below it, if it is the last one.
    """

    text: str
    above: list[str] = field(default_factory=list)
    beside: str = ""
    below: list[str] = field(default_factory=list)

    @property
    def comments(self) -> list[str]:
        """Its comments."""
        return [*self.above, *filter(None, [self.beside]), *self.below]

    def lines(self) -> list[str]:
        """Return its lines in an import of several lines."""
        beside = f"  {self.beside}" if self.beside else ""
        return [*self.above, f"{self.text},{beside}", *self.below]


class _NameImports:
    """Rewrites ``from mmcv.x import y``."""

    def __init__(self, source: Source, comments: Sequence[Comment], report: FileReport) -> None:
        self.source, self.comments, self.report = source, comments, report
        self.edits: list[Edit] = []

    def rewrite(self, node: ast.ImportFrom) -> None:
        """Add the edits of a statement."""
        module = node.module or ""
        if unknown := unknown_module(module):
            self.report.missing.append(module)
            self.report.add(node.lineno, unknown, "Correct the name.")
        elif node.names[0].name == "*":
            self._rewrite_star(node, module)
        else:
            self._rewrite_names(node, module)

    def _rewrite_star(self, node: ast.ImportFrom, module: str) -> None:
        new = own_module(module)
        if new is None:
            self.report.add(
                node.lineno, f"cfgtrain has no module for {module}.", "Import the names that are used."
            )
            return
        self._replace_module(node, new)
        hint = "Check that it has all names that the file uses, or import these by name."
        self.report.add(node.lineno, f"from {new} import * gives the names of cfgtrain.", hint, "note")

    def _rewrite_names(self, node: ast.ImportFrom, module: str) -> None:
        groups: dict[str, list[tuple[ast.alias, str]]] = defaultdict(list)
        for alias in node.names:
            found = counterpart(module, alias.name)
            if found is None:
                add_missing(self.report, alias.lineno, module, alias.name)
                groups[module].append((alias, self.source.of(alias)))
            else:
                groups[_importable(found)[0]].append((alias, _as_import(alias, found)))
        if len(groups) > 1:
            self._split(node, groups)
        elif module not in groups:
            ((new, entries),) = groups.items()
            self._replace_module(node, new)
            for alias, text in entries:
                if text != self.source.of(alias):
                    self.edits.append(Edit(*self.source.span(alias), text))

    def _replace_module(self, node: ast.ImportFrom, new: str) -> None:
        start, _ = self.source.span(node)
        match = re.compile(r"from\s+([\w.]+)").match(self.source.text, start)
        if match is None:  # a line break within the statement
            self.report.add(node.lineno, f"{node.module} is {new} in cfgtrain.", "Replace it by hand.")
        else:
            self.edits.append(Edit(*match.span(1), new))

    def _split(self, node: ast.ImportFrom, groups: Mapping[str, list[tuple[ast.alias, str]]]) -> None:
        """Replace an import whose names come from several modules by one statement for each of these."""
        start, end = self.source.span(node)
        indent = self.source.text[self.source.line_start(node.lineno) : start]
        inside = [comment for comment in self.comments if start <= comment.start < end]
        if indent.strip():  # another statement is before it on the line
            if inside:
                message = "The names of this import are in several modules of cfgtrain."
                self.report.add(node.lineno, message, BY_HAND)
                return
            statements = [
                f"from {module} import {', '.join(text for _, text in names)}"
                for module, names in groups.items()
            ]
            self.edits.append(Edit(start, end, "; ".join(statements)))
            return
        rest = self.source.text[end : self.source.line_start((node.end_lineno or node.lineno) + 1)].strip()
        behind = f"  {rest}" if _DIRECTIVE.match(rest) else ""
        entries = {alias: _Entry(text) for names in groups.values() for alias, text in names}
        header = self._place_comments(node, inside, entries)
        statements = []
        for module, names in groups.items():
            group = [entries[alias] for alias, _ in names]
            is_last = len(statements) == len(groups) - 1
            statements.append(
                _statement(module, group, header, indent, is_followed=is_last and rest.startswith(";"))
                + ("" if is_last else behind)
            )
        self.edits.append(Edit(start, end, f"\n{indent}".join(statements)))

    def _place_comments(
        self, node: ast.ImportFrom, comments: Sequence[Comment], entries: Mapping[ast.alias, _Entry]
    ) -> str:
        """Give the comments within an import to its names; return the one behind the opening parenthesis."""
        header = ""
        for comment in comments:
            before = [alias for alias in node.names if self.source.span(alias)[1] <= comment.start]
            after = [alias for alias in node.names if self.source.span(alias)[0] >= comment.start]
            if before and before[-1].end_lineno == comment.line:
                entries[before[-1]].beside = comment.text
            elif comment.line == node.lineno:
                header = comment.text
            elif after:
                entries[after[0]].above.append(comment.text)
            else:
                entries[before[-1]].below.append(comment.text)
        return header


def _statement(module: str, entries: Sequence[_Entry], header: str, indent: str, is_followed: bool) -> str:
    """Return an import of names; ``is_followed`` is whether another statement is behind it on the line."""
    one_line = f"from {module} import {', '.join(entry.text for entry in entries)}"
    comments = [comment for entry in entries for comment in entry.comments]
    if not header and not comments:
        return one_line
    if not header and not is_followed and len(entries) == 1 and comments == [entries[0].beside]:
        return f"{one_line}  {comments[0]}"
    lines = [f"{indent}    {line}" for entry in entries for line in entry.lines()]
    opening = f"from {module} import (" + (f"  {header}" if header else "")
    return "\n".join([opening, *lines, f"{indent})"])


def _importable(found: Counterpart) -> tuple[str, str]:
    """Return the module and the name of ``from module import name``."""
    if found.name:
        return found
    module, _, name = found.module.rpartition(".")
    return module, name


def _as_import(alias: ast.alias, found: Counterpart) -> str:
    name = _importable(found)[1]
    bound = alias.asname or alias.name
    return name if name == bound and not alias.asname else f"{name} as {bound}"
