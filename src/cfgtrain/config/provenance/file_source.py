"""A config file as a source of values: what it set, on which line, computed from what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

from cfgtrain.config.key_paths import UNKNOWN, KeyPath, has_path, split_key
from cfgtrain.origin import Origin


class Dependency(NamedTuple):
    """What a value was computed from: a variable of the file or the environment, a value of its bases.

    Attributes:
        path: Its key path in the file, or in its merged bases; ``("$NAME",)`` for the environment.
        inherited: Whether it is a value of the bases.
        origin: The line that set it, where that is a line of the file.
        value: Its value then; UNKNOWN if it cannot be determined from the file alone.
        uses: What it was itself computed from.
    """

    path: KeyPath
    inherited: bool
    origin: Origin | None = None
    value: object = UNKNOWN
    uses: tuple[Dependency, ...] = ()


@dataclass(eq=False)
class FileSource(ABC):
    """One config file: its text and the values it defined, before any merge.

    Args:
        file: Path as it is shown to people.
        text: The unchanged text of the file.
        tree: What the file evaluated to. The tree is only read.
        parseable: The text with ``{{ }}`` filled in or hidden behind tokens, line for line.
        references: What each token replaces: a key path in the bases, or the ``$NAME`` of an
            environment variable.

    Attributes:
        bases: The files that this one names as its bases, in order.
    """

    file: str
    text: str
    tree: dict[Any, Any]
    parseable: str
    references: Mapping[str, str] = field(default_factory=dict)
    bases: tuple[FileSource, ...] = field(default=(), init=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return the content of the file; what was computed from it is computed again on request."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def defines(self, path: KeyPath) -> bool:
        """Return whether the file set a value at ``path``."""
        return has_path(self.tree, path)

    def origin(self, path: KeyPath) -> Origin:
        """Return the place of the value at ``path``."""
        return self._place(self.line(path))

    def _place(self, line: int | None) -> Origin:
        if line is None:
            return Origin(self.file, None, "")
        line = min(line, len(self._lines))
        return Origin(self.file, line, self._lines[line - 1].strip())

    @abstractmethod
    def line(self, path: KeyPath) -> int | None:
        """Return the 1-based line, or None when only the file is known."""

    @abstractmethod
    def uses(self, path: KeyPath) -> list[Dependency]:
        """Return the variables and inherited values that went into the value at ``path``."""

    def _referenced(self, token: str, rest: KeyPath) -> Dependency:
        """Return the dependency on what a token replaces."""
        name = self.references[token]
        if name.startswith("$"):
            return Dependency((name,), False)
        keys = [int(key) if key.lstrip("-").isdecimal() else key for key in split_key(name)]
        return Dependency((*keys, *rest), True)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines() or [""]
