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
        logged: Place of the newest values that were sent to the tracker.
        was_closed: Whether the run was ended before it is continued; not after the process was killed.
    """

    def __init__(self, runner: RunnerView, name: str) -> None:
        self._name = name
        self._file = None if runner.work_dir is None else Path(runner.work_dir) / FILE
        saved = (runner.meta or {}).get("hook_msgs", {}).get("trackers", {}).get(name)
        runs = self._read().get(name, {})
        self.run_id: str | None = saved if saved in runs else None
        entry = runs.get(self.run_id, {})
        iters, kind = entry.get("logged", BEFORE_ALL)
        self.logged: Place = (iters, kind)
        self.was_closed: bool = entry.get("closed", True)

    def begin(self, runner: RunnerView, run_id: str) -> None:
        """Save the id of the run that the tracker has begun or continued.

        Raises:
            OSError: The file in the work directory cannot be written.
        """
        self.run_id = run_id
        if runner.meta is not None:
            messages = runner.meta.setdefault("hook_msgs", {})
            messages["trackers"] = {**messages.get("trackers", {}), self._name: run_id}
        self._write(closed=False)

    def advance(self, place: Place) -> None:
        """Save that the values up to a place were sent.

        Raises:
            OSError: The file in the work directory cannot be written.
        """
        self.logged = place
        self._write(closed=False)

    def close(self) -> None:
        """Save that the run was ended.

        Raises:
            OSError: The file in the work directory cannot be written.
        """
        self._write(closed=True)

    def _write(self, closed: bool) -> None:
        if self._file is None or self.run_id is None:
            return
        content = self._read()
        entry = {"logged": list(self.logged), "closed": closed}
        content[self._name] = {**content.get(self._name, {}), self.run_id: entry}
        with atomic_write(self._file, durable=False) as out:
            out.write(json.dumps(content).encode())

    def _read(self) -> dict[str, Any]:
        if self._file is not None:
            with suppress(OSError, ValueError):  # a new work directory, or not our file
                content = json.loads(self._file.read_bytes())
                return content if isinstance(content, dict) else {}
        return {}
