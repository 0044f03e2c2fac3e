"""``cfgtrain check``: report everything that is wrong with a config, and write nothing."""

from __future__ import annotations

import logging
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from cfgtrain.errors import BuildError, CfgTrainError, CheckError, ConfigWarning
from cfgtrain.exit_codes import ExitCode
from cfgtrain.origin import Origin
from cfgtrain_cli.console import echo, print_json, styled
from cfgtrain_cli.failures import cause_lines, note_lines
from cfgtrain_cli.loading import import_custom_modules, load_config
from cfgtrain_cli.options import CfgOptions, Compat, ConfigFile

WIDTH = 80
_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}


def check(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    no_data: Annotated[
        bool,
        typer.Option(
            "--no-data",
            help="Check the config alone: build and try nothing. Data and checkpoints do not have to exist.",
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    trust_checkpoint: Annotated[
        bool,
        typer.Option("--trust-checkpoint", help="As for [b]train[/b]: do not read the checkpoints."),
    ] = False,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
) -> None:
    """Check a config as train does, and try one batch of each dataset. Nothing is written."""
    entries: list[Entry] = []
    summary = ""
    # What custom code prints is no part of the report.
    with redirect_stdout(sys.stderr), _warnings_in(entries):
        try:
            cfg = load_config(config, cfg_options)
            import_custom_modules(cfg)
        except CfgTrainError as error:
            problems, skipped = _each(error), list[str]()
        else:
            from cfgtrain.check import check_run  # imports torch; mistakes in the config are reported first

            result = check_run(cfg, data=not no_data, trusted=trust_checkpoint)
            problems, skipped, summary = result.problems, result.skipped, result.summary
            entries += [_entry(None, None, text, "warning") for text in result.warnings]
    errors = list(map(_problem, problems))
    reported = {(error.file, error.line, error.key) for error in errors if error.key}
    warned = [entry for entry in entries if (entry.file, entry.line, entry.key) not in reported]
    if strict:
        for entry in warned:
            entry.severity = "error"
    entries = errors + warned
    entries += [_entry(None, None, text, "note") for text in skipped]
    if as_json:
        print_json(list(map(asdict, entries)))
    else:
        for entry in entries:
            echo(_text(entry, config))
        echo(_last_line(entries, summary))
    if any(entry.severity == "error" for entry in entries):
        raise typer.Exit(ExitCode.USAGE)


@dataclass
class Entry:
    """One line of the report.

    Attributes:
        file: The file that set the value, or None.
        line: 1-based line in it, or None.
        key: Dotted key path of the value, or None.
        message: What is wrong.
        hint: What to do, or ``""``.
        severity: A note is about something that was not checked.
        details: More lines: what set the value if it was no file, what was being done, the lines of custom code.
    """

    file: str | None
    line: int | None
    key: str | None
    message: str
    hint: str = ""
    severity: Literal["error", "warning", "note"] = "error"
    details: list[str] = field(default_factory=list)


def _each(error: CfgTrainError) -> list[CfgTrainError]:
    return list(error.errors) if isinstance(error, CheckError) else [error]


def _problem(error: CfgTrainError) -> Entry:
    entry = _entry(error.origin, error.key, error.message, "error")
    entry.hint = error.hint
    entry.details += [f"in {error.signature}"] if isinstance(error, BuildError) and error.signature else []
    entry.details += [*note_lines(error), *cause_lines(error)]
    return entry


def _entry(
    origin: Origin | None, key: str | None, message: str, severity: Literal["error", "warning", "note"]
) -> Entry:
    file = None if origin is None or origin.file is None else _relative(origin.file)
    entry = Entry(file, origin.line if origin is not None else None, key, message, severity=severity)
    if origin is not None and origin.file is None and origin.text:
        entry.details.append(f"set by {origin.text}")
    return entry


def _relative(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


@contextmanager
def _warnings_in(entries: list[Entry]) -> Iterator[None]:
    """Add the warnings of Python and of the log in the block to the entries, in place of showing them."""
    handler = _Collector(entries)
    own = logging.getLogger("cfgtrain")
    own.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            try:
                yield
            finally:
                entries += map(_warning, caught)
    finally:
        own.removeHandler(handler)


class _Collector(logging.Handler):
    """Adds the warnings in the log to a list."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(logging.WARNING)
        self.entries = entries

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record."""
        self.entries.append(_entry(None, None, record.getMessage(), "warning"))


def _warning(caught: warnings.WarningMessage) -> Entry:
    message = caught.message
    if isinstance(message, ConfigWarning):
        return _entry(message.origin, message.key, message.message, "warning")
    origin = Origin(caught.filename, caught.lineno)
    return _entry(origin, None, f"{caught.category.__name__}: {message}", "warning")


def _text(entry: Entry, config: Path) -> str:
    """Return an entry for people and editors: ``file:line: severity: message``, and indented lines."""
    place = str(config) if entry.file is None else entry.file
    place += "" if entry.line is None else f":{entry.line}"
    first, *rest = _wrapped(f"{place}: {entry.severity}: {entry.message}", "  ")
    label = f": {entry.severity}:"
    before, found, after = first.partition(label)
    if found:
        first = f"{before}: {styled(f'{entry.severity}:', fg=_COLORS[entry.severity], bold=True)}{after}"
    lines = [first, *rest]
    if entry.key:
        lines.append(f"  key: {entry.key}")
    if entry.hint:
        lines += _wrapped(f"  {entry.hint}", "  ")
    for detail in entry.details:
        lines += _wrapped(f"  {detail}", "    ")
    return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    lines = [
        textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    ]
    return [part for line in lines for part in line]


def _last_line(entries: list[Entry], summary: str) -> str:
    counts = {kind: sum(entry.severity == kind for entry in entries) for kind in ("error", "warning")}
    told = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
    if counts["error"]:
        return f"{' and '.join(told)}."
    warned = f" ({told[0]})" if told else ""
    return "\n".join(_wrapped(f"OK{warned}: {summary}", "  "))
