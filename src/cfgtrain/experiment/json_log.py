"""Read one JSON log of a run, as cfgtrain or MMCV 1.x writes it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

__all__ = ["Record", "Start", "read_start"]

MAX_COUNT = 10**12  # of epochs or iterations; more are damage
_HEAD = ("mode", "epoch", "iter", "lr", "global_iter")
_STAMP = re.compile(r"(?P<time>\d{8}_\d{6})(?:_(?P<number>\d+))?\.log\.json")
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_LENGTH = re.compile(r"\b(?P<unit>Epoch|Iter) \[\d+\](?:\[\d+/(?P<length>\d+)\])?")  # in the text log


class Record(NamedTuple):
    """What was logged at one moment of a run.

    Attributes:
        mode: ``"train"`` or ``"val"``.
        iter: Number of complete training iterations.
        epoch: Number of complete epochs, or None if the run counts iterations.
        values: The numbers by name; those of the training include ``lr``, or ``lr_<name>`` for several.
    """

    mode: str
    iter: int
    epoch: float | None
    values: dict[str, float]


@dataclass(frozen=True)
class Start:
    """One start of a run: the content of one log.

    Attributes:
        file: The log.
        meta: Its first line, or empty.
        records: What was logged, in order.
        begins_at: Number of training iterations that were complete before.
        epoch_length: Iterations in an epoch, or None if it is unknown or the run counts iterations.
        test: Scores on the test dataset.
        end: How the run ended: ``result``, ``reason`` and ``global_iter``; empty if the log does not say.
        seconds: Time from the start to the last line of the logs, or None.
        notes: What is wrong with the log, for the user.
        is_log: Whether any line is one of a log of cfgtrain or MMCV, or the log is empty.
    """

    file: Path
    meta: Mapping[str, Any]
    records: Sequence[Record]
    begins_at: int
    epoch_length: int | None
    test: dict[str, float]
    end: Mapping[str, Any]
    seconds: float | None
    notes: Sequence[str]
    is_log: bool

    @property
    def order(self) -> tuple[str, int, str]:
        """A key that sorts the starts of a run by time."""
        stamp = _STAMP.fullmatch(self.file.name)
        return (stamp["time"], int(stamp["number"] or 1), "") if stamp else ("", 0, self.file.name)

    @property
    def end_iter(self) -> int | None:
        """Number of complete training iterations at the end, if the log says it."""
        return _count(self.end.get("global_iter"))

    def epoch_at(self, iteration: int) -> float | None:
        """Return the number of complete epochs at an iteration that this start trained."""
        reference = next((each for each in self.records if each.epoch is not None), None)
        if reference is None or reference.epoch is None or self.epoch_length is None:
            return None
        return _rounded(reference.epoch + (iteration - reference.iter) / self.epoch_length)


class _Line(NamedTuple):
    """A line of a training or an evaluation, as it is in the file."""

    mode: str
    epoch: int
    iter: int
    global_iter: int | None
    values: dict[str, float]


def read_start(file: Path) -> Start:
    """Read a log. Lines that are not JSON, such as the last one of a run that was killed, are left out."""
    objects, notes = _objects(file)
    meta = next((each for each in objects[:1] if "mode" not in each), {})
    test: dict[str, float] = {}
    end: Mapping[str, Any] = {}
    lines: list[_Line] = []
    for each in objects:
        if each.get("mode") in ("train", "val"):
            lines += _line(each)
        elif each.get("mode") == "test":
            ignored = ("mode", "global_iter", "samples", "checkpoint", "date")
            test = {key: each[key] for key in each if key not in ignored and _is_number(each[key])}
        elif each.get("mode") == "end":
            end = each
    text = file.with_name(file.name.removesuffix(".json"))
    unit, length, last_date = _text_log(text) if text.is_file() else ("", None, None)
    length = length or (None if unit == "Iter" else _epoch_length(lines))
    by_epoch = unit != "Iter" and (length is not None or _restarts(lines))
    if by_epoch and length is None:
        length = max((line.iter for line in lines if line.mode == "train"), default=None)
        if length is not None and any(line.global_iter is None for line in lines):
            notes.append(
                f"{file}: the length of an epoch is not in the logs; it is taken to be {length} iterations, the "
                "last that is logged within an epoch."
            )
    records = list(_records(lines, length))
    begins_at = _count(meta.get("iter"))  # of the checkpoint that the run is resumed from
    if begins_at is None:
        first = min((record.iter for record in records), default=1)
        begins_at = 0 if "cfgtrain_version" in meta else first - 1
    known = bool(meta) and not {"seed", "exp_name", "env_info", "cfgtrain_version"}.isdisjoint(meta)
    is_log = known or bool(lines or test or end) or (not objects and file.stat().st_size == 0)
    seconds = _seconds(file, [end.get("date"), last_date])
    return Start(file, meta, records, begins_at, length, test, end, seconds, notes, is_log)


def _objects(file: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the JSON objects in a file, and notes on lines that are none."""
    objects: list[dict[str, Any]] = []
    bad: list[int] = []
    number, is_last = 0, False
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                value = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError):
                value = None
            is_last = isinstance(value, dict)
            if isinstance(value, dict):
                objects += [value] if value else []
            else:
                bad.append(number)
    if not bad:
        return objects, []
    if bad == [number] and not is_last:
        return objects, [f"{file}: the last line is cut off, and left out."]
    listed = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
    return objects, [f"{file}: {len(bad)} lines are not JSON objects, and left out: {listed}."]


