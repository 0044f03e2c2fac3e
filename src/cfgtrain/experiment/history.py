"""The history of a run, read from the logs in its work directory; torch is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.config.config import Config
from cfgtrain.config.literals import read_literals
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigNotFoundError
from cfgtrain.experiment.json_log import Record, Start, read_start
from cfgtrain.experiment.work_dir import find_config
from cfgtrain.filesystem.lock import is_locked
from cfgtrain.score_order import COMPARE, GREATER_KEYS, LESS_KEYS, Rule, guess_rule
from cfgtrain.suggestions import one_of

__all__ = ["NOT_SCORES", "Point", "Run", "labels_of", "read_run"]

SUFFIX = ".log.json"
NOT_SCORES = ("lr", "momentum", "time", "data_time", "memory")


class Point(NamedTuple):
    """One value of a curve.

    Attributes:
        iter: Number of complete training iterations.
        epoch: Number of complete epochs, or None if the run counts iterations.
        value: The value; it may be infinite or NaN.
    """

    iter: int
    epoch: float | None
    value: float


@dataclass(frozen=True)
class Run:
    """What the logs in a work directory say about a run.

    Attributes:
        work_dir: The work directory, as it was given.
        starts: Its starts, oldest first: the first one, and those that resumed it.
        records: What was logged, in the order of iterations, without what was trained again.
        config: The merged config, or None if there is none or it cannot be read.
        notes: What is wrong with the logs, for the user.
        config_problem: Why there is no ``config``, or ``""``.
        is_running: Whether a process is still training in the work directory.
    """

    work_dir: Path
    starts: Sequence[Start]
    records: Sequence[Record]
    config: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    config_problem: str = ""
    is_running: bool = False
    _points: dict[tuple[str, str], list[Point]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for record in self.records:
            for key, value in record.values.items():
                points = self._points.setdefault((record.mode, key), [])
                points.append(Point(record.iter, record.epoch, value))

    @property
    def meta(self) -> Mapping[str, Any]:
        """The meta of the newest start that has one."""
        return next((each.meta for each in reversed(self.starts) if each.meta), {})

    @property
    def iters(self) -> int:
        """Number of training iterations that are known to be complete."""
        ends = [start.end_iter for start in self.starts[-1:] if start.end_iter is not None]
        return max([*(record.iter for record in self.records), *ends])

    @property
    def epochs(self) -> float | None:
        """Number of complete epochs, or None if the run counts iterations."""
        last = next((each for each in reversed(self._trained) if each.epoch_length is not None), None)
        return None if last is None else last.epoch_at(self.iters)

    @property
    def iters_per_epoch(self) -> int | None:
        """Length of an epoch, or None if it is unknown, changed, or the run counts iterations."""
        lengths = {start.epoch_length for start in self._trained}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def length(self) -> tuple[int, str] | None:
        """Number and unit ("epochs" or "iterations") of what the config wants to train, if it is known."""
        cfg = self.config or {}
        runner = cfg.get("runner")
        settings = {**cfg, **runner} if isinstance(runner, Mapping) else cfg
        for name, unit in (("max_epochs", "epochs"), ("total_epochs", "epochs"), ("max_iters", "iterations"),
                           ("total_iters", "iterations")):  # fmt: skip
            if isinstance(settings.get(name), int):
                return settings[name], unit
        return None

    @property
    def seconds(self) -> float | None:
        """Duration of all starts together, or None if that of one is unknown."""
        each = [start.seconds for start in self.starts if start.records or start.end]
        return None if None in each else sum(seconds for seconds in each if seconds is not None)

    @property
    def state(self) -> str:
        """``"running"``, ``"finished"``, ``"stopped"``, ``"interrupted"``, ``"failed"`` or ``"unknown"``."""
        if self.is_running:
            return "running"
        result = self.starts[-1].end.get("result")
        if isinstance(result, str):
            return result
        done = {"epochs": self.epochs, "iterations": self.iters}
        if self.length is not None and (done[self.length[1]] or 0) + 1e-6 >= self.length[0]:
            return "finished"  # an MMCV run, whose logs do not say why it ended
        return "unknown"

    @property
    def reason(self) -> str:
        """Why the run ended, or ``""`` if its logs do not say."""
        return "" if self.is_running else str(self.starts[-1].end.get("reason", ""))

    @property
    def test_scores(self) -> dict[str, float]:
        """Scores on the test dataset of the newest start that trained or tested."""
        last = next((each for each in reversed(self.starts) if each.records or each.test), None)
        return {} if last is None else last.test

    def keys(self, mode: str) -> list[str]:
        """Return the names of what was logged in a mode, ``"train"`` or ``"val"``, as first logged."""
        return [key for each, key in self._points if each == mode]

    def scores(self) -> list[str]:
        """Return the names of what an evaluation computes, losses last."""
        found = [key for key in self.keys("val") if _is_score(key)]
        return sorted(found, key=lambda key: "loss" in key.lower())

    def points(self, mode: str, key: str) -> list[Point]:
        """Return the values of a curve; empty if it was not logged."""
        return self._points.get((mode, key), [])

    def rule(self, key: str) -> Rule | None:
        """Return whether greater or smaller values of a score are better, or None if that is unknown."""
        settings = (self.config or {}).get("evaluation")
        settings = settings if isinstance(settings, Mapping) else {}
        main = settings.get("save_best")
        is_main = main == key or (main == "auto" and self.scores()[:1] == [key])
        if is_main and settings.get("rule") in COMPARE:
            rule: Rule = settings["rule"]
            return rule
        keys = [settings.get("greater_keys", GREATER_KEYS), settings.get("less_keys", LESS_KEYS)]
        try:
            return guess_rule(key, *([each] if isinstance(each, str) else list(each) for each in keys))
        except (ArgumentError, TypeError, AttributeError):  # the config may be wrong
            return None

    def best(self, key: str) -> Point | None:
        """Return the first of the best validation scores of a name, or None if the rule is unknown."""
        rule = self.rule(key)
        best: Point | None = None
        for point in self.points("val", key) if rule else ():
            if isfinite(point.value) and (best is None or COMPARE[rule or ""](point.value, best.value)):
                best = point
        return best

    @property
    def _trained(self) -> list[Start]:
        return [start for start in self.starts if start.records]


def read_run(path: str | Path) -> Run:
    """Read the logs of a run.

    The logs are the ``*.log.json`` files that ``TextLoggerHook`` writes, of cfgtrain or of MMCV 1.x. Where two
    starts of a run logged the same iterations, the later start counts.

    Args:
        path: The work directory, or one ``.log.json`` file.

    Raises:
        ArgumentError: The path does not exist, there is no log, or nothing is logged.
    """
    path = Path(path)
    if not path.exists():
        raise ArgumentError(f"The folder {path} does not exist.", near=(path.name, _siblings(path)))
    folder = path if path.is_dir() else path.parent
    found = path.glob("*") if path.is_dir() else [path]
    files = [each for each in found if each.name.endswith(SUFFIX) and each.is_file()]
    if not files:
        raise ArgumentError(f"{path} is not the work directory of a run: {_no_log(path)}")
    starts = sorted((read_start(file) for file in files), key=lambda start: start.order)
    notes = [note for start in starts for note in start.notes]
    starts = [start for start in starts if start.is_log]
    if not starts:
        names = ", ".join(sorted(file.name for file in files))
        raise ArgumentError(
            f"{path}: not a log of cfgtrain or MMCV: no line has a mode or is a meta ({names})."
        )
    if not any(start.records for start in starts):
        end = next((each.end["reason"] for each in reversed(starts) if each.end.get("reason")), None)
        why = (
            f"The run ended before its first line: {end}" if end else "It may have just begun, or was killed."
        )
        raise ArgumentError(f"{path}: no training or validation line is logged yet. {why}")
    config, problem = _config(folder)
    is_running = path.is_dir() and is_locked(folder)
    return Run(path, starts, _joined(starts), config, notes, problem, is_running)


def labels_of(paths: Sequence[Path]) -> list[str]:
    """Return a label for each path: its last part, with as many parts before it as distinguish it.

    Raises:
        ArgumentError: Two of them are the same.
    """
    parts = [path.resolve().parts for path in paths]
    for i, each in enumerate(parts):
        if each in parts[:i]:
            same = paths[parts.index(each)]
            named = str(same) if str(same) == str(paths[i]) else f"{same} and {paths[i]}"
            raise ArgumentError(f"The same run is given twice: {named}.")
    labels = []
    for own in parts:
        others = [each for each in parts if each != own]
        count = 1
        while count < len(own) and any(each[-count:] == own[-count:] for each in others):
            count += 1
        labels.append("/".join(own[-count:]).removesuffix(SUFFIX))
    return labels


def _joined(starts: Iterable[Start]) -> list[Record]:
    """Join the records of several starts: a later start replaces what it trains again."""
    joined: list[Record] = []
    for start in starts:
        if start.records:
            joined = [each for each in joined if each.iter <= start.begins_at] + list(start.records)
    return sorted(joined, key=lambda record: record.iter)  # a damaged log may go back


def _config(folder: Path) -> tuple[Mapping[str, Any] | None, str]:
    """Return the merged config in a folder, or None and what is wrong with it."""
    try:
        file = find_config(folder)
        if file.suffix == ".py":
            with suppress(
                ValueError
            ):  # not one that was printed: it has to be executed, as by `cfgtrain diff`
                return read_literals(file.read_text(encoding="utf-8")), ""
        return Config.fromfile(file).to_dict(), ""
    except ConfigNotFoundError as error:
        return None, error.message
    except CfgTrainError as error:
        return None, f"The config in {folder} cannot be read: {error}"
    except Exception as error:  # raised by the code of a config
        return None, f"The config in {folder} cannot be read: {type(error).__name__}: {error}"


def _no_log(path: Path) -> str:
    """Return why there is no log at a path, and where there may be one."""
    if not path.is_dir():
        return "it is a file whose name does not end in .log.json."
    below = sorted({str(each.parent) for each in path.glob(f"*/*{SUFFIX}")})
    hint = f" Did you mean {one_of(below[:3])}{' ...' if below[3:] else ''}?" if below else ""
    return f"it has no *{SUFFIX} file, which TextLoggerHook writes.{hint}"


def _siblings(path: Path) -> list[str]:
    return [each.name for each in path.parent.glob("*") if each.is_dir()] if path.parent.is_dir() else []


def _is_score(key: str) -> bool:
    return key not in NOT_SCORES and not key.startswith(("lr_", "momentum_"))
