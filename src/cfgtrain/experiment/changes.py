"""What a config sets differently from the config that the resumed checkpoint was saved with."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgtrain.config.config import Config
from cfgtrain.config.diff import Change, diff
from cfgtrain.config.literals import read_literals
from cfgtrain.keys import KEYS
from cfgtrain.origin import dotted

__all__ = ["Changes", "settings_of"]

# These say where a run reads and writes, not what it does.
_OUTSIDE = ("work_dir", "load_from", "resume_from", "log_level", "custom_imports")
_INITIAL = ("init_cfg", "pretrained")


class Changes:
    """The differences between the config of a checkpoint and that of the run that resumes from it.

    Variables of the config that are not settings are left out.

    Args:
        saved: The text of the checkpoint's config, or None.
        now: The text of the config of the run; see ``saved_text``.

    Attributes:
        old: The checkpoint's config, or None if it cannot be read.
    """

    def __init__(self, saved: str | None, now: str) -> None:
        self.old: dict[str, Any] | None = None
        self._changes: list[Change] = []
        if isinstance(saved, str):
            try:
                self.old = settings_of(read_literals(saved))
                new = settings_of(read_literals(now))
                changes = diff(Config(self.old), Config(new))
                self._changes = [change for change in changes if not _is_same_path(change)]
            except ValueError:  # a config that another program has written
                self.old = None

    def touch(self, *keys: str) -> bool:
        """Return whether something under one of these top-level keys has changed."""
        return any(change.side.path[0] in keys for change in self._changes)

    def touch_within(self, key: str, *names: str) -> bool:
        """Return whether a setting with one of these names, or all of the key, has changed."""
        paths = [change.side.path for change in self._changes if change.side.path[0] == key]
        return any(path[-1] in names or len(path) == 1 for path in paths)

    def log(self, logger: logging.Logger) -> None:
        """Log a line for each change: what the value was, what it is, and whether it is applied."""
        if self.old is None:
            logger.warning(
                "The config that the checkpoint was saved with cannot be read, so changed settings are not found: "
                "those of the optimizer are the checkpoint's."
            )
        for change in self._changes:
            name = dotted(change.side.path)
            before = "not set" if change.old is None else reprlib.repr(change.old.value)
            after = "not set" if change.new is None else reprlib.repr(change.new.value)
            effect = _effect(change.side.path)
            level = logging.INFO if effect.partition(";")[0] == "applied" else logging.WARNING
            logger.log(level, "%s: %s in the checkpoint's config, %s now: %s.", name, before, after, effect)


def settings_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a config that say what a run does, without its other variables."""
    return {key: value for key, value in tree.items() if key in KEYS and key not in _OUTSIDE}


def _is_same_path(change: Change) -> bool:
    """Return whether a relative path, which earlier versions have saved, has become the absolute path of the same file."""
    if change.old is None or change.new is None or change.side.path[0] != "data":
        return False
    old, new = change.old.value, change.new.value
    return isinstance(old, str) and isinstance(new, str) and old != new and str(Path(old).absolute()) == new


def _effect(path: tuple[Any, ...]) -> str:
    if path[0] == "model" and any(part in _INITIAL for part in path):
        return "not applied, because the weights are those of the checkpoint"
    if path[0] == "seed":
        return "applied to the data loaders only, because the random states are those of the checkpoint"
    if path[0] == "evaluation" and path[-1] in ("save_best", "rule"):
        return "applied; the best checkpoint is chosen anew"
    return "applied"
