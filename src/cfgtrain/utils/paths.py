"""File and folder utilities, with MMCV's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cfgtrain.arguments import check_type
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
    """Create a folder and its parents if they do not exist. ``~`` is expanded, and ``""`` does nothing."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def is_filepath(x: object) -> bool:
    """Return whether ``x`` is a str or a Path."""
    return isinstance(x, str | Path)


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """Open a file, with the arguments of ``open``.

    Raises:
        ArgumentError: ``filepath`` is neither a str nor a Path.
    """
    check_type("filepath", filepath, str | Path, "a str or a Path")
    file: IO[Any] = Path(filepath).open(*args, **kwargs)  # noqa: SIM115  # the caller closes it
    return file


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raise FileNotFoundError if ``filename`` is not an existing file; a folder does not count.

    Args:
        filename: Path of the file.
        msg_tmpl: Message of the error, in which ``{}`` is replaced by the path.
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True) -> None:
    """Create a symbolic link at ``dst`` that points to ``src``.

    Args:
        src: Target of the link, absolute or relative to the folder of ``dst``.
        dst: Path of the link.
        overwrite: Whether to replace an existing file or link, in one atomic step.

    Raises:
        FileExistsError: ``dst`` exists and ``overwrite`` is False.
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
    """Yield the paths of the files in a folder, relative to the folder and sorted by name.

    Names that begin with a dot are skipped.

    Args:
        dir_path: The folder.
        suffix: Yield only files whose names end with this string, or with one of these.
        recursive: Whether to search subfolders, including links to folders. No folder is searched twice.
        case_sensitive: Whether the suffix is case-sensitive.

    Raises:
        ArgumentTypeError: ``dir_path`` or ``suffix`` has the wrong type.
    """
    check_type("dir_path", dir_path, str | Path, "a str or a Path")
    check_type("suffix", suffix, str | tuple | None, "a str, a tuple of str or None")
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
    """Return the root folder of a version-controlled project, or None if there is none.

    Args:
        path: Where to start. The folder itself and its parents are searched upwards.
        markers: Names of files or folders of which the root folder contains at least one.
    """
    start = Path(path).expanduser().absolute()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in markers):
            return str(folder)
    return None
