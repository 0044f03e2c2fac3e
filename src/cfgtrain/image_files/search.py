"""Find image files: by path, in folders, and by pattern."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from cfgtrain.errors import ArgumentError
from cfgtrain.image.io import IMAGE_SUFFIXES
from cfgtrain.suggestions import close_names

__all__ = ["FileSearch", "FoundFile"]


@dataclass(frozen=True)
class FoundFile:
    """A file that was found.

    Attributes:
        path: Its path.
        relative: Its path below the folder, or below the fixed part of the pattern: ``photos`` in
            ``photos/**/*.jpg``. Of a file that was given itself, its name.
    """

    path: Path
    relative: Path


class FileSearch:
    """A search for image files, without opening any.

    Args:
        exclude: A folder in which files are not found, such as the one that results are written to.
        suffixes: The suffixes, in lower case, of the files that are found in folders and by patterns; None: any.

    Attributes:
        num_ignored: Number of files in folders and matches of patterns that have another suffix.
    """

    def __init__(
        self, exclude: Path | None = None, suffixes: tuple[str, ...] | None = IMAGE_SUFFIXES
    ) -> None:
        self.num_ignored = 0
        self._exclude = None if exclude is None else exclude.absolute()
        self._suffixes = suffixes

    def find(self, word: str) -> Iterator[FoundFile]:
        """Yield the files of one input, in the order of their names.

        Args:
            word: A file, whatever its suffix; a folder, which is searched with its subfolders, except hidden ones;
                or a pattern such as ``photos/**/*.jpg``.

        Raises:
            ArgumentError: There is no such file or folder, the folder contains no such files or cannot be read, or no
                file matches the pattern.
        """
        path = Path(word)
        if path.is_dir():
            files = self._below(path)
            if not files:
                kind = "files" if self._suffixes is None else "images (files with a suffix such as .jpg)"
                raise ArgumentError(f"The folder {word!r} contains no {kind}.")
            yield from (FoundFile(file, file.relative_to(path)) for file in files)
        elif path.is_file():
            yield FoundFile(path, Path(path.name))
        elif has_magic(word):
            yield from self._matching(word)
        elif path.exists():
            raise ArgumentError(f"The input {word!r} is neither a file nor a folder.")
        else:
            raise ArgumentError(f"There is no file or folder {word!r}.{_similar(path)}")

    def _below(self, top: Path) -> list[Path]:
        """Return the files in a folder and its subfolders, except hidden ones and those in the excluded folder."""
        found = []
        for folder, folders, files in os.walk(top, onerror=_raise_unreadable):
            at = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and (at / name).absolute() != self._exclude
            )
            visible = sorted(name for name in files if not name.startswith("."))
            named = [at / name for name in visible if self._has_suffix(Path(name))]
            usable = [path for path in named if path.is_file()]  # neither pipes nor broken links
            self.num_ignored += len(visible) - len(usable)
            found += usable
        return found

    def _has_suffix(self, path: Path) -> bool:
        return self._suffixes is None or path.suffix.lower() in self._suffixes

    def _matching(self, pattern: str) -> Iterator[FoundFile]:
        matches = sorted(Path(match) for match in glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob does not support absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise ArgumentError(f"No file matches the pattern {pattern!r}.")
        parts = Path(pattern).parts
        fixed = Path(*parts[: next(i for i, part in enumerate(parts) if has_magic(part))])
        inside = self._exclude
        excludes = inside is not None and inside.is_relative_to(fixed.absolute())
        for file in files:
            if not self._has_suffix(file):
                self.num_ignored += 1
            elif inside is None or not (excludes and file.absolute().is_relative_to(inside)):
                yield FoundFile(file, file.relative_to(fixed))


def _similar(path: Path) -> str:
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    close = close_names(path.name, names, 1)
    return f" Did you mean {str(path.parent / close[0])!r}?" if close else ""


def _raise_unreadable(error: OSError) -> None:
    raise ArgumentError(f"The folder {error.filename!r} cannot be read: {error.strerror}.") from error
