"""The state of a run."""

from __future__ import annotations

from typing import Any

from tiny import Recorder

from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.position import Position
from cfgtrain.runner.run_state import RunState


class Counter(Recorder):
    """A hook with a state."""

    def __init__(self, count: int = 0) -> None:
        super().__init__(lambda stage, runner: None)
        self.count = count

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def test_hooks_of_one_class_keep_their_own_states() -> None:
    """Two hooks of a class restore the states that they saved, in order."""
    saved = RunState.capture(
        Position(iter=3).state_dict(), [Counter(1), Counter(2)], LogBuffer(), LogBuffer()
    )
    one, two = Counter(), Counter()
    state = RunState.read(saved)
    state.restore_hooks([one, two])
    assert (one.count, two.count, state.position["iter"]) == (1, 2, 3)


def test_hooks_without_a_saved_state_are_left_alone() -> None:
    """A hook that is new in the resumed run keeps its state."""
    saved = RunState.capture(Position().state_dict(), [], LogBuffer(), LogBuffer())
    hook = Counter(4)
    RunState.read(saved).restore_hooks([hook])
    assert hook.count == 4
