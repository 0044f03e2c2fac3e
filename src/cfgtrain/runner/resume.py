"""The exact state of a run: where it stands and everything that decides how it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from cfgtrain.random_state import RandomState
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.log_buffer import LogBuffer

__all__ = ["Position", "RunState"]


@dataclass(slots=True)
class Position:
    """Where a run that is saved now goes on. All counts are 0-based.

    The runner keeps it one step ahead of its counters, which advance after the hooks.

    Attributes:
        epoch: The epoch.
        iter: The iteration of the run.
        inner_iter: The iteration of the epoch or flow; at its length only the end is left.
        flow: Which flow of the workflow.
        flow_done: How often that flow has run in this round of the workflow.
        loaders: (epoch, batch) of each loader of an iteration runner.
        epochs: What an epoch of each loader is made of.
    """

    epoch: int = 0
    iter: int = 0
    inner_iter: int = 0
    flow: int = 0
    flow_done: int = 0
    loaders: list[tuple[int, int]] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)


class RunState(NamedTuple):
    """A position and all that hangs on it, as plain types.

    Attributes:
        position: Where the run goes on.
        random: States of the random generators, one per process.
        hooks: States of the hooks that have one, by name.
        log_buffer: What waits to be logged of the training,
        validation_log: and of a val flow of an iteration runner.
    """

    position: Position
    random: list[dict[str, Any]]
    hooks: dict[str, dict[str, Any]]
    log_buffer: dict[str, Any]
    validation_log: dict[str, Any]

    @staticmethod
    def capture(
        position: Position, hooks: list[Hook], log_buffer: LogBuffer, validation_log: LogBuffer
    ) -> dict[str, Any]:
        """Return the state as a checkpoint holds it."""
        states = {name: hook.state_dict() for name, hook in _named(hooks)}
        return {
            "position": asdict(position),
            "random": [RandomState.capture()],
            "hooks": {name: state for name, state in states.items() if state},
            "log_buffer": log_buffer.state_dict(),
            "validation_log": validation_log.state_dict(),
        }

    @staticmethod
    def read(saved: dict[str, Any]) -> RunState:
        """Return what ``capture`` saved."""
        rest = (saved[key] for key in ("random", "hooks", "log_buffer", "validation_log"))
        return RunState(Position(**saved["position"]), *rest)

    def restore_hooks(self, hooks: list[Hook]) -> None:
        """Give the hooks their states back."""
        for name, hook in _named(hooks):
            if name in self.hooks:
                hook.load_state_dict(self.hooks[name])

    def restore_generators(self, log_buffer: LogBuffer, validation_log: LogBuffer, rank: int) -> None:
        """Put the random generators and the log buffers back, right before the next batch."""
        log_buffer.load_state_dict(self.log_buffer)
        validation_log.load_state_dict(self.validation_log)
        RandomState.restore(self.random[min(rank, len(self.random) - 1)])


def _named(hooks: list[Hook]) -> Iterator[tuple[str, Hook]]:
    """Yield each hook with its class name, numbered where there are several of a class."""
    seen: Counter[str] = Counter()
    for hook in hooks:
        name = type(hook).__name__
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name}#{seen[name]}"), hook
