"""The table of ``cfgtrain image info``: what the headers of image files say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfgtrain.errors import CfgTrainError, ImageDecodeError
from cfgtrain.image.io import imfrombytes
from cfgtrain.image_files.header import Header
from cfgtrain.image_files.reader import read_header
from cfgtrain.suggestions import printable
from cfgtrain_cli.image.batch import reason

_COLUMNS = ("file", "format", "size", "orient", "pixels", "frames", "DPI", "meta", "bytes")
_NUMBERS = ("size", "orient", "frames", "DPI", "bytes")  # columns that are aligned at the right
_MODES = {1: "gray", 2: "gray+A", 3: "RGB", 4: "RGBA"}
_LEAST_NAME = 12


@dataclass(frozen=True)
class Facts:
    """What is known about one file: its header, or why it cannot be read."""

    path: Path
    size: int = 0
    header: Header | None = None
    error: str | None = None


def read_facts(path: Path) -> Facts:
    """Read the header of a file; an error becomes part of the result."""
    try:
        content = path.read_bytes()
        return Facts(path, len(content), _header(content))
    except (CfgTrainError, OSError, MemoryError) as error:
        return Facts(path, error=reason(error))


def table(facts: Sequence[Facts]) -> str:
    """Return a line for each file that can be read, as wide as the terminal at most; complete in a pipe."""
    rows = [_COLUMNS, *(_row(each.path, each.size, each.header) for each in facts if each.header)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sys.stdout.isatty():
        others = sum(widths[1:]) + 2 * len(widths[1:])
        widths[0] = min(widths[0], max(shutil.get_terminal_size().columns - others, _LEAST_NAME))
    return "\n".join(_line(row, widths) for row in rows)


def json_report(facts: Sequence[Facts]) -> dict[str, Any]:
    """Return the facts as plain types, for ``--json``."""
    files = [_as_dict(each) for each in facts]
    return {"failed": sum(each.error is not None for each in facts), "files": files}


def _header(content: bytes) -> Header:
    header = read_header(content)
    if header.size:
        return header
    if header.format:
        raise ImageDecodeError(f"The {header.format} file is damaged.")
    # A format without much of a header, such as HDR: decode it.
    pixels = imfrombytes(content, "unchanged", backend="cv2")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    depth = pixels.dtype.name.removeprefix("uint")
    return Header("", (pixels.shape[1], pixels.shape[0]), channels=channels, depth=depth)


def _row(path: Path, size: int, header: Header) -> tuple[str, ...]:
    width, height = header.size or (0, 0)
    metadata = header.metadata
    mode = (
        "CMYK" if header.format == "JPEG" and header.channels == 4 else _MODES.get(header.channels or 0, "")
    )
    dpi = dict.fromkeys(f"{round(each)}" for each in metadata.dpi or ())
    kept = [
        name
        for name, there in (("EXIF", _has(header, "EXIF")), ("ICC", _has(header, "ICC profile")))
        if there
    ]
    return (
        printable(str(path)),
        header.format or path.suffix.lstrip(".").upper(),
        f"{width}x{height}",
        str(header.orientation),
        f"{header.depth} {mode}".strip(),
        str(header.frames),
        "x".join(dpi) or "-",
        "+".join(kept) or "-",
        str(size),
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name = row[0] if len(row[0]) <= widths[0] else f"…{row[0][1 - widths[0] :]}"
    cells = [
        text.rjust(width) if column in _NUMBERS else text.ljust(width)
        for column, text, width in zip(_COLUMNS, (name, *row[1:]), widths, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _as_dict(facts: Facts) -> dict[str, Any]:
    header = facts.header
    if header is None:
        return {"file": str(facts.path), "error": facts.error}
    return {
        "file": str(facts.path),
        "format": header.format or facts.path.suffix.lstrip(".").upper(),
        "size": header.size,
        "orientation": header.orientation,
        "depth": header.depth or None,
        "channels": header.channels,
        "frames": header.frames,
        "dpi": header.metadata.dpi,
        "exif": _has(header, "EXIF"),
        "icc": _has(header, "ICC profile"),
        "bytes": facts.size,
        "error": None,
    }


def _has(header: Header, name: str) -> bool:
    return name in (*header.metadata.names(), *header.metadata.lost)
