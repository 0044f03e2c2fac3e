"""How errors and warnings are printed on stderr."""

from __future__ import annotations

import logging
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException

import cfgtrain
from cfgtrain.errors import CfgTrainError, ConfigError, ConfigWarning, MissingLibraryError
from cfgtrain.registry.registry import BUILD_NOTE
from cfgtrain.suggestions import printable


def print_failure(error: Exception) -> bool:
    """Print what the user needs to know about an error.

    A `CfgTrainError`, an error of the operating system, and an exception of a class that a config
    names are one message. An exception from the user's own code is printed with the frames of that
    code alone.

    Returns:
        Whether anything was printed. If not, neither the user's input nor code is involved, so the
        error is a bug.
    """
    notes = getattr(error, "__notes__", ())
    if isinstance(error, CfgTrainError):
        cause = (
            "" if isinstance(error, ConfigError | MissingLibraryError) else _user_traceback(error.__cause__)
        )
        _print(f"{cause}Error: {_message(error)}", "red")
    elif trace := _user_traceback(error):
        _print(f"{trace}For the full traceback, run cfgtrain --debug.", "red")
    elif isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f": {error.filename}"
        _print("\n  ".join([f"Error: {error.strerror}{name}.", *notes]), "red")
    elif any(note.startswith(BUILD_NOTE) for note in notes):
        text = f"Error: {type(error).__name__}: {str(error).rstrip('.')}."
        _print("\n  ".join([text, *notes]) + "\nFor the full traceback, run cfgtrain --debug.", "red")
    else:
        return False
    return True


def print_warning(warning: ConfigWarning) -> None:
    """Print a warning about a config."""
    from cfgtrain.terminal import print_message  # imports rich

    print_message(printable(str(warning)), logging.WARNING)


def _message(error: CfgTrainError) -> str:
    """Return the text of an error with its notes."""
    return "\n  ".join([str(error), *getattr(error, "__notes__", ())])


def _user_traceback(error: BaseException | None) -> str:
    """Return the traceback of an error, limited to the user's code, or "" if that is not involved."""
    if error is None:
        return ""
    report = TracebackException.from_exception(error)
    if not any(_user_frames(report.stack)):
        return ""
    pending: list[TracebackException | None] = [report]
    while pending:
        each = pending.pop()
        if each is not None:
            each.stack = StackSummary.from_list(list(_user_frames(each.stack)))
            pending += [each.__cause__, each.__context__]
    return "".join(report.format())


def _user_frames(stack: StackSummary) -> Iterator[FrameSummary]:
    """Yield the frames that are neither in cfgtrain nor in Python or an installed package."""
    folders = [Path(cfgtrain.__file__).parent, Path(__file__).parent]
    folders += [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    for frame in stack:
        file = Path(frame.filename)
        if file.is_file() and not any(file.is_relative_to(folder) for folder in folders):
            yield frame


def _print(text: str, style: str) -> None:
    from cfgtrain.terminal import log_console  # imports rich

    log_console().print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)
