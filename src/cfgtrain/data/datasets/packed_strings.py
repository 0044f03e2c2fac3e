"""A list of texts in two arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["PackedStrings"]


class PackedStrings:
    """An immutable list of texts, such as paths, that is stored in two arrays.

    Worker processes share the memory of their parent until they write to it, and reading a Python object writes its
    reference count. So each worker would in time get its own copy of a list of str, but not of an array.

    Args:
        texts: The texts. They may contain what ``os.fsdecode`` returns for file names that are not valid text.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        self._content = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]  # a negative index counts from the end
        begin = self._ends[index - 1] if index else 0
        return self._content[begin : self._ends[index]].tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    @property
    def arrays(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The bytes of all texts, uint8, and where each one ends, int64."""
        return self._content, self._ends
