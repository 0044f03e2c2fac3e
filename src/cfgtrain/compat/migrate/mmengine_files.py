"""Convert files with configs in the style of MMEngine.

A config is loaded with its bases, and the merged settings are converted. If its bases are converted too, the new file
inherits from the new bases, and has what they do not set as it does. It is loaded to see that this gives the same
settings. Otherwise the settings of the bases are in the new file.
"""

from __future__ import annotations

import ast
import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfgtrain.compat.migrate.as_is import PART, RUNS, load_failure, quiet, same_file
from cfgtrain.compat.migrate.base_values import ConfigTexts
from cfgtrain.compat.migrate.configs import assigned, consists_of_settings, is_config
from cfgtrain.compat.migrate.lazy_configs import is_lazy, load_lazy, read_base_line, without_named
from cfgtrain.compat.migrate.mmengine import CONVERTED_KEYS, MARKS, convert, is_mmengine
from cfgtrain.compat.migrate.mmengine_settings import Conversion, KeyPath, plain
from cfgtrain.compat.migrate.report import FileReport, Finding
from cfgtrain.config.bases import BASE, literal_bases, locate_base
from cfgtrain.config.config import Config
from cfgtrain.config.loader import load_file
from cfgtrain.config.pretty import pretty_python
from cfgtrain.errors import ConfigError, ConfigKeyError
from cfgtrain.keys import KEYS
from cfgtrain.origin import Origin, dotted

_DELETE = "_delete_"
_PLACEHOLDER = re.compile(r"\{\{\s*(\$|file)[^}]*\}\}")  # not {{ _base_.name }}, whose value is in the config
_HAS_SCORES = ("val_dataloader", "val_evaluator", "test_evaluator")
# Keys that several bases of MMEngine are converted to, which is an error unless a config that inherits from them is given.
_PARTS = ("evaluation", "log_config", "optimizer_config")

# What a key is set to in place of a setting of a base, where it would not be set at all.
_EMPTY: dict[str, Any] = {"optimizer_config": {}, "custom_hooks": [], "load_from": None, "resume_from": None}


class _FlatError(Exception):
    """A new config cannot inherit from its bases; the message says why."""


