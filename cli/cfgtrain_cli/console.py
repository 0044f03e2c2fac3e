"""Printing to the terminal: text, JSON and log records."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any

import typer

from cfgtrain.errors import CfgTrainError
from cfgtrain.suggestions import printable
from cfgtrain.utils.logging import is_shown_on_terminal


def styled(text: str, **style: Any) -> str:
    """Return ``text`` with a style; see ``typer.style``. ``echo`` removes it where there are no colours."""
    return typer.style(text, **style) if text and style else text


def echo(text: str, err: bool = False) -> None:
    """Print a line, coloured on a terminal and plain in a pipe, unless NO_COLOR or FORCE_COLOR is set.

    Raises:
        OutputError: The line cannot be written.
    """
    color = False if os.environ.get("NO_COLOR") else True if os.environ.get("FORCE_COLOR") else None
    try:
        typer.echo(text, err=err, color=color)
    except BrokenPipeError:
        raise  # the reader closed the pipe: typer exits quietly
    except OSError as error:
        _discard_output()
        raise OutputError(f"Cannot write the output: {error.strerror}.") from error


def print_json(content: object) -> None:
    """Print plain types as JSON."""
    echo(json.dumps(content, indent=2, ensure_ascii=False))


class OutputError(CfgTrainError):
    """The output cannot be written, for example because the disk is full."""


def _discard_output() -> None:
    """Redirect stdout to nowhere, or Python would try to write the rest when it exits."""
    with suppress(OSError, ValueError):  # a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def log_to_terminal() -> None:
    """Send log records to stderr: as plain lines with their time in a pipe; on a terminal, a run is shown as a table."""
    from cfgtrain.terminal import log_console  # imports rich, which some commands do not need

    root = logging.getLogger()
    if any(handler.get_name() == "cfgtrain" for handler in root.handlers):
        return
    on_terminal = log_console().is_terminal
    handler = _MessageHandler() if on_terminal else logging.StreamHandler(sys.stderr)
    if not on_terminal:
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    handler.addFilter(lambda record: is_shown_on_terminal(record, as_table=on_terminal))
    handler.set_name("cfgtrain")
    root.addHandler(handler)


class _MessageHandler(logging.Handler):
    """Prints messages above the live progress, warnings and errors with a coloured label."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        from cfgtrain.terminal import print_message

        try:
            print_message(printable(self.format(record)), record.levelno, getattr(record, "indent", 0))
        except Exception:
            self.handleError(record)
