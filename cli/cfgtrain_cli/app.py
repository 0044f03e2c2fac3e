"""The ``cfgtrain`` command: its sub-commands, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

import typer

import cfgtrain
from cfgtrain.errors import CfgTrainError
from cfgtrain_cli import print_config, train
from cfgtrain_cli.command import ConfigCommand

INTERRUPTED = 130

app = typer.Typer(
    help="Train PyTorch models from config files.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug shows Python's own traceback, without the values of variables
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cfgtrain {cfgtrain.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    """Train PyTorch models from config files."""


app.command("train", cls=ConfigCommand)(train.train)
app.command("print-config", cls=ConfigCommand)(print_config.print_config)


def main(words: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    An error that was raised on purpose becomes one red message; anything else is a bug and
    shows its traceback.
    """
    words = sys.argv[1:] if words is None else words
    before = signal.getsignal(signal.SIGTERM)
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is begun is tidied up
        app(args=words, prog_name="cfgtrain")
    except CfgTrainError as error:
        if "--debug" in words:
            raise
        _print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _print_error(error: CfgTrainError) -> None:
    from cfgtrain.utils.progress import log_console

    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    log_console().print(f"Error: {error}{notes}", style="red", markup=False, highlight=False, soft_wrap=True)
