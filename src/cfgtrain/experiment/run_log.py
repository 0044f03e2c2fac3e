"""The log files of a run: what happens in it, from its start to the reason of its end."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cfgtrain.errors import CfgTrainError, ConfigWarning
from cfgtrain.filesystem.atomic import append_whole
from cfgtrain.utils.logging import FILE_ONLY, FORMAT

__all__ = ["failure_logged", "log_event", "run_log"]


@contextmanager
def run_log(work_dir: Path, level: str) -> Iterator[tuple[logging.Logger, str]]:
    """Log what happens in the block to new files; yield the logger, and the time in their names.

    ``<time>.log`` has all messages, and Python's warnings. Warnings, errors and the events of ``log_event`` are
    also lines of ``<time>.log.json``, once a ``TextLoggerHook`` has begun that file. Without a message there is
    no file.
    """
    stamp = unused_stamp(work_dir)
    logger = logging.getLogger("cfgtrain")
    before = logger.level
    text = _TextLog(work_dir / f"{stamp}.log", encoding="utf-8", delay=True)
    text.setFormatter(logging.Formatter(FORMAT))
    handlers = [text, _JsonEvents(work_dir / f"{stamp}.log.json")]
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(level)
    try:
        with _python_warnings_logged(logger):
            yield logger, stamp
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            with suppress(OSError):  # a full disk
                handler.close()


def log_event(logger: logging.Logger, message: str, event: dict[str, Any]) -> None:
    """Log a message to the text log of the run, and an event as a line of its JSON log."""
    logger.info("%s", message, extra={**FILE_ONLY, "event": event})


@contextmanager
def failure_logged(logger: logging.Logger) -> Iterator[None]:
    """Log an exception of the block to the files of the run, with its traceback."""
    try:
        yield
    except BaseException as error:
        result, reason = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, KeyboardInterrupt):
            result, reason = "interrupted", "a signal ended it immediately"
        elif isinstance(error, CfgTrainError):
            reason = str(error)
        event = {"mode": "end", "result": result, "reason": reason}
        logger.error("The run %s: %s", result, reason, exc_info=error, extra={**FILE_ONLY, "event": event})
        raise


def unused_stamp(work_dir: Path) -> str:
    """Return the time as ``YYYYmmdd_HHMMSS``, with a number if there is a log with that time already."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    names = [stamp, *(f"{stamp}_{number}" for number in range(2, 1000))]
    return next(name for name in names if not (work_dir / f"{name}.log").exists())


class _TextLog(logging.FileHandler):
    """Drops messages while the disk is full, where logging would print a traceback for each."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Ignore an OSError; any other exception is a bug, whose traceback logging prints."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _JsonEvents(logging.Handler):
    """Appends warnings, errors and events to the JSON log.

    The first line of that file is the meta of the run: lines from before it exists are kept until then.

    Args:
        path: The JSON log, which a ``TextLoggerHook`` begins.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record, or keep it."""
        event = getattr(record, "event", None)
        if event is not None or record.levelno >= logging.WARNING:
            line = event or {"mode": record.levelname.lower(), "message": record.getMessage()}
            line = {**line, "date": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))}
            if record.exc_info and record.exc_info[1] is not None:
                line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
            self._kept.append(json.dumps(line, default=str))
        if self._kept and self._path.exists():
            with suppress(OSError):  # a full disk: it is tried again with the next record
                append_whole(self._path, "".join(f"{each}\n" for each in self._kept).encode())
                self._kept.clear()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Do nothing: the text log has the message."""


@contextmanager
def _python_warnings_logged(logger: logging.Logger) -> Iterator[None]:
    """Log the warnings of the ``warnings`` module to the files of the run; they are still shown as before."""
    show = warnings.showwarning

    def show_and_log(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        kind = "" if issubclass(category, ConfigWarning) else f"{category.__name__}: "
        logger.warning("%s%s", kind, message, extra=FILE_ONLY)
        show(message, category, *rest, **named)

    warnings.showwarning = show_and_log
    try:
        yield
    finally:
        if warnings.showwarning is show_and_log:
            warnings.showwarning = show
