"""Loggers that write to the terminal and to a file, with MMCV's functions."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from cfgtrain.errors import ArgumentTypeError

__all__ = ["get_logger", "print_log"]

FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

# The ``extra`` of a record that not every output shows; others show all records.
FILE_ONLY = {"shown_in": "file"}  # the log file has it, and the terminal does not
LINES_ONLY = {"shown_in": "lines"}  # the terminal has it too, unless it shows the run as a table


def is_shown_on_terminal(record: logging.LogRecord, as_table: bool) -> bool:
    """Return whether a record is printed on the terminal.

    Args:
        record: The record.
        as_table: Whether a run is shown as a table there, and not as lines.
    """
    shown_in = getattr(record, "shown_in", None)
    return shown_in is None or (shown_in == "lines" and not as_table)


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time in 3.11
    """Writes to stderr, unless a handler of the root logger already writes to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the current ``sys.stderr``."""
        if not any(map(_is_shown, logging.getLogger().handlers)):
            self.stream = sys.stderr
            super().emit(record)


def get_logger(
    name: str, log_file: str | Path | None = None, log_level: int = logging.INFO, file_mode: str = "w"
) -> logging.Logger:
    """Return a logger by name, and add its handlers on the first call.

    The logger writes to stderr. In a distributed run, only the process of rank 0 writes to ``log_file``, and
    the others log errors only. If a parent logger (``"a"`` of ``"a.b"``) was set up by this function, the
    logger uses the handlers of the parent.

    Args:
        name: Name of the logger.
        log_file: A file to log to as well. Its folder is created if needed.
        log_level: Level of the logger and its handlers.
        file_mode: ``"w"`` overwrites an existing file, ``"a"`` appends to it.
    """
    logger = logging.getLogger(name)
    if _is_set_up(logger):
        return logger
    rank = _rank()
    handlers: list[logging.Handler] = [TerminalHandler()]
    if rank == 0 and log_file is not None:
        Path(log_file).absolute().parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, file_mode, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        handler.setLevel(log_level)
        logger.addHandler(handler)
    logger.setLevel(log_level if rank == 0 else logging.ERROR)
    return logger


def print_log(msg: object, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Print or log a message.

    Args:
        msg: The message.
        logger: A logger, or the name of one for ``get_logger``. None prints the message, and ``"silent"``
            discards it.
        level: Level of the log record.

    Raises:
        ArgumentTypeError: ``logger`` is neither a logger nor a str nor None.
    """
    if logger is None:
        print(msg)
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif isinstance(logger, str):
        if logger != "silent":
            get_logger(logger).log(level, msg)
    else:
        raise ArgumentTypeError(f"logger must be a Logger, its name, 'silent' or None, not {logger!r}.")


def _is_set_up(logger: logging.Logger) -> bool:
    each: logging.Logger | None = logger
    while each is not None and each is not logging.getLogger():
        if any(isinstance(handler, TerminalHandler) for handler in each.handlers):
            return True
        each = each.parent
    return False


def _is_shown(handler: logging.Handler) -> bool:
    """Return whether a handler writes to the terminal."""
    streams = (sys.stdout, sys.stderr)
    return handler.get_name() == "cfgtrain" or getattr(handler, "stream", None) in streams


def _rank() -> int:
    """Return the rank of this process, without importing torch."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
    return int(rank) if rank.isdecimal() else 0
