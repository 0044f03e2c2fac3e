"""How errors and warnings are printed on stderr."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from cfgtrain.errors import CfgTrainError, ConfigError, ConfigWarning, DryRunError, MissingLibraryError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.introspection.error_hints import (
    error_text,
    is_out_of_memory,
    out_of_memory_text,
    torch_error_hint,
)
from cfgtrain.introspection.user_code import user_frame_lines
from cfgtrain.registry.registry import BUILD_NOTE
from cfgtrain.suggestions import printable

MAX_LINES = 6  # of the text of an exception that is not ours
MAX_CHAIN = 2  # exceptions that caused it

DEBUG_HINT = "For the full traceback, add --debug to the command."


def print_failure(error: Exception) -> bool:
    """Print what the user needs to know about an error.

    A `CfgTrainError` is one message. Of any other exception that is related to the user's input or code, this is its
    text, the notes that say what was being done and where that is in the config, and the lines of the user's own code.

    Returns:
        Whether anything was printed. If not, neither the user's input nor code is involved, so the
        error is a bug.
    """
    notes = note_lines(error)
    if not isinstance(error, CfgTrainError):
        notes += filter(None, [torch_error_hint(error)])
    if isinstance(error, CfgTrainError):
        text, details = str(error), notes
        code = cause_lines(error)
    else:
        code = _code_lines(error)
        is_system_error = isinstance(error, OSError) and bool(error.strerror)
        if not (code or notes or is_system_error):
            return False
        lines = [*_text_of(error), *notes]
        text, details = lines[0], lines[1:]
    indented = [line if line.startswith("  ") else f"  {line}" for line in (*details, *code)]
    hint = [DEBUG_HINT] if code or not isinstance(error, CfgTrainError | OSError) else []
    # What is wrong with a config is so in all processes, and the first one reports it.
    is_of_all = getattr(error, "exit_code", None) == ExitCode.USAGE and os.environ.get("RANK", "0") == "0"
    place = "" if is_of_all else _rank_text()
    _print("\n".join([f"Error{place}: {text}", *indented, *hint]), "red")
    return True


def _rank_text() -> str:
    """Return which of several processes this is, for a message, or an empty str if it is the only one."""
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    return f" in rank {os.environ['RANK']}" if several and "RANK" in os.environ else ""


def print_exit(error: SystemExit) -> None:
    """Print where custom code ended the command with ``sys.exit``, which has no message of its own."""
    lines = [*note_lines(error), *_code_lines(error)]
    shown = [line if line.startswith("  ") else f"  {line}" for line in lines]
    code = repr(error.code) if error.code is not None else ""
    place = "" if hasattr(error, "exit_code") else _rank_text()
    _print("\n".join([f"Error{place}: The run was ended by sys.exit({code}).", *shown]), "red")
    if hasattr(error, "exit_code"):  # of a run that was not started
        error.code = error.exit_code
    elif not isinstance(error.code, int | None):
        error.code = ExitCode.FAILED  # Python would print the text once more


def print_warning(warning: ConfigWarning) -> None:
    """Print a warning about a config."""
    from cfgtrain.terminal import print_message  # imports rich

    print_message(printable(str(warning)), logging.WARNING)


def note_lines(error: BaseException) -> list[str]:
    """Return the lines of the notes of an exception; see ``_notes``."""
    return [line for note in _notes(error) for line in note.splitlines()]


def cause_lines(error: CfgTrainError) -> list[str]:
    """Return the lines of the user's code that caused an error, unless they explain nothing."""
    hides = isinstance(error, ConfigError | MissingLibraryError) and not isinstance(error, DryRunError)
    return _code_lines(None if hides else error.__cause__)


def _notes(error: BaseException) -> list[str]:
    """Return the notes of an exception; of those that say what was being built, only the innermost one."""
    notes = getattr(error, "__notes__", [])
    building = [note for note in notes if note.startswith(BUILD_NOTE)]
    return [note for note in notes if note not in building[1:]]


def _text_of(error: BaseException) -> list[str]:
    """Return the lines of an exception that is not ours."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f": {error.filename}"
        return [f"{error.strerror}{name}."]
    if is_out_of_memory(error):
        return [out_of_memory_text(error)]
    lines = error_text(error).splitlines()
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], "..."]
    if not lines:
        return [type(error).__name__]
    if len(lines) == 1:
        lines = [f"{lines[0].rstrip('.')}."]
    return [f"{type(error).__name__}: {lines[0]}", *lines[1:]]


def _code_lines(error: BaseException | None) -> list[str]:
    """Return the lines of the user's code that an error, and those that caused it, were raised in.

    There are none if the error itself was raised elsewhere.
    """
    lines = [] if error is None else user_frame_lines(error)
    if error is None or not lines:
        return []
    for cause in list(_causes(error))[:MAX_CHAIN]:
        code = user_frame_lines(cause)
        if code:
            lines += [f"caused by {_text_of(cause)[0]}", *code]
    return lines


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _print(text: str, style: str) -> None:
    from cfgtrain.terminal import log_console  # imports rich

    log_console().print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)
