"""The state of a run, from which it can be resumed exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from cfgtrain.random_state import RandomState, seed_process
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.log_buffer import LogBuffer

__all__ = ["RunState", "named_hooks"]


class RunState(NamedTuple):
    """Everything that determines how a run continues, as plain data.

    Attributes:
        position: Where the run continues; its ``epochs`` are the fingerprints of the loaders.
        random: States of the random generators, one per process; of processes that have the same data, one for all.
        hooks: States of the hooks that have one, by name.
        log_buffer: Values of the training that have not been logged yet.
        validation_log: The same for a val flow of an iteration runner.
        unfinished: The stage in which a hook failed, the hooks that are still to be called, and what
            they need; None if there was no error.
        ended_by: Why a hook has ended the run before its full length; None if none has.
        others: What differs between processes, for those of the ranks from 1 on: hooks, log_buffer,
            validation_log and unfinished.
    """

    position: dict[str, Any]
    random: list[dict[str, Any]]
    hooks: dict[str, dict[str, Any]]
    log_buffer: dict[str, Any]
    validation_log: dict[str, Any]
    unfinished: dict[str, Any] | None = None
    ended_by: str | None = None
    others: list[dict[str, Any]] = []  # noqa: RUF012  # of a NamedTuple; it is not changed

    @staticmethod
    def capture(
        position: dict[str, Any], hooks: list[Hook], log_buffer: LogBuffer, validation_log: LogBuffer
    ) -> dict[str, Any]:
        """Return the state as it is saved in a checkpoint."""
        states = {name: hook.state_dict() for name, hook in named_hooks(hooks)}
        return {
            "position": position,
            "random": [RandomState.capture()],
            "hooks": {name: state for name, state in states.items() if state},
            "log_buffer": log_buffer.state_dict(),
            "validation_log": validation_log.state_dict(),
        }

    @staticmethod
    def read(saved: dict[str, Any]) -> RunState:
        """Return what ``capture`` saved."""
        return RunState(**{key: saved[key] for key in RunState._fields if key in saved})

    @staticmethod
    def combine(states: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the state of a run from those that its processes with different data have captured, by rank."""
        own = ("hooks", "log_buffer", "validation_log", "unfinished")
        return {
            **states[0],
            "random": [each for state in states for each in state["random"]],
            "others": [{key: state[key] for key in own if key in state} for state in states[1:]],
        }

    def of_rank(self, rank: int) -> dict[str, Any]:
        """Return the states of the hooks and the log buffers in a process; of a new process those of rank 0."""
        main = {"hooks": self.hooks, "log_buffer": self.log_buffer, "validation_log": self.validation_log}
        return self.others[rank - 1] if 0 < rank <= len(self.others) else main

    def unfinished_of(self, rank: int) -> dict[str, Any] | None:
        """Return the unfinished stage in a process, whose hooks need what its own step has returned."""
        own: dict[str, Any] | None = self.of_rank(rank).get("unfinished", self.unfinished)
        return own

    def restore_hooks(self, hooks: list[Hook], rank: int = 0) -> None:
        """Restore the states of the hooks."""
        states = self.of_rank(rank)["hooks"]
        for name, hook in named_hooks(hooks):
            if name in states:
                hook.load_state_dict(states[name])

    def restore_generators(self, log_buffer: LogBuffer, validation_log: LogBuffer, rank: int) -> None:
        """Restore the random generators and the log buffers, right before the next batch."""
        own = self.of_rank(rank)
        log_buffer.load_state_dict(own["log_buffer"])
        validation_log.load_state_dict(own["validation_log"])
        RandomState.restore(self.random[min(rank, len(self.random) - 1)])
        if rank >= len(self.random):  # the run had fewer processes
            seed_process(int(torch.randint(2**62, ())), rank)


def named_hooks(hooks: list[Hook]) -> Iterator[tuple[str, Hook]]:
    """Yield each hook with its class name, numbered if there are several of a class."""
    seen: Counter[str] = Counter()
    for hook in hooks:
        name = type(hook).__name__
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name}#{seen[name]}"), hook
