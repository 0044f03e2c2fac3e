"""Find the code that called into a part of the library."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

__all__ = ["Caller", "find_caller", "in_modules"]


class Caller(NamedTuple):
    """A frame of the call stack.

    Attributes:
        frame: The frame.
        stack_level: The ``stacklevel`` with which a warning names this frame.
    """

    frame: FrameType
    stack_level: int


def find_caller(is_inside: Callable[[FrameType], bool]) -> Caller:
    """Return the innermost caller that is not inside a part of the code, or else the outermost frame.

    The search begins at the function that called the caller of ``find_caller``: a function
    that wraps ``find_caller`` is not counted in ``stack_level``.

    Args:
        is_inside: Whether a frame belongs to that part of the code.
    """
    frame, level = sys._getframe(2), 1
    while frame.f_back is not None and is_inside(frame):
        frame, level = frame.f_back, level + 1
    return Caller(frame, level)


def in_modules(*prefixes: str) -> Callable[[FrameType], bool]:
    """Return a function that returns whether a frame runs code of modules whose names begin with ``prefixes``."""
    return lambda frame: str(frame.f_globals.get("__name__")).startswith(prefixes)
