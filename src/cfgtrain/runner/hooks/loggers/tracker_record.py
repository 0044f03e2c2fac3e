"""Which run of a tracker a training continues when it is resumed, and which values are there already."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.runner.protocol import RunnerView

__all__ = ["Place", "TrackerRecord"]

FILE = "trackers.json"

# Complete training iterations, and 0 for values of the training, 1 for others: these follow them.
Place = tuple[int, int]
BEFORE_ALL: Place = (-1, 0)


class TrackerRecord:
    """The run of a tracker that a training writes to.

    Its id is saved in the checkpoints of the training. How far its values reach is in ``trackers.json`` in the
    work directory, which is newer than any checkpoint after the training was killed. A checkpoint from
    another work directory therefore begins a new run of the tracker.

    Args:
        runner: The runner; its ``meta`` and ``work_dir`` are used.
        name: Name of the hook in both places.

    Attributes:
        run_id: Id of the run to continue, None to begin a new one.
        logged: Place of the newest values that the tracker has.
    """

    def __init__(self, runner: RunnerView, name: str) -> None:
        self._name = name
        self._file = None if runner.work_dir is None else Path(runner.work_dir) / FILE
        saved = (runner.meta or {}).get("hook_msgs", {}).get("trackers", {}).get(name)
        places = self._read().get(name, {})
        self.run_id: str | None = saved if saved in places else None
        self.logged: Place = BEFORE_ALL if self.run_id is None else (places[saved][0], places[saved][1])

    def begin(self, runner: RunnerView, run_id: str) -> None:
        """Save the id of the run that the tracker has begun or continued.

        Raises:
            OSError: The file in the work directory cannot be written.
        """
        self.run_id = run_id
        if runner.meta is not None:
            messages = runner.meta.setdefault("hook_msgs", {})
            messages["trackers"] = {**messages.get("trackers", {}), self._name: run_id}
        self.advance(self.logged)

    def advance(self, place: Place) -> None:
        """Save that the tracker has the values up to a place.

        Raises:
            OSError: The file in the work directory cannot be written.
        """
        self.logged = place
        if self._file is None or self.run_id is None:
            return
        content = self._read()
        content[self._name] = {**content.get(self._name, {}), self.run_id: list(place)}
        with atomic_write(self._file, durable=False) as out:
            out.write(json.dumps(content).encode())

    def _read(self) -> dict[str, Any]:
        if self._file is not None:
            with suppress(OSError, ValueError):  # a new work directory, or not our file
                content = json.loads(self._file.read_bytes())
                return content if isinstance(content, dict) else {}
        return {}
