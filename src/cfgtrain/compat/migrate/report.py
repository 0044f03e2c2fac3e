"""What a migration finds in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["FileReport", "Finding", "Kind"]

# A "todo" has no counterpart and must be changed by hand; a "note" is for information, such as what was changed with a
# difference; an "optional" setting works, and could be written in a newer way.
Kind = Literal["todo", "note", "optional"]


@dataclass(frozen=True, order=True)
class Finding:
    """One place in a file.

    Attributes:
        line: 1-based line, or 0 for the whole file.
        message: What is there.
        hint: What to do, or ``""``.
        kind: See ``Kind``.
    """

    line: int
    message: str
    hint: str = ""
    kind: Kind = "todo"


@dataclass(eq=False)
class FileReport:
    """The result for one file.

    Attributes:
        path: The file.
        old: Its text; line ends are kept.
        new: The text after the migration; equal to ``old`` if nothing is to be rewritten.
        style: What the file is: ``"mmengine config"``, ``"config"``, ``"code"`` or ``"data"``.
        findings: What was found, by line.
        uses_old_names: Whether the file refers to MMCV or is a config in the style of MMEngine.
        missing: The names of MMCV that it uses and cfgtrain does not have.
        runs: Whether the old file runs as it is; None if that cannot be said.
        verdict: The same in words, with the reason; ``""`` for a file that is neither a config nor code.
        bases: The reports of the configs that the new text inherits from.
        written: Whether the new text has been written.
    """

    path: Path
    old: str = ""
    new: str = ""
    style: str = "code"
    findings: list[Finding] = field(default_factory=list)
    uses_old_names: bool = False
    missing: list[str] = field(default_factory=list)
    runs: bool | None = None
    verdict: str = ""
    bases: list[FileReport] = field(default_factory=list, repr=False)
    written: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether something is rewritten."""
        return self.old != self.new

    @property
    def todos(self) -> list[Finding]:
        """What must be changed by hand."""
        return [each for each in self.findings if each.kind == "todo"]

    @property
    def notes(self) -> list[Finding]:
        """What is for information."""
        return [each for each in self.findings if each.kind == "note"]

    @property
    def options(self) -> list[Finding]:
        """What could be written in a newer way."""
        return [each for each in self.findings if each.kind == "optional"]

    def decide(self, runs: bool | None, verdict: str) -> None:
        """Set whether the old file runs as it is, and the words for it."""
        self.runs, self.verdict = runs, verdict

    def add(self, line: int, message: str, hint: str = "", kind: Kind = "todo") -> None:
        """Add a finding."""
        self.findings.append(Finding(line, message, hint, kind))
