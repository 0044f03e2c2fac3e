"""The part of a traceback that is in the user's own code."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from traceback import FrameSummary, extract_tb

__all__ = ["frame_lines", "only_user_frames", "user_frame_lines", "user_frames"]

MAX_FRAMES = 4  # that are listed, the innermost ones


def user_frames(error: BaseException) -> list[FrameSummary]:
    """Return the frames of an exception that are neither in cfgtrain nor in Python or an installed package."""
    return only_user_frames(extract_tb(error.__traceback__))


def only_user_frames(frames: Iterable[FrameSummary]) -> list[FrameSummary]:
    """Return those frames that are neither in cfgtrain nor in Python or an installed package."""
    folders = list(_foreign_folders())
    found = []
    for frame in frames:
        file = Path(frame.filename)
        if file.is_file() and not any(file.is_relative_to(folder) for folder in folders):
            found.append(frame)
    return found


def user_frame_lines(error: BaseException) -> list[str]:
    """Return the user's frames of an exception, two lines each, the innermost last: the place and the source line.

    An exception that stands for one of another process has them in an attribute ``user_frame_lines``.
    """
    lines: list[str] | None = getattr(error, "user_frame_lines", None)
    if lines is not None:
        return lines
    return frame_lines(user_frames(error))


def frame_lines(frames: Sequence[FrameSummary]) -> list[str]:
    """Return the innermost frames, which are the last ones, as two lines each: the place and the source line."""
    lines = []
    for frame in frames[-MAX_FRAMES:]:
        lines.append(f"{_relative(frame.filename)}:{frame.lineno}, in {frame.name}")
        if frame.line:
            lines.append(f"    {frame.line}")
    return lines


def _relative(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _foreign_folders() -> Iterator[Path]:
    yield Path(__file__).parent.parent
    command_line = sys.modules.get("cfgtrain_cli")
    if command_line is not None and command_line.__file__ is not None:
        yield Path(command_line.__file__).parent
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
    # Packages may be found in another environment, such as that which a virtual environment extends.
    yield from (Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
