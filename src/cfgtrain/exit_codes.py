"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """How a command ended.

    Attributes:
        DONE: The command did what it was asked to do.
        FAILED: The command failed. ``cfgtrain diff`` also uses it for configs that differ, as
            ``diff`` does.
        USAGE: The command line or a config is wrong.
        STOPPED: The run was stopped early and saved a checkpoint to resume from.
        INTERRUPTED: The command was interrupted without a new checkpoint to resume from. 128 plus
            the number of SIGINT, as in a shell.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    STOPPED = 75
    INTERRUPTED = 130