def _line(content: dict[str, Any]) -> Iterator[_Line]:
    """Yield the line of a training or an evaluation, if its place in the run is valid."""
    epoch, iteration, done = (_count(content.get(key)) for key in ("epoch", "iter", "global_iter"))
    if iteration is None or epoch is None:
        return
    mode, lr = content["mode"], content.get("lr") if content["mode"] == "train" else None
    values = {f"lr_{name}": each for name, each in lr.items()} if isinstance(lr, dict) else {"lr": lr}
    values |= {key: value for key, value in content.items() if key not in _HEAD}
    numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
    yield _Line(mode, epoch, iteration, done, numbers)


def _count(value: object) -> int | None:
    """Return a number of epochs or iterations, or None if it is none."""
    return value if _is_number(value) and isinstance(value, int) and 0 <= value < MAX_COUNT else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < sys.float_info.max
    )


def _text_log(file: Path) -> tuple[str, int | None, str | None]:
    """Return from a text log what it counts, "Epoch" or "Iter", the length of an epoch, and its last date."""
    unit, length, date = "", None, None
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := _DATE.match(line):
                date = found[0]
            if not unit and (place := _LENGTH.search(line)):
                unit = place["unit"]
                length = int(place["length"]) if place["length"] and unit == "Epoch" else None
    return unit, length, date


def _epoch_length(lines: Sequence[_Line]) -> int | None:
    """Return the length of an epoch as it follows from ``global_iter``, or None."""
    starts = {}  # iterations before an epoch
    for line in lines:
        if line.mode == "train" and line.global_iter is not None:
            starts[line.epoch] = line.global_iter - line.iter
    if not starts:
        return None
    (first, before), (last, after) = min(starts.items()), max(starts.items())
    if first == last:
        first, before = 1, 0
    length = (after - before) / (last - first) if last > first else 0
    return int(length) if length > 0 and length == int(length) else None


def _restarts(lines: Sequence[_Line]) -> bool:
    """Return whether the iterations of the training begin again in a later epoch."""
    trained = [line for line in lines if line.mode == "train"]
    return any(b.epoch > a.epoch and b.iter <= a.iter for a, b in pairwise(trained))


def _records(lines: Sequence[_Line], length: int | None) -> Iterator[Record]:
    """Yield the lines with their places in the run.

    MMCV's lines have no ``global_iter``. Where it counts iterations, an evaluation is placed at the last
    line of the training before it.
    """
    offset, last = None, 0
    for line in lines:
        is_training = line.mode == "train"
        done = line.global_iter
        if done is None and length is not None:
            done = (line.epoch - 1) * length + line.iter if is_training else line.epoch * length
        elif done is None:
            done = line.iter if is_training else last
        if is_training:
            last = done
            if offset is None and length is not None:
                offset = done - (
                    (line.epoch - 1) * length + line.iter
                )  # not 0 if the length was another before
        epoch = None if length is None else _rounded((done - (offset or 0)) / length)
        yield Record(line.mode, max(done, 0), epoch, line.values)


def _rounded(epoch: float) -> float:
    return max(round(epoch, 6), 0.0)  # a damaged log may have an epoch 0


def _seconds(file: Path, dates: Sequence[object]) -> float | None:
    """Return the time from the name of a log to the first of some dates that is known."""
    stamp = _STAMP.fullmatch(file.name)
    date = next((each for each in dates if isinstance(each, str)), None)
    if stamp is None or date is None:
        return None
    try:
        begin = datetime.strptime(stamp["time"], "%Y%m%d_%H%M%S")
        return max((datetime.strptime(date, "%Y-%m-%d %H:%M:%S") - begin).total_seconds(), 0.0)
    except ValueError:
        return None
