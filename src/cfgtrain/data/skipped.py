"""The samples that a run has skipped because they could not be loaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cfgtrain.data.samplers import Draw
from cfgtrain.data.seeded import SkippedSample
from cfgtrain.errors import SampleError
from cfgtrain.filesystem.atomic import append_whole
from cfgtrain.origin import Location

__all__ = ["SKIPPED_FILE", "SkippedSamples"]

SKIPPED_FILE = "skipped_samples.jsonl"

logger = logging.getLogger(__name__)


class SkippedSamples:
    """Logs each skipped sample once, lists it in a file, and raises if there are too many.

    Args:
        limit: How many different samples may be skipped.
        file: The file, one JSON object per line. The samples that it lists already, of the run that is resumed,
            count too. None writes no file.
        place: Place of the dataset in a config; see ``cfgtrain.origin.location``.
    """

    def __init__(self, limit: int, file: Path | None = None, place: Location | None = None) -> None:
        self.limit = limit
        self.file = file
        self.place: Location = place or {"origin": None, "key": None}
        self._known_indices: set[int] | None = (
            None  # read when they are needed: a new run removes the file first
        )
        self._epoch = 0
        self._replacements: dict[int, int] = {}  # of the epoch, position -> index

    @property
    def _known(self) -> set[int]:
        if self._known_indices is None:
            self._known_indices = self._listed()
        return self._known_indices

    def add(self, skipped: Iterable[SkippedSample]) -> None:
        """Add the samples that were skipped in a batch.

        Raises:
            SampleError: More different samples than the limit have been skipped.
        """
        for sample in skipped:
            if sample.epoch != self._epoch:
                self._epoch = sample.epoch
                self._replacements.clear()
            self._replacements[sample.position] = sample.replacement
            if sample.index not in self._known:
                self._known.add(sample.index)
                logger.warning("%s is skipped: %s", sample.description, sample.reason)
                self._list(sample)
            if len(self._known) > self.limit:
                listed = f" They are listed in {self.file}." if self.file is not None else ""
                raise SampleError(
                    f"{len(self._known)} samples cannot be loaded, but only {self.limit} may be skipped "
                    f"(max_skipped).{listed} The last one: {sample.description}: {sample.reason}",
                    **self.place,
                )

    def loaded_index(self, draw: Draw) -> int:
        """Return the index of the sample that was loaded for a draw of the epoch that is being loaded."""
        return self._replacements.get(draw.position, draw.index) if draw.epoch == self._epoch else draw.index

    def _list(self, sample: SkippedSample) -> None:
        if self.file is not None:
            facts = {"dataset": self.place["key"], "index": sample.index, "sample": sample.description}
            facts |= {"reason": sample.reason, "epoch": sample.epoch + 1}
            try:
                append_whole(self.file, f"{json.dumps(facts)}\n".encode())
            except OSError as error:  # such as a full disk, which must not end the run
                logger.error("%s cannot be written: %s", self.file, error.strerror or error)

    def _listed(self) -> set[int]:
        """Return the indices of the samples of this dataset that the file lists."""
        if self.file is None or not self.file.exists():
            return set()
        found = set()
        for text in self.file.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # a line that a killed run did not complete
                line = json.loads(text)
                if line["dataset"] == self.place["key"]:
                    found.add(line["index"])
        return found
