"""Find out that the processes of a run have stopped making progress, and report where each of them is."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from traceback import FrameSummary
from typing import Any

from cfgtrain.introspection.user_code import frame_lines, only_user_frames
from cfgtrain.parallel.stacks import ProcessStacks, Stack, read_stacks

__all__ = ["HangWatch"]

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0  # for each process to send its stacks
REPORT_SECONDS = 20.0  # for one of them to report
LONGEST_STEP = 1.0  # between two looks; a longer one was a stop of this process, such as by SIGSTOP
RANKS_SHOWN = 8  # on the terminal

_HANG, _REPORTED = "hang", "hang_reported"


class HangWatch:
    """Watches whether a process makes progress, and reports the stacks of all processes if one of them does not.

    Must be created in every process of the group, and closed.

    Args:
        store: The store of the process group.
        rank: Rank of this process.
        world_size: Number of processes.
        limit: How many seconds without progress are a hang.
    """

    def __init__(self, store: Any, rank: int, world_size: int, limit: float) -> None:
        self.limit = limit
        self._store = store
        self._rank, self._world_size = rank, world_size
        self._stacks = ProcessStacks()
        self._folder: Path | None = None  # of the report; None while nothing is watched
        self._passed = 0
        self._idle = 0.0  # seconds
        self._looked = time.monotonic()
        self._began: float | None = None  # the report
        self.is_triggered = False
        place = {"host": socket.gethostname(), "pid": os.getpid(), "folder": str(self._stacks.folder)}
        store.set(f"process/{rank}", json.dumps(place))

    def start(self, folder: Path | None) -> None:
        """Watch from now on.

        Args:
            folder: The folder to which the stacks are written.
        """
        self._folder, self._idle = folder, 0.0

    def stop(self) -> None:
        """Stop watching."""
        self._folder = None

    def trigger(self) -> None:
        """Start the report, because a collective has timed out."""
        self.is_triggered = True

    def close(self) -> None:
        """Remove the files."""
        self._stacks.close()

    def kill_workers(self) -> None:
        """Kill the loader workers of this process."""
        self._stacks.kill_workers()

    def look(self, passed: int) -> bool:
        """Look whether the run hangs; a thread calls this again and again.

        Args:
            passed: A number that increases as long as this process makes progress.

        Returns:
            Whether it hangs, and that has been reported: the process must end.

        Raises:
            RuntimeError: The store is lost.
        """
        now = time.monotonic()
        self._idle += min(now - self._looked, LONGEST_STEP)
        self._looked = now
        if passed != self._passed:
            self._passed, self._idle = passed, 0.0
        if self._began is None:
            is_hanging = self.is_triggered or (self._folder is not None and self._idle > self.limit)
            if is_hanging:
                self._store.compare_set(_HANG, "", str(self._rank))
            if is_hanging or self._store.check([_HANG]):
                self._began = now
                stacks = [each._asdict() for each in self._stacks.current()]
                self._store.set(f"stacks/{self._rank}", json.dumps({"passed": passed, "stacks": stacks}))
            return False
        if self._store.check([_REPORTED]):
            return True
        answers = self._answers()
        if len(answers) < self._world_size and now - self._began < ANSWER_SECONDS:
            return False
        if self._rank != min(answers):
            return now - self._began > REPORT_SECONDS
        self._report(answers)
        self._store.set(_REPORTED, "1")
        time.sleep(1.0)  # the others read it from the store, which may be in this process
        return True

    def place_of(self, rank: int) -> str:
        """Return which process a rank is, for a message."""
        key = f"process/{rank}"
        return _name(rank, json.loads(self._store.get(key))) if self._store.check([key]) else f"rank {rank}"

    def _answers(self) -> dict[int, Any]:
        """Return what the processes have sent, by rank."""
        keys = {rank: f"stacks/{rank}" for rank in range(self._world_size)}
        return {
            rank: json.loads(self._store.get(key)) for rank, key in keys.items() if self._store.check([key])
        }

    def _report(self, answers: Mapping[int, Any]) -> None:
        processes = [json.loads(self._store.get(f"process/{rank}")) for rank in range(self._world_size)]
        found = []
        for rank, place in enumerate(processes):
            answer = answers.get(rank)
            if answer is not None:
                stacks = [Stack(**each) for each in answer["stacks"]]
            elif place["host"] == socket.gethostname():  # it runs code without Python, or is stopped
                stacks = read_stacks(Path(place["folder"]))
            else:
                stacks = []
            found.append(_Found(rank, place, None if answer is None else answer["passed"], stacks))
        text = report_text(found, self.limit)
        if self._folder is not None:
            file = self._folder / f"stacks_{time.strftime('%Y%m%d_%H%M%S')}.txt"
            with suppress(OSError):
                file.write_text(_full_text(found), encoding="utf-8")
                text += f"\n  All stacks of all processes are in {file}."
            text += "\n  To go on from the newest checkpoint of the run, add --resume auto."
        event = {"mode": "end", "result": "failed", "reason": text.partition("\n")[0]}
        logger.error("%s", text, extra={"event": event})
        for rank, place in enumerate(processes):
            if rank not in answers and place["host"] == socket.gethostname():
                with suppress(OSError):  # it cannot end by itself
                    os.kill(place["pid"], signal.SIGKILL)


class _Found:
    """A process of a run that hangs.

    Attributes:
        name: Its rank, and which process it is.
        passed: How much progress it has made; None if it does not answer.
        stacks: Its own, if it is known, and those of its workers.
    """

    def __init__(self, rank: int, place: Mapping[str, Any], passed: int | None, stacks: list[Stack]) -> None:
        self.rank, self.passed, self.stacks = rank, passed, stacks
        self.name = _name(rank, place)

    @property
    def frames(self) -> list[FrameSummary]:
        """The frames of its main thread."""
        return next((each.main_frames() for each in self.stacks if not each.name), [])

    @property
    def waits(self) -> bool:
        """Whether it waits for another process."""
        return self.passed is not None and is_waiting(self.frames)


def _name(rank: int, place: Mapping[str, Any]) -> str:
    return f"rank {rank} (process {place['pid']} on {place['host']})"


def is_waiting(frames: list[FrameSummary]) -> bool:
    """Return whether a thread with these frames waits for other processes."""
    if not frames:
        return False
    innermost = frames[-1]
    file = innermost.filename.replace(os.sep, "/")
    return (
        "/torch/distributed/" in file
        or file.endswith("/cfgtrain/parallel/coordinator.py")
        or innermost.name == "_engine_run_backward"  # of torch; it waits for the gradients of the others
    )


def report_text(found: list[_Found], limit: float) -> str:
    """Return the report of a hang: which processes hang, and where in the user's code each is."""
    hanging = [each for each in found if not each.waits] or found
    answered = [each.passed for each in hanging if each.passed is not None]
    behind = [each for each in hanging if each.passed is None or each.passed == min(answered)]
    names = " and ".join(f"rank {each.rank}" for each in behind[:RANKS_SHOWN])
    if len(found) > 1 and all(each.waits for each in found):
        who = "All processes wait for another one, in different collectives or for one that was not entered"
    elif len(behind) == len(found):
        who = "All processes hang"
    else:
        who = f"{names[0].upper()}{names[1:]} {'hangs' if len(behind) == 1 else 'hang'}, and the others wait"
    lines = [f"The run has ended because it made no progress for {limit:g} s (dist_params.timeout). {who}."]
    for each in (*behind, *(each for each in found if each not in behind))[:RANKS_SHOWN]:
        lines += _rank_lines(each)
    if len(found) > RANKS_SHOWN:
        lines.append(f"  ... and {len(found) - RANKS_SHOWN} more")
    return "\n".join(lines)


def _rank_lines(found: _Found) -> list[str]:
    name = f"  {found.name[0].upper()}{found.name[1:]}"
    if found.passed is None and not found.frames:
        return [f"{name} does not answer."]
    state = " waits for another process" if found.waits else ""
    lines = [f"{name}{state}:", *(f"    {line}" for line in _places(found.frames))]
    for stack in found.stacks:
        if stack.name and only_user_frames(stack.main_frames()):
            lines += [f"    Its {stack.name}:", *(f"      {line}" for line in _places(stack.main_frames()))]
    return lines


def _places(frames: list[FrameSummary]) -> list[str]:
    """Return the lines of the user's frames, or else of the innermost one."""
    return frame_lines(only_user_frames(frames) or frames[-1:])


def _full_text(found: list[_Found]) -> str:
    parts = []
    for each in found:
        if not each.stacks:
            parts.append(f"{each.name}: does not answer\n")
        parts += [f"{each.name}{', ' * bool(s.name)}{s.name}:\n{s.text}" for s in each.stacks]
    return "\n".join(parts)
