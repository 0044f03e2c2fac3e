"""Numbers on their way into the log."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError, ArgumentTypeError, NonFiniteLossError

__all__ = ["LogBuffer"]

# An average over "the last n" remembers at most this many values; one over all of them is exact.
MAX_HISTORY = 10_000
MAX_PENDING = 1_000


class LogBuffer:
    """Collects values per iteration and averages them when they are logged.

    Tensors stay on their device until then and are fetched in one transfer, so that
    logging makes no step wait. Memory is bounded however long the run is.

    Attributes:
        output: Averages and other values that the next log line shows.
        latest: The newest average of each name; not cleared after logging.
        ready: Whether there is something to log.
        mode: What ``output`` is about when that is not what the runner is doing, such as
            ``"val"`` for an evaluation in the middle of a training; else None.
    """

    def __init__(self) -> None:
        self.val_history: OrderedDict[str, deque[float]] = OrderedDict()
        self.n_history: OrderedDict[str, deque[int]] = OrderedDict()
        self.output: OrderedDict[str, Any] = OrderedDict()
        self.latest: dict[str, float] = {}
        self.ready = False
        self.mode: str | None = None
        self._totals: dict[str, tuple[float, int]] = {}
        self._pending: list[tuple[str, Any, int, tuple[int, int, int] | None]] = []

    def update(
        self, values: Mapping[str, Any], count: int = 1, place: tuple[int, int, int] | None = None
    ) -> None:
        """Add one value per name, each the mean over ``count`` samples.

        Args:
            values: Numbers or one-element tensors.
            count: Weight in averages.
            place: (iteration, epoch, batch) that they are from, 0-based.

        Raises:
            ArgumentTypeError: ``values`` is not a mapping.
        """
        if not isinstance(values, Mapping):
            raise ArgumentTypeError(f"Logged values are a dict, not {values!r}.")
        self._pending.extend((name, value, count, place) for name, value in values.items())
        if len(self._pending) > MAX_PENDING:
            self.fetch()

    def average(self, n: int = 0) -> None:
        """Put the weighted means of the last ``n`` values of each name (0: all) into ``output``."""
        if n < 0:
            raise ArgumentError(f"An average is over n >= 0 values, not {n}.")
        self.fetch()
        for name, values in self.val_history.items():
            if n:
                recent = list(values)[-n:]
                counts = list(self.n_history[name])[-n:]
                total, weight = sum(v * c for v, c in zip(recent, counts, strict=True)), sum(counts)
            else:
                total, weight = self._totals[name]
            self.output[name] = self.latest[name] = total / weight if weight else float("nan")
        self.ready = True

    def clear_output(self) -> None:
        """Forget what was logged."""
        self.output.clear()
        self.ready = False
        self.mode = None

    def clear(self) -> None:
        """Forget everything, but not that a loss was not finite.

        Raises:
            NonFiniteLossError: See ``fetch``.
        """
        self.fetch()
        self._totals.clear()
        self.val_history.clear()
        self.n_history.clear()
        self.clear_output()

    def state_dict(self) -> dict[str, Any]:
        """Return everything as plain types."""
        self.fetch()
        return {
            "values": {name: list(values) for name, values in self.val_history.items()},
            "counts": {name: list(counts) for name, counts in self.n_history.items()},
            "totals": {name: list(total) for name, total in self._totals.items()},
            "output": dict(self.output),
            "ready": self.ready,
            "mode": self.mode,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        self.clear()
        for name, values in state["values"].items():
            self.val_history[name] = deque(values, MAX_HISTORY)
            self.n_history[name] = deque(state["counts"][name], MAX_HISTORY)
            total, weight = state["totals"][name]
            self._totals[name] = (total, weight)
        self.output.update(state["output"])
        self.ready, self.mode = state["ready"], state["mode"]

    def fetch(self) -> None:
        """Turn what is pending into numbers, all tensors in one transfer.

        Raises:
            NonFiniteLossError: A ``loss`` among them is infinite or not a number.
        """
        pending, self._pending = self._pending, []
        for (name, _, count, place), value in zip(
            pending, _numbers([item[1] for item in pending]), strict=True
        ):
            if name == "loss" and not math.isfinite(value):
                raise NonFiniteLossError(value=value, place=place)
            self.val_history.setdefault(name, deque(maxlen=MAX_HISTORY)).append(value)
            self.n_history.setdefault(name, deque(maxlen=MAX_HISTORY)).append(count)
            total, weight = self._totals.get(name, (0.0, 0))
            self._totals[name] = (total + value * count, weight + count)


def _numbers(values: list[Any]) -> list[float]:
    tensors = [value.detach().reshape(()) for value in values if isinstance(value, Tensor)]
    if not tensors:
        return values
    device = tensors[0].device
    together = torch.stack([t.to(device, torch.float64, non_blocking=True) for t in tensors])
    fetched = iter(together.tolist())
    return [next(fetched) if isinstance(value, Tensor) else value for value in values]
