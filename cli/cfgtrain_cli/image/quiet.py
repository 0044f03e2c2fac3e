"""Keeping messages of libraries off stderr: what is wrong with an image is reported by the command."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discard the warnings of Pillow, and what OpenCV, libpng, libjpeg and libtiff write to stderr.

    These libraries write to the file descriptor. ``sys.stderr`` and log records still reach the terminal.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            copy = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        stderr = sys.stderr
        handlers = [
            each
            for each in logging.getLogger().handlers
            if isinstance(each, logging.StreamHandler) and each.stream is stderr
        ]
        try:
            if _is_descriptor(stderr):
                stderr.flush()
                sys.stderr = os.fdopen(
                    os.dup(copy), "w", encoding=stderr.encoding, errors=stderr.errors, buffering=1
                )
                for handler in handlers:
                    handler.setStream(sys.stderr)
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            if sys.stderr is not stderr:
                for handler in handlers:
                    handler.setStream(stderr)
                with suppress(OSError):
                    sys.stderr.close()
                sys.stderr = stderr
            os.dup2(copy, 2)
            os.close(copy)


def _is_descriptor(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, OSError, ValueError):
        return False
