"""List what mentions MMCV in files that are not rewritten: notebooks, requirements, and other text."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cfgtrain.compat.migrate.report import FileReport

WORD = re.compile(r"(?<![\w./-])mmcv(-full|-lite)?\b")
_REQUIRES = re.compile(
    r"""^\s*(?:-\s*|["'])?mmcv(?:-full|-lite)?\s*(?:\[\w*\])?\s*(?:[<>=!~;@#,"'].*)?$|["']mmcv(?:-full|-lite)?\s*[<>=!~"'@;]"""
)
_MAX_SHOWN = 60  # characters of a line


def is_requirements(path: Path) -> bool:
    """Return whether a file lists packages that a project requires."""
    name = path.name
    is_list = path.suffix == ".txt" and ("require" in name or path.parent.name == "requirements")
    return is_list or name in ("setup.cfg", "pyproject.toml", "environment.yml", "environment.yaml")


def list_requirements(report: FileReport) -> None:
    """Add the lines of a file with requirements that mention MMCV."""
    for number, line in enumerate(report.old.splitlines(), 1):
        if not WORD.search(line):
            continue
        report.uses_old_names = True
        if _REQUIRES.search(line):
            report.add(number, f"It requires {_shown(line)}.", "Require cfgtrain instead.")
        else:
            report.add(number, f"It mentions mmcv: {_shown(line)}", "", "note")


def list_notebook(report: FileReport) -> None:
    """Add the lines of the cells of a notebook that mention MMCV; a notebook is not rewritten.

    Raises:
        ValueError: It is not a notebook.
    """
    cells = json.loads(report.old).get("cells", [])
    for index, cell in enumerate(cells, 1):
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        for number, line in enumerate(text.splitlines(), 1):
            if not WORD.search(line):
                continue
            report.uses_old_names = True
            place = f"Cell {index}, line {number}"
            if cell.get("cell_type") != "code" or line.lstrip().startswith("#"):
                report.add(0, f"{place} mentions mmcv: {_shown(line)}", "", "note")
            elif re.match(r"\s*[!%]", line):
                report.add(0, f"{place} installs or runs mmcv: {_shown(line)}", "Install cfgtrain instead.")
            else:
                hint = "Notebooks are not rewritten: change it, or import cfgtrain.compat.mmcv in the first cell."
                report.add(0, f"{place} uses mmcv: {_shown(line)}", hint)


def list_data(report: FileReport) -> None:
    """Add the lines of a file of data that mention MMCV."""
    lines = [number for number, line in enumerate(report.old.splitlines(), 1) if WORD.search(line)]
    if lines:
        more = f", and {len(lines) - 1} more lines" if len(lines) > 1 else ""
        message = f"It mentions mmcv{more}. It is neither code nor a config of MMEngine, and is not changed."
        report.add(lines[0], message, "", "note")


def _shown(line: str) -> str:
    text = line.strip()
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
