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
_LABELS = {"todo": "by hand", "note": "note", "optional": "optional"}


def migrate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files or folders.", show_default=False)
    ],
    write: Annotated[bool, typer.Option("--write", help="Write the changes to the files.")] = False,
    newer_keys: Annotated[
        bool,
        typer.Option("--newer-keys", help="Rewrite older keys of configs that have a newer spelling too."),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Load configs and import their custom_imports, to say which run as they are.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what was written for MMCV and runs as it is, rewrite imports of mmcv and configs in the style of MMEngine, and list what has to be done by hand.

    The changes are shown as a diff.

    Exit codes: 0 if nothing is left to do by hand, 1 if something is, 2 if a path does not exist.
    """
    from cfgtrain.compat.migrate.project import find_files, migrate  # imports torch

    reports = migrate(find_files(paths), write=write, newer_keys=newer_keys, check=check)
    shown = [
        report
        for report in reports
        if report.is_changed or report.findings or report.uses_old_names or report.style == "config"
    ]
    if not reports and not as_json:
        echo(f"There is nothing to migrate in {', '.join(map(str, paths))}.")
        echo("Of a folder, Python, YAML and JSON files, notebooks and requirements are read.")
        return
    if as_json:
        listed = [report for report in reports if report in shown or report.verdict]
        print_json({"files": len(reports), "reports": list(map(_json, listed))})
    else:
        for report in shown:
            if report.is_changed and not write:
                for line in _diff(report):
                    echo(line)
        for report in shown:
            for line in (*_verdict(report), *_findings(report)):
                echo(line)
        for line in _summary(reports, write):
            echo(line)
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


def _is_unrelated(report: Any) -> bool:
    """Return whether a report is that of a Python file that does not use mmcv."""
    return report.style == "code" and report.runs is True


def _verdict(report: Any) -> Iterator[str]:
    if report.verdict and not _is_unrelated(report):
        lines = _wrapped(f"{report.path}: {report.verdict}")
        color = {True: "green", False: "red", None: "yellow"}[report.runs]
        name = f"{report.path}:"
        yield (
            f"{name}{styled(lines[0].removeprefix(name), fg=color)}"
            if lines[0].startswith(name)
            else lines[0]
        )
        yield from lines[1:]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _findings(report: Any) -> Iterator[str]:
    for each in report.findings:
        place = f"{report.path}:{each.line}" if each.line else str(report.path)
        label = _LABELS[each.kind]
        lines = _wrapped(f"{place}: {label}: {each.message}")
        color = {"todo": "red", "note": "cyan", "optional": "green"}[each.kind]
        before, found, after = lines[0].partition(f" {label}:")
        yield f"{before}{styled(found, fg=color, bold=True)}{after}"
        yield from lines[1:]
        if each.hint:
            yield from textwrap.wrap(
                each.hint, _WIDTH, initial_indent="  ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip


def _summary(reports: list[Any], write: bool) -> Iterator[str]:
    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    changed = sum(report.written if write else report.is_changed for report in reports)
    todos = sum(len(report.todos) for report in reports)
    options = sum(len(report.options) for report in reports)
    configs = [report for report in reports if report.style == "config" and report.verdict]
    unused = sum(map(_is_unrelated, reports))
    if any("alias of mmcv" in report.verdict for report in reports):
        yield "The alias of mmcv: cfgtrain train --compat mmcv,"
        yield "  or python -m cfgtrain.compat.mmcv SCRIPT."
    if configs:
        runs = sum(report.runs is True for report in configs)
        yield f"{count(len(configs), 'config')} of cfgtrain or MMCV, {runs} of which run{'s' if runs == 1 else ''} unchanged."
    if unused:
        yield f"{count(unused, 'Python file')} without mmcv."
    if options:
        yield f"{count(options, 'older key')} could be written in a newer way: add --newer-keys."
    done = f"{count(changed, 'file')} rewritten" if write else f"{count(changed, 'file')} would be rewritten"
    yield f"{count(len(reports), 'file')} read, {done}, {count(todos, 'place')} to change by hand."
    if changed and not write:
        yield "Add --write to write the changes."


def _json(report: Any) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "style": report.style,
        "runs": report.runs,
        "verdict": report.verdict,
        "changed": report.is_changed,
        "written": report.written,
        "diff": "\n".join(_lines(report)) if report.is_changed else "",
        "findings": [vars(each) for each in report.findings],
    }
