"""Follow the statements of a Python config, with abstract values in the place of values.

The blocks that ran from beginning to end are followed as if they stood alone. Any other statement that
holds statements, such as a loop, is opaque as a whole: it may have changed whatever it mentions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN
from cfgtrain.config.provenance.abstract_value import AbstractValue, Container
from cfgtrain.config.provenance.execution import Record, all_blocks, blocks_of
from cfgtrain.config.provenance.expressions import Expressions, chain, stored_names

# With these any code may set any name of the file, or run at any time; of such a file no line is told.
_REFLECTION = (
    "globals|locals|vars|exec|eval|setattr|inspect|gc|ctypes|_getframe|currentframe|settrace|setprofile|signal"
    "|threading|_thread|ThreadPool|concurrent"
)
_REFLECTION_TEXT = (
    "builtins|__builtins__|__globals__|__dict__|f_globals|f_locals"  # as the argument of getattr too
)
_MAY_REFLECT = re.compile(rf"\b(?:{_REFLECTION}|{_REFLECTION_TEXT})\b")
_IS_REFLECTION_TEXT = re.compile(_REFLECTION_TEXT).fullmatch
# Python runs code when an object of the file's own, or a generator, is dropped.
_FINALIZERS = re.compile(r"\b(?:__del__|yield|weakref)\b")
_HOLDS_CODE = re.compile(r"\b(?:def|class|lambda|for)\b")
_HOLDERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp)
_PLAIN_PATTERNS = (ast.MatchValue, ast.MatchSingleton, ast.MatchOr, ast.MatchAs, ast.Constant)
# The method that does the same as an operator does in place, and the types of what it takes.
_IN_PLACE: dict[Any, Any] = {(list, ast.Add): ("extend", list, tuple), (dict, ast.BitOr): ("update", dict)}


def follow(text: str, record: Record | None, shadowed: frozenset[str] = frozenset()) -> Container:
    """Return what each name of a config stands for at its end.

    Args:
        text: Of the config, as it was parsed.
        record: The marks that were passed, or None where they were not recorded.
        shadowed: Builtins that it ended with names of its own for.
    """
    tree = ast.parse(text)
    if _MAY_REFLECT.search(text) and any(map(_MAY_REFLECT.fullmatch, _words(tree))):
        return Container({})
    statements = _Statements(tree, record, shadowed)
    statements.finalizers = _FINALIZERS.search(text) is not None
    if _HOLDS_CODE.search(text):
        statements.find_captured()
    statements.block(tree.body)
    return Container(statements.names)


class _Statements(Expressions):
    def __init__(self, tree: ast.Module, record: Record | None, shadowed: frozenset[str]) -> None:
        super().__init__(shadowed)
        self.tree = tree
        self.record = record
        blocks = () if record is None else all_blocks(tree.body)
        self.numbers = {id(block): i for i, block in enumerate(blocks)}
        self.finalizers = False

    def find_captured(self) -> None:
        """Find the names that functions mention and set."""
        for node in [
            each
            for holder in ast.walk(self.tree)
            if isinstance(holder, _HOLDERS)
            for each in ast.walk(holder)
        ]:
            if isinstance(node, ast.Name):
                self.captured.add(node.id)
            elif isinstance(node, ast.Global):
                self.rebound.update(node.names)
        self.captured |= self.rebound

    def entered(self, block: list[ast.stmt], mark: int = 0) -> bool:
        """Return whether a block began."""
        return self.record is not None and bool(block) and 2 * self.numbers[id(block)] + mark in self.record

    def completed(self, block: list[ast.stmt]) -> bool:
        """Return whether a block came to its end."""
        return self.entered(block, mark=1)

    def block(self, statements: list[ast.stmt]) -> None:
        """Follow the statements of a block that ran to its end."""
        for node in statements:
            self.begin(node.lineno)
            self.statement(node)
            if self.finalizers:
                self.touch(self.world)

    def begin(self, line: int | None) -> None:
        """Begin a statement."""
        self.time += 1
        self.started = self.time
        self.line = line
        self.dropped.clear()

    def statement(self, node: ast.stmt) -> None:
        """Follow one statement."""
        match node:
            case ast.Assign(targets=targets, value=expression):
                value = self.value(expression)
                for target in targets:
                    self.store(target, value)
            case ast.AnnAssign(target=target, value=given, annotation=annotation):
                if given is not None:
                    self.store(target, self.value(given))
                self.look_at(annotation)
            case ast.AugAssign():
                self.augment(node)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.delete(target)
            case ast.Expr(value=expression):
                self.value(expression)
            case ast.Assert(test=test):
                self.look_at(test)
            case ast.Pass() | ast.Global():
                pass
            case ast.Import(names=aliases):
                self.bind_imports(aliases, "")
            case ast.ImportFrom(names=aliases, module=module):
                self.bind_imports(aliases, f"{module}.")
            case ast.FunctionDef(decorator_list=decorators):
                self.line = decorators[0].lineno if decorators else node.lineno  # the last line to run
                made = self.run(*decorators, node.args, *filter(None, [node.returns]))
                self.bind(made, node.name)
            case ast.If(test=test, body=body, orelse=orelse) if self.record is not None:
                self.look_at(test)
                self.block(body if self.entered(body) else orelse)
            case ast.With(items=items, body=body) if self.completed(body):
                for item in items:
                    made = self.run(item.context_expr)
                    if item.optional_vars is not None:
                        self.store(item.optional_vars, made)
                self.block(body)
                self.begin(node.lineno)
                self.touch(self.world)
            case ast.Try(body=body, handlers=handlers) | ast.TryStar(body=body, handlers=handlers) if (
                self.completed(body) and not any(self.entered(handler.body) for handler in handlers)
            ):
                self.block([*body, *node.orelse, *node.finalbody])
            case ast.Match(subject=subject, cases=cases) if self.record is not None:
                self.look_at(subject)
                tests = [each for case in cases for each in (case.pattern, case.guard) if each is not None]
                parts = [part for each in tests for part in ast.walk(each)]
                plain = all(
                    isinstance(part, _PLAIN_PATTERNS) and not getattr(part, "name", "") for part in parts
                )
                if not plain or not self.is_quiet(subject):
                    self.begin(None)  # of what they bind and call the line is not known
                    self.run(subject, *tests)
                for case in cases:
                    if self.entered(case.body):
                        self.block(case.body)
            case _:
                self.opaque_statement(node)

    def look_at(self, node: ast.expr) -> None:
        """Follow an expression whose value may be tested."""
        if not self.is_quiet(node):
            self.touch(self.value(node), *self.mentioned(node), change=False)

    def run(self, *nodes: ast.AST) -> AbstractValue:
        """Follow code that may do anything with what it mentions, if there is any; return what it may return."""
        if not any(isinstance(each, ast.expr | ast.pattern) for node in nodes for each in ast.walk(node)):
            return self.world.at(self.line, self.time)
        made = self.touch(self.world, *(value for node in nodes for value in self.mentioned(node)))
        self.bind(made, *(name for node in nodes for name in stored_names(node)))
        return made

    def opaque_statement(self, node: ast.stmt) -> None:
        """Follow what may have run, in whole or in part, any number of times."""
        match node:
            case ast.ClassDef(decorator_list=decorators):
                self.line = decorators[0].lineno if decorators else node.lineno
            case ast.For(body=body, orelse=[]) | ast.While(body=body, orelse=[]) if not _breaks(body):
                pass  # the head runs once more at the end
            case _:
                self.line = None
        self.copies.clear()  # it may have set what is in a module
        made = self.touch(*self.mentioned(node))
        names = [*stored_names(node)]
        self.bind(made, *names)
        if "*" in names:
            self.bind_all()

    # ---------------------------------------------------------------------------- what is written

    def bind_all(self) -> None:
        """Follow an import of all names of a module, which may be any."""
        self.bind(self.touch(self.world, *self.names.values()), *self.names)
        if any(isinstance(each, ast.Delete) for each in ast.walk(self.tree)):
            self.is_builtin = lambda name: False  # type: ignore[method-assign]

    def bind_imports(self, aliases: list[ast.alias], prefix: str) -> None:
        """Follow an import."""
        made = self.touch(self.world)
        for alias in aliases:
            name = alias.asname or (alias.name if prefix else alias.name.partition(".")[0])
            value = made.at(self.line, self.time)
            self.bind(value, name)
            self.copies[name] = value, prefix + alias.name
            if name == "*":
                self.bind_all()

    def store(self, target: ast.expr, value: AbstractValue) -> None:
        """Set a target."""
        match target:
            case ast.Name(id=name):
                self.bind(value, name)
            case ast.Starred(value=inner):
                self.store(inner, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = value.parts
                if type(parts) not in (list, tuple) or any(isinstance(each, ast.Starred) for each in targets):
                    parts = [self.touch(value, change=False).at(value.line, self.time)] * len(targets)
                for inner, part in zip(targets, [*parts], strict=False):
                    self.store(inner, self.moved(part))
            case ast.Subscript(value=inside, slice=at):
                holder, key = self.value(inside), self.key(at)
                if key is UNKNOWN or self.change(holder, "__setitem__", key, value) is UNKNOWN:
                    self.touch(holder, value, *self.mentioned(at))
            case ast.Attribute(value=inside):
                self.copies.clear()  # it may be one of a module
                self.touch(self.world, self.value(inside), value)

    def augment(self, node: ast.AugAssign) -> None:
        """Follow ``x += [...]``, ``x |= {...}``, and operations on numbers and the like."""
        target = node.target
        name, path, _ = chain(target)
        reads = (*self.read(name, path), *self.reads(node.value))
        before = self.constant_part(target) or self.world
        if before.container is None and self.is_scalar(node.value):
            self.store(target, AbstractValue(target.lineno, self.time, reads=reads))
            return
        method, *kinds = _IN_PLACE.get((type(before.parts), type(node.op)), ("",))
        added = self.value(node.value).parts if method else None
        if type(added) in kinds and self.change(before, method, added) is not UNKNOWN:
            return
        made = self.touch(*self.mentioned(node), *self.dropped).at(self.line, self.time, reads)
        self.bind(made, *stored_names(node))

    def delete(self, target: ast.expr) -> None:
        """Follow ``del name`` and ``del x[key]``."""
        match target:
            case ast.Name(id=name):
                self.names.pop(name, None)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for each in targets:
                    self.delete(each)
            case ast.Subscript(value=inside, slice=at):
                holder, key = self.value(inside), self.key(at)
                if key is UNKNOWN or self.change(holder, "__delitem__", key) is UNKNOWN:
                    self.touch(holder, *self.mentioned(at))
            case ast.Attribute(value=inside):
                self.copies.clear()
                self.touch(self.world, self.value(inside))


def _breaks(body: list[ast.stmt]) -> bool:
    """Return whether a loop with this body may end at a break of its own."""
    for node in body:
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            if _breaks(node.orelse):
                return True
        elif isinstance(node, ast.Break) or any(map(_breaks, blocks_of(node))):
            return True
    return False


def _words(tree: ast.Module) -> Iterator[str]:
    """Yield the names of a file, its attributes and modules included, and those that it may have as text."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word):
                yield word
            case ast.alias(name=dotted):
                yield from dotted.split(".")
            case ast.ImportFrom(module=str(dotted)):
                yield from dotted.split(".")
            case ast.Constant(value=str(word)) if _IS_REFLECTION_TEXT(word):
                yield word
