"""Files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "append_whole",
    "atomic_write",
    "check_file_exist",
    "find_vcs_root",
    "fopen",
    "is_filepath",
    "mkdir_or_exist",
    "remove_unfinished",
    "replace_symlink",
    "scandir",
    "symlink",
    "sync_directory",
]

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and its parents unless it is there; ``~`` is expanded, ``""`` means here."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def append_whole(path: Path, data: bytes) -> None:
    """Add ``data`` at the end of a file, or leave the file as it was and raise OSError."""
    descriptor = os.open(path, _APPEND, 0o666)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: str | Path, *, durable: bool = True, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing (and reading back) that appears under ``path`` whole, or not at all.

    The bytes go to a temporary file beside ``path``, are synced to disk and renamed over
    it, and the folder is synced, so that neither an exception nor a power cut leaves half
    a file or loses the one that was there. The permissions follow the umask, or the file
    that is replaced.

    Args:
        path: Where the file appears.
        durable: Whether to sync. What can be made again in a moment may do without: it then
            survives the end of the process, but perhaps not a power cut.
        overwrite: Whether to replace a file that is there, even one that has come meanwhile.

    Raises:
        FileExistsError: Without ``overwrite``, a file is there.
        OSError: The file cannot be made; the error names ``path``.
    """
    path = Path(path)
    # A name of 255 bytes is as long as one may be: not all of it is taken over.
    temporary = path.with_name(f".{path.name[:50]}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if overwrite:
            with suppress(FileNotFoundError):
                temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except BaseException as error:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # which is what the caller knows of
        raise
    if durable:
        sync_directory(path.parent)


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file, unless one of the new name is there; a link is the only call that can refuse."""
    try:
        new.hardlink_to(old)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if new.exists():
            raise FileExistsError(error.errno, "File exists", str(new)) from error
        old.replace(new)
    else:
        old.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what ``atomic_write`` and ``replace_symlink`` leave when the process is killed.

    To be called when nobody is writing files there.
    """
    for path in folder.glob(".*.*.tmp"):
        with suppress(OSError):
            path.unlink()


def replace_symlink(link: Path, target: str) -> None:
    """Point ``link`` at ``target`` in one step: at no moment is there no link."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def sync_directory(folder: Path) -> None:
    """Make renames in ``folder`` durable, on systems where a folder can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
