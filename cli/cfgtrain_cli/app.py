"""The ``cfgtrain`` command: its subcommands, and how errors are reported."""

from __future__ import annotations

import io
import signal
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

import cfgtrain
from cfgtrain.errors import ConfigWarning, ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.signals import SIGNALS, handle_signals
from cfgtrain_cli import (
    check,
    compare,
    diff,
    env,
    hooks,
    init,
    migrate,
    model,
    plot,
    predict,
    print_config,
    schedule,
    test,
    train,
)
from cfgtrain_cli.checkpoint import commands as checkpoint
from cfgtrain_cli.failures import print_failure, print_warning
from cfgtrain_cli.image import commands as image
from cfgtrain_cli.launch import note
from cfgtrain_cli.options import ConfigCommand
from cfgtrain_cli.registry_commands import commands as registry_commands

app = typer.Typer(
    help="Train PyTorch models from config files.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it would print the values of variables
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cfgtrain {cfgtrain.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the full traceback of every error.")] = False,
) -> None:
    """Train PyTorch models from config files."""


app.command("init")(init.init)
app.command("check", cls=ConfigCommand)(check.check)
app.command("train", cls=ConfigCommand)(train.train)
app.command("test", cls=test.TestCommand)(test.test)
app.command("predict", cls=ConfigCommand)(predict.predict)
app.command("print-config", cls=ConfigCommand)(print_config.print_config)
app.command("diff")(diff.diff_configs)
app.command("hooks", cls=ConfigCommand)(hooks.hooks)
app.command("schedule", cls=ConfigCommand)(schedule.schedule)
app.command("model", cls=ConfigCommand)(model.model)
app.command("plot", cls=plot.PlotCommand)(plot.plot)
app.command("compare")(compare.compare)
app.command("list", cls=ConfigCommand)(registry_commands.list_names)
app.command("show", cls=ConfigCommand)(registry_commands.show)
app.add_typer(image.app, name="image")
app.add_typer(checkpoint.app, name="checkpoint")
app.command("migrate")(migrate.migrate)
app.command("env")(env.env)


def main(words: list[str] | None = None) -> None:
    """Run the command line and exit with one of the `ExitCode` values.

    Args:
        words: The arguments; ``sys.argv[1:]`` if None.
    """
    is_process = words is None
    words = sys.argv[1:] if words is None else words
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]  # anywhere in the command, though it is an option of the first level
    words = [word for i, word in enumerate(words) if word != "--debug" or i >= end]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold any bytes
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        warnings.showwarning = partial(_show_warning, warnings.showwarning)
        _run(words, is_process, debug)


def _run(words: list[str], is_process: bool, debug: bool) -> None:
    # Clean up as for Ctrl-C; a signal that is ignored, as under nohup, stays ignored.
    before = handle_signals(SIGNALS, signal.default_int_handler)
    try:
        app(args=words, prog_name="cfgtrain")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except ProcessError as error:
        if not error.is_reported:
            print_failure(error)
            note("reported")
        sys.exit(error.exit_code)
    except Exception as error:
        if debug or not print_failure(error):
            raise
        note("reported")
        sys.exit(getattr(error, "exit_code", ExitCode.FAILED))
    finally:
        # Once our own process is done, a late signal must not change its exit code.
        for each, handler in before.items():
            signal.signal(each, signal.SIG_IGN if is_process else handler)


def _show_warning(default: Callable[..., None], message: Warning | str, *rest: Any, **named: Any) -> None:
    """Print the text of a config warning alone; print other warnings as Python does."""
    if isinstance(message, ConfigWarning):
        print_warning(message)
    else:
        default(message, *rest, **named)
