"""The ``cfgtrain`` command: its sub-commands, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

import cfgtrain
from cfgtrain.errors import CfgTrainError, ConfigWarning
from cfgtrain_cli import diff, env, hooks, print_config, schedule, train
from cfgtrain_cli.command import ConfigCommand
from cfgtrain_cli.image import commands as image
from cfgtrain_cli.registry_commands import commands as names

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
app.command("diff")(diff.diff_configs)
app.command("hooks", cls=ConfigCommand)(hooks.hooks)
app.command("schedule", cls=ConfigCommand)(schedule.schedule)
app.command("list", cls=ConfigCommand)(names.list_names)
app.command("show", cls=ConfigCommand)(names.show)
app.add_typer(image.app, name="image")
app.command("env")(env.env)


def main(words: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    An error that was raised on purpose becomes one red message; anything else is a bug and
    shows its traceback.
    """
    # Of a command of its own a SIGTERM that comes when all is done does not change the exit code.
    after = signal.SIG_IGN if words is None else signal.getsignal(signal.SIGTERM)
    words = sys.argv[1:] if words is None else words
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        warnings.showwarning = partial(_show_warning, warnings.showwarning)
        _run(words, after)


def _run(words: list[str], sigterm_after: Any) -> None:
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
            signal.signal(signal.SIGTERM, sigterm_after)


def _show_warning(default: Callable[..., None], message: Warning | str, *rest: Any, **named: Any) -> None:
    """Print a warning about a config in the words that it has; any other as Python does."""
    if isinstance(message, ConfigWarning):
        _print(f"Warning: {message}", "yellow")
    else:
        default(message, *rest, **named)


def _print_error(error: CfgTrainError) -> None:
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    _print(f"Error: {error}{notes}", "red")


def _print(text: str, style: str) -> None:
    from cfgtrain.terminal import log_console

    log_console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
