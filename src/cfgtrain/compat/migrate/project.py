"""Migrate files and source trees."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cfgtrain.compat.migrate.code import rewrite_code
from cfgtrain.compat.migrate.mmengine import converted_data, converted_python
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.source import MigrationError, Source
from cfgtrain.errors import ConfigNotFoundError

__all__ = ["find_files", "migrate"]

SUFFIXES = (".py", ".json", ".yaml", ".yml")
MAYBE_CONFIG = re.compile(
    r"^(_base_|\w+_(dataloader|evaluator|cfg)|optim_wrapper|param_scheduler|default_hooks|default_scope|randomness)"
    r"\s*[=:]|\bread_base\b", re.MULTILINE,
)  # fmt: skip
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "work_dirs"})


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files to migrate, each once: the given ones, and the Python files of folders.

    Hidden folders, caches, virtual environments and links to folders are left out.

    Raises:
        ConfigNotFoundError: A path does not exist.
    """
    seen = set()
    for path in paths:
        if not path.exists():
            raise ConfigNotFoundError(f"{path} does not exist.")
        for found in _files_of(path) if path.is_dir() else [path]:
            real = found.resolve()
            if real not in seen:
                seen.add(real)
                yield found


def _files_of(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in SKIPPED
            and not Path(here, name, "pyvenv.cfg").exists()
        )
        yield from (
            Path(here, name) for name in sorted(files) if name.endswith(".py") and Path(here, name).is_file()
        )


def migrate(paths: Iterable[Path], *, write: bool = False) -> list[FileReport]:
    """Migrate files.

    Args:
        paths: The files; see ``find_files``.
        write: Whether to write the changed files.

    Returns:
        A report for each file. A file that cannot be read or written has a finding that says so.
    """
    done = [_migrated(path) for path in paths]
    for report, source in done:
        if write and source is not None and report.is_changed:
            try:
                source.write(report.new)
                report.written = True
            except MigrationError as error:
                report.add(0, error.message)
    return [report for report, _ in done]


def _migrated(path: Path) -> tuple[FileReport, Source | None]:
    report = FileReport(path)
    try:
        source = Source(path)
        report.old = report.new = source.text
        if path.suffix != ".py":
            report.style = "data"
            new = converted_data(path, report)
            if new is not None:
                report.new = _with_line_ends(source, new)
                report.findings.sort()
                return report, source
            if "mmcv" in source.text:
                report.add(0, "The file mentions mmcv.", "Only Python files are rewritten.", "note")
            return report, None
        tree = source.parse() if MAYBE_CONFIG.search(source.text) or "mmcv" in source.text else None
        new = None if tree is None else converted_python(path, tree, report)
        if new is not None:
            report.new = _with_line_ends(source, new)
        elif tree is None or "mmcv" not in source.text:
            return report, None
        else:
            report.new = source.edited(rewrite_code(source, tree, report))
    except SyntaxError as error:
        report.add(error.lineno or 0, f"The file is not valid Python: {error.msg}.", "Correct it first.")
        return report, None
    except UnicodeDecodeError as error:
        report.add(0, f"The file is not valid text: {error}.", "Save it as UTF-8.")
        return report, None
    except OSError as error:
        report.add(0, f"The file cannot be read: {error.strerror}.")
        return report, None
    report.findings.sort()
    return report, source


def _with_line_ends(source: Source, text: str) -> str:
    return text if text == source.text else text.replace("\n", source.newline)
