"""Migrate files and source trees."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cfgtrain.compat.migrate.as_is import ALIAS, RUNS, ConfigChecker, load_failure, missing_keys, quiet
from cfgtrain.compat.migrate.base_values import base_values
from cfgtrain.compat.migrate.code import rewrite_code
from cfgtrain.compat.migrate.configs import is_config, is_data_config, may_be_config
from cfgtrain.compat.migrate.mentions import (
    WORD,
    is_requirements,
    list_data,
    list_notebook,
    list_requirements,
)
from cfgtrain.compat.migrate.mmengine import is_mmengine
from cfgtrain.compat.migrate.mmengine_files import convert_files, converted_data
from cfgtrain.compat.migrate.older_keys import PythonConfig, find_newer_spellings
from cfgtrain.compat.migrate.report import FileReport, Kind
from cfgtrain.compat.migrate.same_names import Registered, list_ambiguous_types, list_taken_names, registered
from cfgtrain.compat.migrate.source import Edit, MigrationError, Source
from cfgtrain.config.config import Config
from cfgtrain.errors import ConfigNotFoundError
from cfgtrain.suggestions import listed

__all__ = ["find_files", "migrate"]

SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "work_dirs"})
MAX_SIZE = 10_000_000  # bytes of a file that is read
MAX_DATA_SIZE = 1_000_000  # bytes of a YAML or JSON file in a folder: a larger one is data
_DATA = (".json", ".yaml", ".yml")
_NO_MMCV = "does not use mmcv"


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files to migrate, each once: the given ones, and of folders those that may have to be changed.

    These are Python files, notebooks, requirements, and YAML and JSON files that are not large. Hidden folders, caches, virtual
    environments and links to folders are left out. A folder that cannot be read is yielded itself.

    Raises:
        ConfigNotFoundError: A path does not exist.
    """
    seen = set()
    for path in paths:
        if not os.path.lexists(path):
            raise ConfigNotFoundError(f"{path} does not exist.")
        for found in _files_of(path) if path.is_dir() else [path]:
            real = os.path.realpath(found)  # of links in a circle too
            if real not in seen:
                seen.add(real)
                yield found


def _files_of(folder: Path) -> Iterator[Path]:
    unreadable: list[Path] = []
    for here, folders, files in os.walk(
        folder, onerror=lambda error: unreadable.append(Path(error.filename or folder))
    ):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in SKIPPED
            and not Path(here, name, "pyvenv.cfg").exists()
        )
        yield from (path for name in sorted(files) if _is_read(path := Path(here, name)))
    yield from unreadable


def _is_read(path: Path) -> bool:
    """Return whether a file in a folder is read."""
    if not path.is_file():
        return path.suffix == ".py" and path.is_symlink()  # a broken link, which is listed
    if path.suffix in _DATA and not is_requirements(path):
        return path.stat().st_size <= MAX_DATA_SIZE
    return path.suffix in (".py", ".ipynb") or is_requirements(path)


@dataclass
class _File:
    """A file, as far as it was read.

    Attributes:
        report: What is found.
        source: Its text, or None if it cannot be read.
        tree: Its syntax tree, if it is a Python file that may have to be changed.
        kind: ``"config"``, ``"mmengine"``, ``"code"`` or ``"other"``.
        edits: What is rewritten.
    """

    report: FileReport
    source: Source | None = None
    tree: ast.Module | None = None
    kind: str = "other"
    edits: list[Edit] = field(default_factory=list)


def migrate(
    paths: Iterable[Path], *, write: bool = False, newer_keys: bool = False, check: bool = True
) -> list[FileReport]:
    """Migrate files.

    Args:
        paths: The files; see ``find_files``.
        write: Whether to write the changed files.
        newer_keys: Whether to rewrite older keys of configs that have a newer spelling, too.
        check: Whether to check which configs run as they are. They are loaded, and their ``custom_imports`` are imported.

    Returns:
        A report for each file. A file that cannot be read or written has a finding that says so.
    """
    files = [_read(path) for path in paths]
    converted = convert_files([(file.report, file.tree) for file in files if file.tree is not None])
    order = {id(report): index for index, report in enumerate(converted)}  # bases first
    for file in files:
        if id(file.report) in order:
            file.kind = "mmengine"
            _finish_conversion(file)
        else:
            _rewrite(file)
    configs = [
        PythonConfig(file.source, file.tree, file.report)
        for file in files
        if file.source is not None and file.tree is not None and file.kind == "config"
    ]
    if check or newer_keys:
        find_newer_spellings(
            configs, (f.source.text for f in files if f.source is not None and f.kind == "code")
        )
    by_report = {id(config.report): config for config in configs}
    for file in files:
        if file.source is not None and (found := by_report.get(id(file.report))) and newer_keys:
            file.edits += [edit for _, edit, _ in found.edits]
            file.report.findings = [each for each in file.report.findings if each.kind != "optional"]
        if file.source is not None and file.edits:
            file.report.new = file.source.edited(file.edits)
    names = _find_same_names(files)
    if check:
        _check(files, names)
    for file in sorted(files, key=lambda file: order.get(id(file.report), len(order))):
        file.report.findings.sort()
        if write and file.source is not None and file.report.is_changed:
            _write(file.source, file.report)
    return [file.report for file in files]


