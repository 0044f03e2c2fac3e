"""Rewrite ``import mmcv`` and the uses of the name that it binds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from cfgtrain.compat.migrate.names import (
    BY_HAND,
    add_missing,
    is_mmcv,
    own_module,
    resolve,
    unknown_module,
)
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.scopes import Scope, bindings, inner_parts, outer_parts
from cfgtrain.compat.migrate.source import Edit, Source

_ROOT = "cfgtrain"
# Modules that `import cfgtrain` does not find as attributes before they are imported.
NOT_ATTRIBUTES = (
    "cfgtrain.compat.", "cfgtrain.runner.checkpoint", "cfgtrain.runner.dist_utils", "cfgtrain.runner.fp16_utils",
    "cfgtrain.utils.",
)  # fmt: skip


def rewrite_module_imports(source: Source, tree: ast.Module, report: FileReport) -> list[Edit]:
    """Return the edits of the imports of modules of MMCV and of their uses, and list what cannot be rewritten."""
    rewriter = _Rewriter(source, tree, report)
    rewriter.rewrite_scope(tree, {})
    return rewriter.edits


class _Fate(Enum):
    """What happens to the import that binds a name."""

    KEPT = auto()  # a use has no counterpart
    BESIDE = auto()  # cfgtrain is imported beside mmcv, for the uses that have a counterpart
    RENAMED = auto()  # it imports the module of cfgtrain, and the uses follow
    SAME_NAME = auto()  # it imports cfgtrain under the name mmcv


class _Use(NamedTuple):
    """A use of a name that has a counterpart.

    Attributes:
        node: The expression.
        path: Its import path in cfgtrain.
        module: The module in this path.
    """

    node: ast.Attribute | ast.Name
    path: str
    module: str


@dataclass
class _Name:
    """A name that is bound to a module of MMCV in a scope.

    Attributes:
        name: The name.
        module: The module of MMCV.
        is_alias: Whether it is bound by ``import module as name``.
        is_kept: Whether it is bound to something else too, or used without an attribute: then it has to stay.
        uses: Its uses that have a counterpart.
        is_missing: Whether an import or a use has no counterpart.
        needed: The modules that the new paths need, beside cfgtrain.
    """

    name: str
    module: str
    is_alias: bool
    is_kept: bool
    uses: list[_Use] = field(default_factory=list)
    is_missing: bool = False
    needed: list[str] = field(default_factory=list)

    @property
    def own(self) -> str:
        """The module of cfgtrain."""
        return own_module(self.module) or ""

    def fate(self, can_bind: bool) -> _Fate:
        """Return what happens to the import; ``can_bind`` is whether the name ``cfgtrain`` is free."""
        if self.is_missing:
            is_split = bool(self.uses) and can_bind and not self.is_alias and not self.is_kept
            return _Fate.BESIDE if is_split else _Fate.KEPT
        if self.is_alias or (can_bind and not self.is_kept):
            return _Fate.RENAMED
        return _Fate.SAME_NAME


class _Rewriter:
    def __init__(self, source: Source, tree: ast.Module, report: FileReport) -> None:
        self.source, self.report = source, report
        self.edits: list[Edit] = []
        self.can_bind = not _binds(tree, _ROOT)

    def rewrite_scope(self, scope: ast.AST, outer: Mapping[str, str | None]) -> None:
        """Rewrite the imports of modules in a scope and in those inside; ``outer`` has the names of outer scopes.

        The value of a name is the module of MMCV that it is, or None if it is something else.
        """
        bound = list(bindings(scope))
        names = {**outer, **{name: None for name, _ in bound}}
        imports = [
            node
            for node in dict.fromkeys(node for _, node in bound)
            if isinstance(node, ast.Import) and any(is_mmcv(alias.name) for alias in node.names)
        ]
        imports.sort(key=lambda node: node.lineno)
        for alias in _imported(imports):
            names[alias.asname or "mmcv"] = alias.name if alias.asname else "mmcv"
        if imports:
            self.report.uses_old_names = True
            others = {name for name, node in bound if node not in imports}
            aliases = {alias.asname for alias in _imported(imports)}
            own = {
                name: _Name(name, module, name in aliases, name in others)
                for name, module in names.items()
                if module and any(name == each for each, _ in bound)
            }
            self._read_imports(imports, own)
            self._read_uses(scope, own)
            self._write_imports(imports, own)
            self._write_uses(own)
        inherited = outer if isinstance(scope, ast.ClassDef) else names
        for child in _child_scopes(scope):
            self.rewrite_scope(child, {name: module for name, module in inherited.items() if module})

    # What happens to each name

    def _read_imports(self, imports: Sequence[ast.Import], names: Mapping[str, _Name]) -> None:
        for statement in imports:
            for alias in _imported([statement]):
                if own_module(alias.name) is not None:
                    continue
                names[alias.asname or "mmcv"].is_missing = True
                if unknown := unknown_module(alias.name):
                    self.report.missing.append(alias.name)
                    self.report.add(statement.lineno, unknown, "Correct the name.")
                else:
                    message = f"cfgtrain has no module for {alias.name}."
                    self.report.add(statement.lineno, message, f"Import its names instead. {BY_HAND}")

    def _read_uses(self, scope: ast.AST, names: Mapping[str, _Name]) -> None:
        for name, node, attributes in _uses(scope, set(names)):
            each = names[name]
            found, rest, missing = resolve(each.module, attributes)
            if missing is not None:
                each.is_missing = True
                add_missing(self.report, node.lineno, *missing)
                continue
            if found is None:
                each.is_kept = True
                continue
            path = ".".join([found.dotted, *rest])
            problem = ""
            if not re.fullmatch(r"[\w.]+", self.source.of(node)):
                problem = f"{path} is written over several lines."
            elif not path.startswith(f"{each.own}."):  # another module has to be imported
                can_be_imported = (
                    self.can_bind if path.startswith(f"{_ROOT}.") else isinstance(scope, ast.Module)
                )
                problem = "" if can_be_imported else f"{self.source.of(node)} is {path} in cfgtrain."
            if problem:
                each.is_missing = True
                self.report.add(node.lineno, problem, BY_HAND)
            else:
                each.uses.append(_Use(node, path, found.module))

    # Write the edits

    def _write_uses(self, names: Mapping[str, _Name]) -> None:
        for each in names.values():
            fate = each.fate(self.can_bind)
            for use in each.uses if fate is not _Fate.KEPT else ():
                self.edits.append(Edit(*self.source.span(use.node), _new_path(each, use, fate)))

    def _write_imports(self, imports: Sequence[ast.Import], names: Mapping[str, _Name]) -> None:
        needed = {each.name: _needed(each, each.fate(self.can_bind)) for each in names.values()}
        for statement in imports:
            words = []
            for alias in statement.names:
                old = self.source.of(alias)
                if is_mmcv(alias.name):
                    each = names[alias.asname or "mmcv"]
                    words += _new_words(alias, old, each.fate(self.can_bind))
                    words += needed.pop(each.name, [])  # with the first import of the name
                else:
                    words.append(old)
            if words != [self.source.of(alias) for alias in statement.names]:
                new = "import " + ", ".join(dict.fromkeys(words))
                self.edits.append(Edit(*self.source.span(statement), new))


def _new_words(alias: ast.alias, old: str, fate: _Fate) -> list[str]:
    """Return what an import statement imports in place of a module of MMCV."""
    if fate is _Fate.KEPT:
        return [old]
    if fate is _Fate.BESIDE:
        return [_ROOT, old]
    if fate is _Fate.SAME_NAME:
        return [f"{_ROOT} as mmcv"]
    new = own_module(alias.name) or _ROOT
    return [f"{new} as {alias.asname}" if alias.asname else new]


def _new_path(name: _Name, use: _Use, fate: _Fate) -> str:
    """Return what a use becomes."""
    keeps_name = name.is_alias or fate is _Fate.SAME_NAME
    if keeps_name and use.path.startswith(f"{name.own}."):
        return name.name + use.path.removeprefix(name.own)
    return use.path


def _needed(name: _Name, fate: _Fate) -> list[str]:
    """Return the modules that have to be imported for the new paths."""
    if fate is _Fate.KEPT:
        return []
    return sorted(
        {
            use.module
            for use in name.uses
            if not use.path.startswith(f"{name.own}.") or use.module.startswith(NOT_ATTRIBUTES)
        }
    )


def _imported(imports: Sequence[ast.Import]) -> Iterator[ast.alias]:
    """Yield what statements import of MMCV."""
    for statement in imports:
        yield from (alias for alias in statement.names if is_mmcv(alias.name))


def _binds(tree: ast.Module, name: str) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.arg) and node.arg == name)
        for node in ast.walk(tree)
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
