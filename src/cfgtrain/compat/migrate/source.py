"""Read a source file, edit it by positions, and write it with its encoding and line ends."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from cfgtrain.errors import CfgTrainError
from cfgtrain.filesystem.atomic import atomic_write

_LINE_END = re.compile(r"\r\n|\r|\n")


class Positioned(Protocol):
    """A node of a syntax tree that has positions."""

    lineno: int
    col_offset: int
    end_lineno: int | None
    end_col_offset: int | None


class Edit(NamedTuple):
    """The replacement of ``text[start:end]``."""

    start: int
    end: int
    text: str


class Comment(NamedTuple):
    """A comment, with its position in the text and its 1-based line."""

    start: int
    end: int
    text: str
    line: int


class Source:
    """A text file.

    Attributes:
        path: The file.
        data: Its content.
        text: Its text without a byte order mark.
        encoding: Its encoding: that of the byte order mark or of the coding comment, else UTF-8.
        newline: The line end that it uses most.

    Raises:
        SyntaxError: The encoding is unknown.
        UnicodeDecodeError: The content is not in the encoding.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        is_python = path.suffix == ".py"
        self.encoding = (
            tokenize.detect_encoding(io.BytesIO(self.data).readline)[0] if is_python else "utf-8-sig"
        )
        self.text = self.data.decode(self.encoding)
        if not is_python and not self.data.startswith(b"\xef\xbb\xbf"):
            self.encoding = "utf-8"
        ends = _LINE_END.findall(self.text)
        self.newline = max(("\n", "\r\n", "\r"), key=ends.count)
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.text))]

    def offset(self, line: int, column: int) -> int:
        """Return the position in the text of a 1-based line and a column in UTF-8 bytes, as syntax trees have them."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        text = self.text[start:end]
        return start + (column if text.isascii() else len(text.encode()[:column].decode()))

    def span(self, node: Positioned) -> tuple[int, int]:
        """Return the positions of the beginning and the end of a node."""
        start = self.offset(node.lineno, node.col_offset)
        return start, self.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def of(self, node: Positioned) -> str:
        """Return the text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_of(self, position: int) -> int:
        """Return the 1-based line of a position."""
        return bisect_right(self._starts, position)

    def line_start(self, line: int) -> int:
        """Return the position of the beginning of a 1-based line; the end of the text after the last one."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def parse(self) -> ast.Module:
        """Return the syntax tree.

        Raises:
            SyntaxError: The text is not valid Python.
        """
        try:
            return ast.parse(self.text)
        except (ValueError, RecursionError, MemoryError) as error:  # a null byte, or nested too deep
            raise SyntaxError(str(error)) from error

    def comments(self) -> list[Comment]:
        """Return the comments of a valid Python file."""
        found = []
        lines = io.StringIO(self.text, newline=None)  # as the parser reads line ends
        for token in tokenize.generate_tokens(lines.readline):
            if token.type == tokenize.COMMENT:
                start = self._starts[token.start[0] - 1] + token.start[1]
                found.append(Comment(start, start + len(token.string), token.string, token.start[0]))
        return found

    def edited(self, edits: Iterable[Edit]) -> str:
        """Return the text after edits, which must not overlap; their line ends become those of the file."""
        parts, at = [], 0
        for start, end, text in sorted(set(edits)):
            parts += [self.text[at:start], text.replace("\n", self.newline)]
            at = end
        return "".join(parts) + self.text[at:]

    def write(self, text: str) -> None:
        """Replace the content of the file atomically; a link keeps pointing to its file.

        Raises:
            MigrationError: The file has changed since it was read, is read-only, or cannot be written.
        """
        target = self.path.resolve()
        try:
            if not target.stat().st_mode & 0o222:
                raise MigrationError(f"{self.path} is read-only and was not changed.")
            data = text.encode(self.encoding)
            with atomic_write(target) as file:
                file.write(data)
                if target.read_bytes() != self.data:
                    raise MigrationError(
                        f"{self.path} has changed while it was read, and was not overwritten."
                    )
        except (OSError, UnicodeEncodeError) as error:
            raise MigrationError(f"{self.path} cannot be written: {error}.") from error


class MigrationError(CfgTrainError):
    """A file cannot be rewritten."""
