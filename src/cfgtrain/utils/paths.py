"""Files and folders, under MMCV's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.filesystem.atomic import replace_symlink

__all__ = [
    "check_file_exist",
    "find_vcs_root",
    "fopen",
    "is_filepath",
    "mkdir_or_exist",
    "scandir",
    "symlink",
]


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and its parents unless it is there; ``~`` is expanded, ``""`` means here."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def is_filepath(x: object) -> bool:
    """Say whether ``x`` is a str or a Path."""
    return isinstance(x, str | Path)


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """Open a file as ``open`` does.

    Raises:
        ArgumentError: ``filepath`` is neither a str nor a Path.
    """
    if not isinstance(filepath, str | Path):
        raise ArgumentError(f"A file is named by a str or a Path, not by {filepath!r}.")
    file: IO[Any] = Path(filepath).open(*args, **kwargs)  # noqa: SIM115  # the caller closes it
    return file


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raise FileNotFoundError unless there is a file of that name; a folder is none."""
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True) -> None:
    """Make ``dst`` a link to ``src``.

    Args:
        src: What the link holds, relative to the folder of ``dst`` or absolute.
        dst: A file or link that is there is replaced in one step.
        overwrite: Whether it is; otherwise it is a FileExistsError.
    """
    if overwrite:
        replace_symlink(Path(dst), str(src))
    else:
        Path(dst).symlink_to(src)


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Yield the files in a folder, relative to it and in order.

    Args:
        dir_path: The folder; what begins with a dot in it is passed over.
        suffix: Only files whose names end so, or in one of these ways.
        recursive: Whether the folders in it are searched as well, links too, each once.
        case_sensitive: Whether ``.JPG`` is another suffix than ``.jpg``.

    Raises:
        ArgumentTypeError: An argument is of another type.
    """
    if not isinstance(dir_path, str | Path):
        raise ArgumentTypeError(f"dir_path is a str or a Path, not {dir_path!r}.")
    if not isinstance(suffix, str | tuple | None):
        raise ArgumentTypeError(f"suffix is a str, a tuple of str or None, not {suffix!r}.")
    ends = (suffix,) if isinstance(suffix, str) else suffix
    if ends is not None and not case_sensitive:
        ends = tuple(end.lower() for end in ends)

    def search(folder: Path, seen: set[Path]) -> Iterator[Path]:
        real = folder.resolve()
        if real in seen:
            return
        seen.add(real)
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            name = path.name if case_sensitive else path.name.lower()
            if path.is_file() and (ends is None or name.endswith(ends)):
                yield path
            elif recursive and path.is_dir():
                yield from search(path, seen)

    return (str(path.relative_to(dir_path)) for path in search(Path(dir_path), set()))


def find_vcs_root(path: str | Path, markers: tuple[str, ...] = (".git",)) -> str | None:
    """Return the nearest folder at or above ``path`` that holds one of the markers, or None."""
    start = Path(path).expanduser().absolute()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in markers):
            return str(folder)
    return None