@dataclass(eq=False)
class MMEngineFile:
    """A Python file that may be a config in the style of MMEngine.

    Attributes:
        report: Gets what is found, and the new text.
        syntax: The syntax tree.
        tree: The merged settings.
        origin: Returns where a setting is set.
        names: What ``_base_`` of the new file would be.
        bases: The absolute paths of the bases, or None if they cannot be told.
        lazy: Whether it is loaded as a config that imports its bases.
        is_base: Whether another config that is converted inherits from it.
        left: What is not converted, by dotted key, also of its bases.
        new: The new settings, or None if it is not converted.
    """

    report: FileReport
    syntax: ast.Module
    tree: dict[str, Any] = field(default_factory=dict)
    origin: Callable[[KeyPath], Origin | None] = lambda path: None
    names: list[str] = field(default_factory=list)
    bases: list[str] | None = field(default_factory=list)
    lazy: bool = False
    is_base: bool = False
    left: dict[str, Any] = field(default_factory=dict)
    new: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The path as the loader knows it."""
        return _absolute(self.report.path)


def convert_files(candidates: Sequence[tuple[FileReport, ast.Module]]) -> list[FileReport]:
    """Convert the configs among Python files, bases first, and set their new texts.

    Only files that consist of settings, and those that use ``read_base``, are executed.

    Returns:
        The reports of those that are in the style of MMEngine, bases first; the others are unchanged.
    """
    return _Converter(candidates).run()


class _Converter:
    def __init__(self, candidates: Sequence[tuple[FileReport, ast.Module]]) -> None:
        self.files = {(file := MMEngineFile(*each)).key: file for each in candidates}
        self.old = ConfigTexts()
        self.texts: dict[str, str] = {}  # the new texts, by path
        self.done: dict[str, MMEngineFile] = {}
        self.failed: list[FileReport] = []

    def run(self) -> list[FileReport]:
        chosen = [file for file in self.files.values() if self._is_chosen(file)]
        for file in chosen:  # grows
            for base in file.bases or ():
                inner = self.files.get(base)
                if inner is None:
                    continue
                if inner not in chosen or inner.lazy < file.lazy:
                    if not self._is_loaded(inner, file.lazy):
                        continue
                    if inner.report in self.failed:  # to load it in the other way
                        self.failed.remove(inner.report)
                        inner.report.findings.clear()
                inner.is_base = True
                if inner not in chosen:
                    chosen.append(inner)
        for file in chosen:
            self._convert(file, chosen)
        for file in self.files.values():
            self._list_left_behind(file)
        return [*self.failed, *(file.report for file in self.done.values())]

    def _is_chosen(self, file: MMEngineFile) -> bool:
        """Load a file; return whether it is a config in the style of MMEngine."""
        line = read_base_line(file.syntax)
        if line is None:
            names = set(assigned(file.syntax.body))
            marks = MARKS | {BASE, "train_cfg", "val_cfg", "test_cfg"}
            may_be = names & marks or (is_lazy(file.syntax) and is_config(file.syntax))
            if not may_be or not consists_of_settings(file.syntax):
                return False
        file.lazy = line is not None or is_lazy(file.syntax)
        unknown = [] if file.lazy else [value for value in self.old.values(file.key) if not value.path]
        if unknown:
            file.report.style, file.report.uses_old_names = "mmengine config", True
            for value in unknown:
                message = f"{value.shown} is used in a way that is not converted, and so the config is not."
                file.report.add(value.line, message, value.hint)
            self.failed.append(file.report)
            return False
        try:
            self._load(file)
        except (Exception, SystemExit) as error:  # the code of a config can raise anything
            if line is not None or set(assigned(file.syntax.body)) & MARKS:
                report = file.report
                report.style, report.uses_old_names = "mmengine config", True
                hint = "Correct it first."
                if isinstance(error, ConfigKeyError) and error.key in _PARTS:
                    hint = "If the bases were migrated without it, restore them and migrate all together."
                report.add(line or 0, f"The config cannot be loaded: {load_failure(error)}", hint)
                self.failed.append(report)
            return False
        return file.lazy or is_mmengine(file.tree)

    def _is_loaded(self, file: MMEngineFile, lazy: bool) -> bool:
        """Load a file that is a base of a config of MMEngine; return whether it can be loaded."""
        if not lazy and not consists_of_settings(file.syntax):
            return False
        file.lazy = lazy
        try:
            self._load(file)
        except (Exception, SystemExit):  # the code of a config can raise anything
            return False
        return True

    def _load(self, file: MMEngineFile) -> None:
        with quiet():
            if file.lazy:
                loaded = load_lazy(file.key)
                file.tree, file.origin = loaded.settings(), loaded.origin
                folder = os.path.dirname(file.key)
                file.bases = loaded.bases if loaded.is_whole else None
                file.names = [Path(os.path.relpath(base, folder)).as_posix() for base in loaded.bases]
                return
            self.old.check_bases(file.key)
            cfg = Config(load_file(file.report.path, texts=self.old.changed).tree)
            file.tree, file.origin = plain(cfg._cfg_dict), cfg.origin
            if BASE in set(assigned(file.syntax.body)):
                named = literal_bases(file.syntax)
                file.names = [named] if isinstance(named, str) else list(named or ())  # type: ignore[call-overload]
                folder = os.path.dirname(file.key)
                file.bases = [locate_base(name, folder) for name in file.names] or None

    def _convert(self, file: MMEngineFile, chosen: Sequence[MMEngineFile]) -> None:
        if file.key in self.done:
            return
        for base in file.bases or ():
            if (inner := self.files.get(base)) in chosen and inner is not None:
                self._convert(inner, chosen)
        self.done[file.key] = file
        report = file.report
        report.style, report.uses_old_names = "mmengine config", True
        others: list[KeyPath] = []
        tree = without_named(file.tree, (), others)
        conversion = Conversion(tree, file.origin, report.path, report)
        conversion.own = set(assigned(file.syntax.body))
        conversion.helpers = self.old.helpers(file.key) - self._kept_by_bases(file)
        for path in others:
            what = f"{dotted(path)} is an object in the old config, and its import path in the new one."
            conversion.todo(path, what, "Write a value that the class accepts.")
        new = convert(conversion)
        if file.is_base and not any(key in file.tree for key in (*_HAS_SCORES, "evaluation")):
            new.pop("evaluation", None)  # is in the configs that have what is evaluated
        file.new, file.left = new, conversion.left
        if conversion.overlap:
            self._list_replacements(file)
        values = [] if file.lazy else self.old.values(file.key)
        for value in values:
            report.add(value.line, f"{value.shown} is replaced by the value of the base.", "", "note")
        if not file.lazy and not values and same(new, file.tree):
            report.decide(True, f"{PART}, {RUNS}" if file.is_base else RUNS)
            self.texts[file.key] = _for_loader(report.old)
            return
        try:
            report.new = self._text(file)
        except ConfigError as error:
            report.add(
                0, f"The new config cannot be written: {error.message}", "Change the value to plain data."
            )
            file.new = None
            return
        self.texts[file.key] = report.new
        for number, line in enumerate(report.old.splitlines(), 1):
            if not line.lstrip().startswith("#") and (found := _PLACEHOLDER.search(line)):
                message = f"{found[0]} is replaced by its present value."
                report.add(number, message, "Write it again in the new file, where its value is.")
        if "#" in report.old and report.new != report.old:
            report.add(0, "The whole file is written anew: comments and variables are not kept.", "", "note")

    def _kept_by_bases(self, file: MMEngineFile) -> set[str]:
        """Return the variables that are in the new texts of the bases."""
        bases = [self.done[base] for base in file.bases or () if base in self.done]
        return {name for base in bases for name in base.new or () if name not in KEYS}

    def _list_replacements(self, file: MMEngineFile) -> None:
        """List the settings that replace those of a base that is converted already, and are merged with them instead.

        With ``read_base`` each assignment is one.
        """
        for statement in file.syntax.body:
            names = sorted(set(assigned([statement])) & CONVERTED_KEYS)
            if names and (file.lazy or any(_is_deletion(node) for node in ast.walk(statement))):
                message = (
                    f"{names[0]} replaces that of the base, which is converted already: it is merged with it."
                )
                hint = "Check in the new config what it inherits from the base."
                file.report.add(statement.lineno, message, hint)

    def _list_left_behind(self, file: MMEngineFile) -> None:
        """Add a finding to a config that is not converted and inherits from one that is."""
        may_be = consists_of_settings(file.syntax) or read_base_line(file.syntax) is not None
        if file.key in self.done or not may_be:
            return
        inner = [self.done[base] for base in self.old.bases(file.key) if base in self.done]
        rewritten = [str(base.report.path) for base in inner if base.report.is_changed]
        if rewritten:
            message = f"It is not converted, and inherits from what is: {', '.join(rewritten)}."
            file.report.add(0, message, "Migrate them together, or convert this one by hand.")

    def _text(self, file: MMEngineFile) -> str:
        """Return the new text, which inherits from the new bases if that gives the same settings."""
        new, report = file.new or {}, file.report
        if file.bases == []:
            return python_text(new, file.left)
        try:
            text, bases = self._inheriting(file, new)
        except _FlatError as error:
            message = f"The settings of its base files are in the new file, which has no _base_: {error}."
            report.add(0, message, "", "note")
            return python_text(new, file.left)
        report.bases = [base.report for base in bases]
        above = list(_all_bases(report))
        report.findings = [
            each for each in report.findings if not any(_is_of_base(each, base) for base in above)
        ]
        return text

    def _inheriting(self, file: MMEngineFile, new: Mapping[str, Any]) -> tuple[str, list[MMEngineFile]]:
        """Return the text of a new config that inherits from new bases, and the bases.

        Raises:
            _FlatError: There is none.
        """
        if file.bases is None:
            raise _FlatError("it imports only some of their names" if file.lazy else "_base_ is computed")
        bases = []
        for name, path in zip(file.names, file.bases, strict=True):
            base = self.done.get(path)
            if base is None or base.new is None:
                raise _FlatError(f"{name} is not converted with it")
            bases.append(base)
        head = pretty_python({BASE: file.names[0] if len(file.names) == 1 else file.names})
        try:
            inherited = self._loaded(file.key, head)
            text = head + "\n" + python_text(_over(inherited, new), _left_over(file, bases))
            result = self._loaded(file.key, text)
        except ConfigKeyError as error:
            raise _FlatError(
                f"two of them would set {error.key}" if error.key else "they cannot be merged"
            ) from error
        except ConfigError as error:
            raise _FlatError(load_failure(error).rstrip(".")) from error
        if not same(
            {key: value for key, value in result.items() if key in new or value != _EMPTY.get(key)}, new
        ):
            raise _FlatError("merged, the new files would have other settings")
        return text, bases

    def _loaded(self, path: str, text: str) -> dict[str, Any]:
        with quiet():
            tree: dict[str, Any] = plain(load_file(path, texts=self.texts | {path: text}).tree)
        return tree


def converted_data(path: Path, report: FileReport) -> str | None:
    """Return the new text of a YAML or JSON config, or None if it is not a config in the style of MMEngine."""
    if not any(mark in report.old for mark in MARKS):
        return None
    try:
        with quiet():
            cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception:  # another kind of file; the code of a base can raise anything
        return None
    if not is_mmengine(cfg._cfg_dict):
        return None
    report.style, report.uses_old_names = "mmengine config", True
    new = convert(Conversion(cfg._cfg_dict, cfg.origin, path, report))
    if BASE in report.old:
        message = "The settings of its base files are in the new file, which has no _base_."
        report.add(0, message, "", "note")
    try:
        return Config(new).dumps(path.suffix[1:])
    except ConfigError as error:
        report.add(0, f"The new config cannot be written: {error.message}", "Change the value to plain data.")
        return report.old


def same(first: Any, second: Any) -> bool:
    """Return whether two values are equal and of the same types; the order of keys does not matter."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if type(first) is not type(second):
        return False
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def python_text(new: Mapping[str, Any], left: Mapping[str, Any]) -> str:
    """Return a Python config, with what is not converted as comments at its end."""
    lines = [pretty_python(new)] if new else []
    if left:
        lines.append("\n# Settings of MMEngine that are not converted and have no effect:\n")
    for key, value in left.items():
        text = pretty_python({"value": value}).removeprefix("value").rstrip("\n")
        lines += [f"# {line}\n" for line in f"{key}{text}".split("\n")]
    return "".join(lines)


