"""Loggers as MMCV's users make them: one call, a terminal and a file."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from cfgtrain.errors import ArgumentTypeError

__all__ = ["get_logger", "print_log"]

FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time in 3.11
    """Writes to stderr, unless a handler of the root logger shows the record there anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, to what stderr is now."""
        if not any(map(_is_shown, logging.getLogger().handlers)):
            self.stream = sys.stderr
            super().emit(record)


def get_logger(
    name: str, log_file: str | Path | None = None, log_level: int = logging.INFO, file_mode: str = "w"
) -> logging.Logger:
    """Return the logger of that name; the first time it is given its handlers.

    It logs to stderr and, in the first of several processes, to ``log_file``; the other
    processes log errors only. A logger below one that has been set up so, ``"a.b"`` below
    ``"a"``, uses the handlers of that one.

    Args:
        name: Of the logger.
        log_file: Also written to; its folder is made.
        log_level: Of the logger and its handlers.
        file_mode: "w" begins a new file, "a" goes on with the old one.
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
        msg: What to say.
        logger: A logger or the name of one; None prints, "silent" does nothing.
        level: Of the record.

    Raises:
        ArgumentTypeError: ``logger`` is none of these.
    """
    if logger is None:
        print(msg)
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif isinstance(logger, str):
        if logger != "silent":
            get_logger(logger).log(level, msg)
    else:
        raise ArgumentTypeError(f"logger is a Logger, its name, 'silent' or None, not {logger!r}.")


def _is_set_up(logger: logging.Logger) -> bool:
    each: logging.Logger | None = logger
    while each is not None and each is not logging.getLogger():
        if any(isinstance(handler, TerminalHandler) for handler in each.handlers):
            return True
        each = each.parent
    return False


def _is_shown(handler: logging.Handler) -> bool:
    """Say whether a handler writes to the terminal."""
    streams = (sys.stdout, sys.stderr)
    return handler.get_name() == "cfgtrain" or getattr(handler, "stream", None) in streams


def _rank() -> int:
    """Return which of several processes this is, without loading torch to ask it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    stated = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
    return int(stated) if stated.isdecimal() else 0
