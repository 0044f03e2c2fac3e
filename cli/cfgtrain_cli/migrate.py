"""``cfgtrain migrate``: rewrite what was written for MMCV 1.x and MMEngine."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli.console import echo, print_json, styled

_WIDTH = 80


def migrate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files or folders.", show_default=False)
    ],
    write: Annotated[bool, typer.Option("--write", help="Write the changes to the files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rewrite imports of mmcv and configs in the style of MMEngine, show the changes as a diff, and list what has to be done by hand.

    Exit codes: 0 if nothing is left to do by hand, 1 if something is, 2 if a path does not exist.
    """
    from cfgtrain.compat.migrate.project import find_files, migrate  # imports torch

    reports = migrate(find_files(paths), write=write)
    shown = [report for report in reports if report.is_changed or report.findings or report.uses_old_names]
    if as_json:
        print_json({"files": len(reports), "reports": list(map(_json, shown))})
    else:
        for report in shown:
            if report.is_changed and not write:
                for line in _diff(report):
                    echo(line)
        for report in shown:
            for line in _findings(report):
                echo(line)
        echo(_summary(reports, write))
    if any(report.todos for report in reports):
        raise typer.Exit(ExitCode.FAILED)


def _lines(report: Any) -> Iterator[str]:
    """Yield the lines of a unified diff."""
    old, new = (text.replace("\r\n", "\n").split("\n") for text in (report.old, report.new))
    name = report.path.as_posix()
    yield from difflib.unified_diff(old, new, name, name, lineterm="")


def _diff(report: Any) -> Iterator[str]:
    for line in _lines(report):
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        yield styled(line, fg=color) if color else line


def _findings(report: Any) -> Iterator[str]:
    for each in report.findings:
        place = f"{report.path}:{each.line}" if each.line else str(report.path)
        label = "by hand" if each.kind == "todo" else "note"
        lines = textwrap.wrap(
            f"{place}: {label}: {each.message}", _WIDTH, subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        color = "red" if each.kind == "todo" else "cyan"
        before, found, after = lines[0].partition(f" {label}:")
        yield f"{before}{styled(found, fg=color, bold=True)}{after}"
        yield from lines[1:]
        if each.hint:
            yield from textwrap.wrap(
                each.hint, _WIDTH, initial_indent="  ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip


def _summary(reports: list[Any], write: bool) -> str:
    def files(count: int) -> str:
        return f"{count} file{'' if count == 1 else 's'}"

    changed = sum(report.written if write else report.is_changed for report in reports)
    todos = sum(len(report.todos) for report in reports)
    done = f"{files(changed)} rewritten" if write else f"{files(changed)} would be rewritten"
    end = "" if write or not changed else " Add --write to write the changes."
    return f"{files(len(reports))} read, {done}, {todos} place{'' if todos == 1 else 's'} to change by hand.{end}"


def _json(report: Any) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "changed": report.is_changed,
        "written": report.written,
        "diff": "\n".join(_lines(report)) if report.is_changed else "",
        "findings": [vars(each) for each in report.findings],
    }