def _is_deletion(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg == _DELETE
    return isinstance(node, ast.Constant) and node.value == _DELETE


def _over(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config sets over its bases, to have the new settings.

    Raises:
        _FlatError: The bases set a key that is not to be set.
    """
    emptied = {}
    for key in base:
        if key in _EMPTY and key not in new:
            emptied[key] = {_DELETE: True} if isinstance(base[key], Mapping) else _EMPTY[key]
        elif key not in new:
            raise _FlatError(f"the new base files set {key!r}, which is not set here")
    return _changes(base, new) | emptied


def _changes(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in new.items():
        if key in base and same(base[key], value):
            continue
        if key not in base or not isinstance(value, Mapping):
            changed[key] = value
        elif isinstance(base[key], Mapping) and base[key].keys() <= value.keys():
            changed[key] = _changes(base[key], value)
        else:
            changed[key] = {_DELETE: True, **value}
    return changed


def _left_over(file: MMEngineFile, bases: Sequence[MMEngineFile]) -> dict[str, Any]:
    """Return what is not converted, except what is so in the bases."""
    above = [base.left for base in bases]
    return {
        key: value
        for key, value in file.left.items()
        if not any(key in left and left[key] == value for left in above)
    }


def _all_bases(report: FileReport) -> Iterator[FileReport]:
    for base in report.bases:
        yield base
        yield from _all_bases(base)


def _is_of_base(finding: Finding, base: FileReport) -> bool:
    """Return whether a finding is one of a base, which the message then says."""
    for each in base.findings:
        if each == finding and each.line == 0 and each.kind == "note":
            return True
        end = f":{each.line}: {each.message}"
        if finding.line == 0 and finding.message.endswith(end):
            return each.line > 0 and same_file(finding.message.removesuffix(end), base)
    return False


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _for_loader(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
