"""What a person sees on the terminal: the log, and colours where there are any."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

import typer

from cfgtrain.errors import CfgTrainError


def styled(text: str, **style: Any) -> str:
    """Return ``text`` with a colour; see ``typer.style``. ``echo`` takes it out again."""
    return typer.style(text, **style) if text and style else text


def echo(text: str, err: bool = False) -> None:
    """Print a line: coloured on a terminal, plain into a pipe; NO_COLOR and FORCE_COLOR overrule that."""
    color = False if os.environ.get("NO_COLOR") else True if os.environ.get("FORCE_COLOR") else None
    try:
        typer.echo(text, err=err, color=color)
    except BrokenPipeError:
        raise  # whoever read it has enough: typer ends quietly
    except OSError as error:
        _drop_output()
        raise OutputError(f"The output cannot be written: {error.strerror}.") from error


class OutputError(CfgTrainError):
    """The output cannot be written, as the disk is full."""


def _drop_output() -> None:
    """Let what is still to be written go nowhere, or Python would try again at its end."""
    with suppress(OSError, ValueError):  # a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def log_to_terminal() -> None:
    """Send log records to stderr: coloured on a terminal, plain lines into a pipe."""
    from cfgtrain.terminal import log_console  # loads rich, which other commands do without

    root = logging.getLogger()
    if any(handler.get_name() == "cfgtrain" for handler in root.handlers):
        return
    handler: logging.Handler
    if log_console().is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=log_console(), show_path=False, markup=False, log_time_format="%X")
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    handler.set_name("cfgtrain")
    root.addHandler(handler)
