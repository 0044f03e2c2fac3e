"""Count the optimizer steps that a loss scale skips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer

from cfgtrain.errors import NonFiniteLossError

__all__ = ["SkippedSteps"]

WARN_AFTER = 10  # skipped steps in a row; a dynamic scale that begins too high skips some
STOP_AFTER = 20  # under a scale that does not change
FLOOR = 2.0**-14  # the smallest normal float16: a loss at a lower scale has no gradients left


class SkippedSteps:
    """Counts the steps that ``GradScaler`` skips because gradients are infinite or NaN.

    Attributes:
        total: Steps in which it skipped an optimizer, so far.
    """

    def __init__(self) -> None:
        self.total = 0
        self._steps = 0
        self._in_a_row: dict[str, int] = {}
        self._stepped: set[str] = set()
        self._handles: list[Any] = []

    def watch(self, optimizers: Mapping[str, Optimizer]) -> None:
        """Record from now on which optimizers step."""
        self.unwatch()
        self._in_a_row = {name: self._in_a_row.get(name, 0) for name in optimizers}
        self._handles = [
            optimizer.register_step_post_hook(self._noting(name)) for name, optimizer in optimizers.items()
        ]

    def unwatch(self) -> None:
        """Remove the hooks from the optimizers."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def count(self, scale: float, is_static: bool, is_last: bool, logger: logging.Logger) -> None:
        """Count the step that all optimizers were to take.

        Args:
            scale: The loss scale of the next step.
            is_static: Whether the scale never changes.
            is_last: Whether this was the last step of the run.
            logger: Logger of the run.

        Raises:
            NonFiniteLossError: No step can succeed any more, or none of the run has.
        """
        self._steps += 1
        self.total += any(name not in self._stepped for name in self._in_a_row)
        for name in self._in_a_row:
            self._in_a_row[name] = 0 if name in self._stepped else self._in_a_row[name] + 1
        self._stepped.clear()
        longest = max(self._in_a_row.values())
        if longest == 0:
            return
        hopeless = longest >= STOP_AFTER if is_static else scale < FLOOR
        none_taken = is_last and longest == self._steps and (is_static or longest >= WARN_AFTER)
        if hopeless or none_taken:
            raise NonFiniteLossError(_text(longest, scale, is_static), name="gradient")
        if longest == WARN_AFTER:
            logger.warning("%s", _text(longest, scale, is_static))

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"total": self.total, "steps": self._steps, "in_a_row": dict(self._in_a_row)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the counts."""
        self.total, self._steps = state["total"], state["steps"]
        self._in_a_row = {name: state["in_a_row"].get(name, 0) for name in self._in_a_row}

    def _noting(self, name: str) -> Callable[..., None]:
        def note(optimizer: Any, args: Any, kwargs: Any) -> None:
            found_inf = getattr(optimizer, "found_inf", None)  # a fused optimizer skips the step itself
            if found_inf is None or not found_inf.item():
                self._stepped.add(name)

        return note


def _text(in_a_row: int, scale: float, is_static: bool) -> str:
    steps = f"The last {in_a_row} steps were skipped" if in_a_row > 1 else "The last step was skipped"
    text = f"{steps} because gradients are infinite or NaN under a loss scale of {scale:g}."
    if is_static:
        return f"{text} Use a lower loss_scale, or loss_scale='dynamic'."
    return (
        f"{text} If a lower scale does not help, the gradients are not finite without a scale either: "
        "NaNGuardHook without a loss_scale finds the first one."
    )
