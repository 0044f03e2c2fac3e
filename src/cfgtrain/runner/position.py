"""The position of a run: the only place where its counters are kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

__all__ = ["Increment", "LoaderPosition", "Position"]


class Increment(NamedTuple):
    """What a completed step or epoch adds to the counters of a ``Position``."""

    epoch: int = 0
    iter: int = 0
    inner_iter: int = 0
    batches_done: int = 0
    flow_done: int = 0


@dataclass(slots=True)
class LoaderPosition:
    """The position in a stream of batches over the epochs of a loader.

    Attributes:
        epoch: The epoch, 0-based.
        batch: How many batches of it have been fetched.
    """

    epoch: int = 0
    batch: int = 0


@dataclass(slots=True)
class Position:
    """The position of a run. All counts are 0-based.

    As in MMCV, hooks see the counters of a step or an epoch until the last of its hooks has run.
    A checkpoint that one of these hooks writes must contain the counters after it. So the runner sets
    ``completed`` before it calls the hooks and calls ``advance`` after them; in between,
    ``following`` is the position at which a checkpoint that is saved now resumes.

    Attributes:
        epoch: Complete epochs. An iteration runner reads it from its loader.
        iter: Complete iterations of the run.
        inner_iter: Index of the current, or else the newest, batch in its epoch (epoch runner), or
            complete iterations of the flow (iteration runner).
        batches_done: Complete batches of the training epoch (epoch runner) or of the flow
            (iteration runner).
        flow: Index of the current flow in the workflow.
        flow_done: How many epochs or iterations of this flow are complete.
        loaders: Positions in the loaders of an iteration runner, one per flow.
        batch: (iteration, epoch, index in the epoch) of the newest batch.
        completed: What is complete but not counted yet, because its hooks are running.
    """

    epoch: int = 0
    iter: int = 0
    inner_iter: int = 0
    batches_done: int = 0
    flow: int = 0
    flow_done: int = 0
    loaders: list[LoaderPosition] = field(default_factory=list)
    batch: tuple[int, int, int] = (0, 0, 0)
    completed: Increment | None = None

    @property
    def within_round(self) -> bool:
        """Whether flows of the current round of the workflow have run and others are still to run."""
        return bool(self.flow or self.flow_done)

    @property
    def completed_iters(self) -> int:
        """Complete iterations of the run, with one whose hooks are running."""
        return self.iter + (self.completed.iter if self.completed is not None else 0)

    def advance(self) -> None:
        """Count what has been completed."""
        done = self.completed
        if done is not None:
            self.completed = None
            self.epoch += done.epoch
            self.iter += done.iter
            self.inner_iter += done.inner_iter
            self.batches_done = 0 if done.epoch else self.batches_done + done.batches_done
            self.flow_done += done.flow_done

    def rewind(self, done: Increment) -> None:
        """Return to before a step was counted, so that more of its hooks can run; ``advance`` counts it again."""
        self.iter -= done.iter
        self.inner_iter -= done.inner_iter
        self.batches_done -= done.batches_done
        self.flow_done -= done.flow_done
        self.completed = done

    def following(self) -> Position:
        """Return a copy that has advanced; nothing is changed."""
        copy = replace(self)
        copy.advance()
        return copy

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain types."""
        return {
            "epoch": self.epoch,
            "iter": self.iter,
            "inner_iter": self.batches_done,
            "flow": self.flow,
            "flow_done": self.flow_done,
            "loaders": [(loader.epoch, loader.batch) for loader in self.loaders],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.epoch, self.iter = state["epoch"], state["iter"]
        self.inner_iter = self.batches_done = state["inner_iter"]
        self.flow, self.flow_done = state["flow"], state["flow_done"]
        self.loaders = [LoaderPosition(epoch, batch) for epoch, batch in state["loaders"]]
        self.completed = None