def _read(path: Path) -> _File:
    file = _File(FileReport(path, style="code" if path.suffix == ".py" else "data"))
    report = file.report
    source = None
    try:
        if path.is_dir():
            next(path.iterdir(), None)  # raises if it cannot be read
        elif not path.is_file():
            path.stat()  # raises for a broken link
            report.add(0, "It is not a file.")
            return file
        if (size := path.stat().st_size) > MAX_SIZE:
            report.add(
                0, f"The file was not read: it is larger than {MAX_SIZE // 1_000_000} MB ({size:,} bytes)."
            )
            return file
        source = Source(path)
        report.old = report.new = source.text
        is_related = any(word in source.text for word in ("mmcv", "register_module"))
        if path.suffix == ".py" and (is_related or may_be_config(source.text)):
            file.tree = source.parse()
        elif path.suffix == ".py":
            report.decide(True, _NO_MMCV)
        file.source = source
        file.kind = "code" if path.suffix == ".py" else "other"
    except SyntaxError as error:
        if source is not None and "{{" in source.text:  # a config with {{$NAME:default}} is not Python
            file.source, file.kind, report.style = source, "config", "config"
            return file
        message = f"The file is not valid Python: {error.msg}."
        report.add(error.lineno or 0, message, "Correct it first.", _kind_of_problem(path))
    except UnicodeDecodeError as error:
        message = f"The file is not valid text: {error}."
        report.add(0, message, "Save it as UTF-8.", _kind_of_problem(path))
    except OSError as error:
        report.add(0, f"The file cannot be read: {error.strerror}.")
    return file


def _kind_of_problem(path: Path) -> Kind:
    """Return the kind of finding for a file that is not valid: only code that mentions mmcv is left to do."""
    return "todo" if path.suffix == ".py" and b"mmcv" in path.read_bytes() else "note"


def _rewrite(file: _File) -> None:
    """Find the edits of code, and what mentions MMCV, or convert a YAML or JSON config of MMEngine."""
    source, report = file.source, file.report
    if source is None:
        return
    if file.report.path.suffix != ".py":
        _rewrite_data(file, source)
        return
    if file.tree is None:
        return
    if "mmcv" in source.text:
        file.edits += rewrite_code(source, file.tree, report)
    if is_config(file.tree):
        file.kind = report.style = "config"
        for value in base_values(source.text, file.tree):
            message = (
                f"{value.shown} is written as in MMEngine; cfgtrain has placeholders for values of bases."
            )
            report.add(value.line, message, value.hint or f"Write {value.placeholder}.")
    elif not report.uses_old_names:
        report.decide(True, _NO_MMCV)
    elif report.missing:
        report.decide(False, f"runs with {ALIAS} until it uses {listed(dict.fromkeys(report.missing), 3)}")
    else:
        report.decide(None, f"{RUNS} with {ALIAS}")


def _finish_conversion(file: _File) -> None:
    report = file.report
    if file.source is not None and report.new != report.old:
        report.new = report.new.replace("\n", file.source.newline)
    if not report.verdict:
        report.decide(False, "config of MMEngine, converted" if report.is_changed else "config of MMEngine")


def _rewrite_data(file: _File, source: Source) -> None:
    report = file.report
    if report.path.suffix == ".ipynb":
        try:
            if WORD.search(source.text):
                list_notebook(report)
        except (ValueError, AttributeError, TypeError) as error:
            report.add(0, f"It is not a valid notebook: {error}.")
    elif is_requirements(report.path):
        list_requirements(report)
    elif report.path.suffix in _DATA:
        new = converted_data(report.path, report)
        if new is not None:
            file.kind = "mmengine"
            report.new = new
            _finish_conversion(file)
        elif "mmcv" in source.text:
            list_data(report)
    elif "mmcv" in source.text:
        list_data(report)


def _find_same_names(files: Sequence[_File]) -> dict[str, Registered]:
    """Return what the code registers, by name, and list what cannot be registered."""
    found = [
        each
        for file in files
        if file.kind == "code" and file.tree is not None
        for each in registered(file.tree, file.report)
    ]
    list_taken_names(found)
    return {each.name: each for each in found}


def _check(files: Sequence[_File], names: Mapping[str, Registered]) -> None:
    """Report for each config whether it runs as it is.

    What a module registers stays registered. So configs that import none are checked first, and parts of configs last.
    """
    order: list[list[tuple[Config, FileReport]]] = [[], [], []]
    for file in files:
        report = file.report
        is_data = report.path.suffix in _DATA and file.kind == "other" and not is_requirements(report.path)
        if file.source is None or not (file.kind == "config" or is_data):
            continue
        try:
            with quiet():
                cfg = Config.fromfile(report.path, import_custom_modules=False)
        except (Exception, SystemExit) as error:  # the code of a config can raise anything
            if not is_data:
                report.add(0, f"The config cannot be loaded: {load_failure(error)}", "Correct it first.")
                report.decide(False, "does not run as it is")
            continue
        if is_data and not is_data_config(cfg._cfg_dict):
            continue
        if file.tree is None and not is_data and is_mmengine(cfg._cfg_dict):
            report.add(
                0, "The config has {{$NAME}} outside of quotes, and is not converted.", "Write a value first."
            )
            report.decide(False, "config of MMEngine")
            continue
        file.kind = report.style = "config"
        order[2 if missing_keys(cfg) else 1 if cfg.get("custom_imports") else 0].append((cfg, report))
    texts = {os.path.abspath(file.report.path): file.report.new for file in files if file.kind == "mmengine"}
    checker = ConfigChecker(any(f.kind == "code" and f.report.uses_old_names for f in files))
    for cfg, report in (each for group in order for each in group):
        checker.decide(cfg, report)
        list_ambiguous_types(cfg, report, names)
    for file in files:
        if file.kind == "mmengine" and file.report.is_changed and not file.report.todos:
            checker.decide_converted(file.report, texts)


def _write(source: Source, report: FileReport) -> None:
    unwritten = [base.path for base in report.bases if base.is_changed and not base.written]
    if unwritten:
        report.add(0, f"It was not written, because it would inherit from {unwritten[0]}, which was not.")
        return
    try:
        source.write(report.new)
        report.written = True
    except MigrationError as error:
        report.add(0, error.message)
