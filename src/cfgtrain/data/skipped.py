"""The samples that a run has skipped because they could not be loaded."""

from __future__ import annotations

import json
import logging
import time
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

LOOK_SECONDS = 5.0  # between two looks for samples that other processes have skipped

logger = logging.getLogger(__name__)


class SkippedSamples:
    """Logs each skipped sample once, lists it in a file, and raises if there are too many.

    The processes of a run share the file, so that the limit holds for all of them; the main one logs the samples.

    Args:
        limit: How many different samples may be skipped.
        file: The file, one JSON object per line. The samples that it lists already, of the run that is resumed,
            count too. None writes no file; then each process counts alone.
        place: Place of the dataset in a config; see ``cfgtrain.origin.location``.
        rank: Rank of this process.
        world_size: Number of processes that skip samples of the dataset.
    """

    def __init__(
        self,
        limit: int,
        file: Path | None = None,
        place: Location | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.limit = limit
        self.file = file
        self.place: Location = place or {"origin": None, "key": None}
        self.rank, self.world_size = rank, world_size
        self._known: set[int] = set()
        self._is_read = False  # it is read when it is needed: a new run removes the file first
        self._size = 0  # of the file, as far as it has been read, in bytes
        self._looked = time.monotonic()
        self._epoch = 0
        self._replacements: dict[int, int] = {}  # of the epoch, position -> index

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
            self.read_list()
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

    def look(self, is_end: bool = False) -> None:
        """Log the samples that other processes have skipped, in the main process; to be called after each batch.

        Args:
            is_end: Whether this was the last batch of an epoch.
        """
        if self.rank == 0 and self.world_size > 1:
            now = time.monotonic()
            if is_end or now - self._looked > LOOK_SECONDS:
                self._looked = now
                self.read_list()

    def loaded_index(self, draw: Draw) -> int:
        """Return the index of the sample that was loaded for a draw of the epoch that is being loaded."""
        return self._replacements.get(draw.position, draw.index) if draw.epoch == self._epoch else draw.index

    def _list(self, sample: SkippedSample) -> None:
        if self.file is not None:
            facts = {"dataset": self.place["key"], "index": sample.index, "sample": sample.description}
            facts |= {"reason": sample.reason, "epoch": sample.epoch + 1}
            facts |= {"rank": self.rank} if self.world_size > 1 else {}
            try:
                append_whole(self.file, f"{json.dumps(facts)}\n".encode())
            except OSError as error:  # such as a full disk, which must not end the run
                logger.error("%s cannot be written: %s", self.file, error.strerror or error)

    def read_list(self) -> None:
        """Read what the file lists of this dataset and is not known yet: of a resumed run, and of other processes.

        With several processes, the main one calls this before any of them loads a batch, so that it can tell these apart.
        """
        if self.file is None or (self._is_read and self.world_size == 1):
            return
        was_read, self._is_read = self._is_read, True
        try:
            if self.file.stat().st_size == self._size:
                return
            with self.file.open("rb") as opened:
                opened.seek(self._size)
                added = opened.read()
        except FileNotFoundError:
            return
        complete = added[: added.rfind(b"\n") + 1]
        self._size += len(complete)
        for text in complete.splitlines():
            with suppress(ValueError):  # a line that a killed run did not complete
                line = json.loads(text)
                if line["dataset"] == self.place["key"] and line["index"] not in self._known:
                    self._known.add(line["index"])
                    if was_read and self.rank == 0:
                        logger.warning("%s is skipped: %s", line["sample"], line["reason"])
