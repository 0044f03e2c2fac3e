"""Rewrite what Python code imports from MMCV 1.x."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from cfgtrain.compat.migrate.names import Counterpart, counterpart, is_module, own_module, reason_for_missing
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.scopes import Scope, bindings, inner_parts, outer_parts
from cfgtrain.compat.migrate.source import Edit, Source

_WORD = re.compile(r"(?<![\w./-])mmcv\b(?!-)")
_REQUIREMENT = re.compile(
    r"\s*mmcv(-full|-lite)?\s*(\[\w*\]\s*)?(([<>=!~]=?|===)\s*[\w.*+!-]+.*)?", re.DOTALL
)
_PATH = re.compile(r"mmcv(\.\w+)*")
_BY_HAND = "Replace it by hand; until then it needs `import cfgtrain.compat.mmcv` before it."
_VERSION = "cfgtrain has its own version number. Remove the check of MMCV's version."


def rewrite_code(source: Source, tree: ast.Module, report: FileReport) -> list[Edit]:
    """Return the edits that make code import from cfgtrain, and add what cannot be rewritten to the report."""
    return _Rewriter(source, tree, report).run()


class _Rewriter:
    def __init__(self, source: Source, tree: ast.Module, report: FileReport) -> None:
        self.source, self.tree, self.report = source, tree, report
        self.edits: list[Edit] = []
        self.comments = source.comments()

    def run(self) -> list[Edit]:
        self._scope(self.tree, {})
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and not node.level and _is_mmcv(node.module or ""):
                self.report.uses_old_names = True
                self._import_from(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "mmcv" in node.value:
                self._string(node)
        for comment in self.comments:
            if _WORD.search(comment.text):
                self.report.add(comment.line, f"A comment mentions mmcv: {comment.text.strip()}", kind="note")
        return self.edits

    # Names that are bound to modules of MMCV, and their uses

    def _scope(self, scope: ast.AST, outer: dict[str, str | None]) -> None:
        """Rewrite the imports of modules in a scope and their uses; ``outer`` has the names of outer scopes.

        The value of a name is the module of MMCV that it is, or None if it is something else.
        """
        bound = list(bindings(scope))
        names = outer | {name: None for name, _ in bound}
        imports = [
            node
            for node in dict.fromkeys(node for _, node in bound)
            if isinstance(node, ast.Import) and any(_is_mmcv(alias.name) for alias in node.names)
        ]
        for statement in imports:
            for alias in statement.names:
                if _is_mmcv(alias.name):
                    names[alias.asname or "mmcv"] = alias.name if alias.asname else "mmcv"
        visible = {} if isinstance(scope, ast.ClassDef) else {n: m for n, m in names.items() if m}
        own = {n: m for n, m in names.items() if m and any(name == n for name, _ in bound)}
        if imports:
            self.report.uses_old_names = True
            self._rewrite_module(scope, imports, own, [name for name, node in bound if node not in imports])
        inherited = visible if not isinstance(scope, ast.ClassDef) else outer
        for child in _child_scopes(scope):
            self._scope(child, {n: m for n, m in inherited.items() if m})

    def _rewrite_module(
        self, scope: ast.AST, imports: list[ast.Import], own: dict[str, str], others: list[str]
    ) -> None:
        """Rewrite imports of modules, if each name stays what it is, and the uses of these names."""
        chains = list(_uses(scope, set(own)))
        keep_name = {name for name in own if name in others}
        edits, failed, split, taken = list[Edit](), set[str](), set[str](), self._binds_cfgtrain()
        renamed: list[tuple[ast.Attribute | ast.Name, str, str]] = []
        for name, node, attributes in chains:
            module = own[name]
            found, rest, missing = _resolve(module, attributes)
            if missing is not None:
                failed.add(name)
                self._missing(node.lineno, *missing)
            elif found is None:
                keep_name.add(name)
            else:
                renamed.append((node, name, ".".join([found.dotted, *rest])))
        for statement in imports:
            words = []
            for alias in statement.names:
                name = alias.asname or alias.name.split(".")[0]
                new = own_module(alias.name) if _is_mmcv(alias.name) else None
                if new is None or name in failed:
                    keeps_some = (
                        alias.name == "mmcv" and not alias.asname and any(n == name for _, n, _ in renamed)
                    )
                    if keeps_some and not taken and name not in keep_name:
                        words.append("cfgtrain")  # beside mmcv, for the uses that have a counterpart
                        split.add(name)
                    words.append(self.source.of(alias))
                    if _is_mmcv(alias.name):
                        failed.add(name)
                        if new is None:
                            hint = f"Import its names instead. {_BY_HAND}"
                            self.report.add(
                                statement.lineno, f"cfgtrain has no module for {alias.name}.", hint
                            )
                elif alias.asname:
                    words.append(f"{new} as {alias.asname}")
                elif taken or name in keep_name:
                    keep_name.add(name)
                    words.append("cfgtrain as mmcv")
                else:
                    words.append("cfgtrain" if "." not in alias.name else new)
            if ", ".join(words) == ", ".join(map(self.source.of, statement.names)):
                continue
            start, end = self.source.span(statement)
            edits.append(Edit(start, end, "import " + ", ".join(dict.fromkeys(words))))
        for node, name, new in renamed:
            if name in failed - split:
                continue
            is_alias = own[name] != "mmcv" or name != "mmcv"
            base = own_module(own[name]) or ""
            if is_alias and not new.startswith(base + "."):
                self.report.add(
                    node.lineno, f"{self.source.of(node)} is {new} in cfgtrain.", "Import it from there."
                )
                continue
            text = new
            if is_alias or name in keep_name:
                text = name + new.removeprefix(base)
            if not re.fullmatch(r"[\w.]+", self.source.of(node)):
                self.report.add(node.lineno, f"{new} is written over several lines.", "Replace it by hand.")
                continue
            edits.append(Edit(*self.source.span(node), text))
        self.edits += edits

    def _binds_cfgtrain(self) -> bool:
        return any(
            (isinstance(node, ast.Name) and node.id == "cfgtrain" and not isinstance(node.ctx, ast.Load))
            or (isinstance(node, ast.arg) and node.arg == "cfgtrain")
            for node in ast.walk(self.tree)
        )  # fmt: skip

    # from mmcv.x import y

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.names[0].name == "*":
            new = own_module(module)
            if new is None:
                self.report.add(
                    node.lineno, f"cfgtrain has no module for {module}.", "Import the names that are used."
                )
            else:
                self._replace_module(node, new)
                hint = "Check that it has all names that the file uses, or import these by name."
                self.report.add(
                    node.lineno, f"from {new} import * gives the names of cfgtrain.", hint, "note"
                )
            return
        groups: dict[str, list[tuple[ast.alias, str]]] = defaultdict(list)
        for alias in node.names:
            found = counterpart(module, alias.name)
            if found is None:
                self._missing(alias.lineno, module, alias.name)
                groups[module].append((alias, self.source.of(alias)))
            else:
                groups[_importable(found)[0]].append((alias, _as_import(alias, found)))
        if len(groups) == 1 and module in groups:
            return
        if len(groups) == 1:
            self._replace_module(node, next(iter(groups)))
            for alias, text in next(iter(groups.values())):
                if text != self.source.of(alias):
                    self.edits.append(Edit(*self.source.span(alias), text))
            return
        self._split(node, groups)

    def _replace_module(self, node: ast.ImportFrom, new: str) -> None:
        start, _ = self.source.span(node)
        match = re.compile(r"from\s+([\w.]+)").match(self.source.text, start)
        if match is None:  # a line break within the statement
            self.report.add(node.lineno, f"{node.module} is {new} in cfgtrain.", "Replace it by hand.")
        else:
            self.edits.append(Edit(*match.span(1), new))

    def _split(self, node: ast.ImportFrom, groups: dict[str, list[tuple[ast.alias, str]]]) -> None:
        """Replace an import whose names come from several modules by one statement for each of these."""
        start, end = self.source.span(node)
        before = self.source.text[self.source.line_start(node.lineno) : start]
        separator = "; " if before.strip() else f"\n{before}"
        inside = [comment for comment in self.comments if start <= comment.start < end]
        statements = [
            f"from {module} import {', '.join(text for _, text in entries)}"
            for module, entries in groups.items()
        ]
        if inside and before.strip():
            self.report.add(
                node.lineno, "The names of this import are in several modules of cfgtrain.", _BY_HAND
            )
            return
        kept = [comment.text for comment in inside]
        self.edits.append(Edit(start, end, separator.join([*kept, *statements])))

    # What cannot be rewritten

    def _missing(self, line: int, module: str, name: str) -> None:
        if name in ("__version__", "version_info"):
            self.report.add(line, f"{module}.{name} has no counterpart.", _VERSION)
            return
        self.report.missing.append(f"{module}.{name}")
        reason = reason_for_missing(module, name)
        self.report.add(line, f"cfgtrain has no {module}.{name}.", reason or _BY_HAND)

    def _string(self, node: ast.Constant) -> None:
        text = str(node.value)
        if "\n" not in text and text.strip() != "mmcv" and _REQUIREMENT.fullmatch(text):
            self.report.add(node.lineno, f"It requires {text!r}.", "Require cfgtrain instead.")
            return
        if not _WORD.search(text):
            return
        if not _PATH.fullmatch(text):
            self.report.add(
                node.lineno, f"A string mentions mmcv: {text.strip().splitlines()[0][:60]!r}", kind="note"
            )
            return
        self.report.uses_old_names = True
        module, _, name = text.rpartition(".")
        if text == "mmcv":
            self.report.add(
                node.lineno, "The string 'mmcv' is not changed.", "As a scope it means cfgtrain.", "note"
            )
        elif is_module(text):
            new = own_module(text)
            hint = f"Write {new!r}." if new else _BY_HAND
            self.report.add(node.lineno, f"The string {text!r} names a module of MMCV.", hint)
        elif module == "mmcv":
            self.report.add(
                node.lineno, f"{text!r} runs as is: the scope mmcv is an alias of cfgtrain.", kind="note"
            )
        else:
            found = counterpart(module, name) if is_module(module) else None
            hint = f"Write {found.dotted!r}." if found else reason_for_missing(module, name) or _BY_HAND
            self.report.add(node.lineno, f"The string {text!r} names an object of MMCV.", hint)


def _is_mmcv(module: str) -> bool:
    return module == "mmcv" or module.startswith("mmcv.")


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


def _resolve(
    module: str, attributes: list[str]
) -> tuple[Counterpart | None, list[str], tuple[str, str] | None]:
    """Follow attributes from a module of MMCV.

    Returns:
        The counterpart of the first one that is no module, or of the last module; the attributes after it; and the
        module and name that have no counterpart, or None. There is no counterpart if there are no attributes.
    """
    found = None
    for i, name in enumerate(attributes):
        if is_module(f"{module}.{name}") and not (i == len(attributes) - 1 and counterpart(module, name)):
            module = f"{module}.{name}"
            new = own_module(module)
            found = Counterpart(new, "") if new else None
            continue
        found = counterpart(module, name)
        return (None, [], (module, name)) if found is None else (found, attributes[i + 1 :], None)
    return (
        (found, [], None)
        if found or not attributes
        else (None, [], (module.rpartition(".")[0], attributes[-1]))
    )


def _child_scopes(scope: ast.AST) -> Iterator[ast.AST]:
    stack = inner_parts(scope)
    while stack:
        node = stack.pop()
        if isinstance(node, Scope):
            yield node
            stack += outer_parts(node)
        else:
            stack += ast.iter_child_nodes(node)


def _uses(scope: ast.AST, names: set[str]) -> Iterator[tuple[str, ast.Attribute | ast.Name, list[str]]]:
    """Yield the name, the node and the attributes of each use of ``names`` that a scope or an inner one contains."""
    stack: list[tuple[ast.AST, set[str]]] = [(part, names) for part in inner_parts(scope)]
    while stack:
        node, visible = stack.pop()
        if not visible:
            continue
        if isinstance(node, Scope):
            stack += [(part, visible) for part in outer_parts(node)]
            stack += [(part, visible - {name for name, _ in bindings(node)}) for part in inner_parts(node)]
            continue
        attributes, inner = list[str](), node
        while isinstance(inner, ast.Attribute):
            attributes.insert(0, inner.attr)
            inner = inner.value
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(inner, ast.Name):
            if inner.id in visible:
                yield inner.id, node, attributes
        else:
            stack += [(child, visible) for child in ast.iter_child_nodes(node)]
