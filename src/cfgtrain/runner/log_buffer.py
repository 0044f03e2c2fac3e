"""Collect and average the values that are logged."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping
from itertools import islice
from operator import mul
from typing import Any

import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError, ArgumentTypeError, NonFiniteLossError
from cfgtrain.parallel.dist import one_per_share
from cfgtrain.parallel.objects import gather_objects

__all__ = ["LogBuffer"]

# An average over "the last n" remembers at most this many values; one over all of them is exact.
MAX_HISTORY = 10_000
MAX_PENDING = 10_000

Place = tuple[int, int, int]  # iteration, epoch, batch


class LogBuffer:
    """Collects values per iteration and averages them when they are logged.

    Tensors stay on their device until then and are fetched in one transfer, so that
    logging makes no step wait. The memory is bounded for a run of any length.

    Attributes:
        output: Averages and other values that the next log line shows.
        counters: Numbers that are shown with the averages as they are, such as counts.
        latest: The newest average of each name; not cleared after logging.
        ready: Whether there is something to log.
        mode: What ``output`` is about when that is not what the runner is doing, such as
            ``"val"`` for an evaluation in the middle of a training; else None.
        iters: How many training iterations were complete when ``output`` was computed, if that may
            be earlier than when it is logged; else None.
    """

    def __init__(self) -> None:
        self.output: OrderedDict[str, Any] = OrderedDict()
        self.counters: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.ready = False
        self.mode: str | None = None
        self.iters: int | None = None
        self._values: OrderedDict[str, deque[float]] = OrderedDict()
        self._counts: OrderedDict[str, deque[int]] = OrderedDict()
        self._totals: dict[str, tuple[float, int]] = {}
        self._pending: defaultdict[str, list[tuple[Any, int, Place | None]]] = defaultdict(list)
        self._num_updates = 0  # since the last fetch

    @property
    def val_history(self) -> OrderedDict[str, deque[float]]:
        """The newest values of each name, oldest first, all of them numbers."""
        self.fetch()
        return self._values

    @property
    def n_history(self) -> OrderedDict[str, deque[int]]:
        """Their weights."""
        self.fetch()
        return self._counts

    def update(self, values: Mapping[str, Any], count: int = 1, place: Place | None = None) -> None:
        """Add one value per name, each the mean over ``count`` samples.

        Args:
            values: Numbers or one-element tensors.
            count: Weight in averages.
            place: (iteration, epoch, batch) that they are from, 0-based.

        Raises:
            ArgumentTypeError: ``values`` is not a mapping.
            ArgumentError: A tensor among them holds more than one number, or none.
        """
        if not isinstance(values, (dict, Mapping)):  # a dict, as most are, is recognized at once
            raise ArgumentTypeError(f"Logged values are a dict, not {values!r}.")
        for name, value in values.items():
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    shape = tuple(value.shape)
                    raise ArgumentError(
                        f"A logged value is one number; {name!r} is a tensor of shape {shape}."
                    )
                if value.requires_grad:
                    value = value.detach()  # not to keep a graph until the next log line
            self._pending[name].append((value, count, place))
        self._num_updates += 1
        if self._num_updates >= MAX_PENDING:
            self.fetch()

    def average(self, n: int = 0) -> None:
        """Put the weighted means of the last ``n`` values of each name (0: all) into ``output``.

        They are means over all processes, every one of which must call this. A name whose values are all of zero samples has no mean and is left out.
        """
        if n < 0:
            raise ArgumentError(f"An average is over n >= 0 values, not {n}.")
        self.fetch()
        sums = {
            name: _weighted_sum(_last(values, n), _last(self._counts[name], n)) if n else self._totals[name]
            for name, values in self._values.items()
        }
        for name, (total, weight) in _over_processes(sums).items():
            if weight:
                self.output[name] = self.latest[name] = total / weight
        self.output.update(self.counters)
        self.ready = True

    def totals(self) -> dict[str, tuple[float, int]]:
        """Return, for each name, the weighted sum of all values since ``clear``, and the sum of their weights."""
        self.fetch()
        return dict(self._totals)

    def clear_output(self) -> None:
        """Clear the output of the last log."""
        self.output.clear()
        self.ready = False
        self.mode = None
        self.iters = None

    def clear(self) -> None:
        """Clear all values; a loss that is not finite still raises.

        Raises:
            NonFiniteLossError: See ``fetch``.
        """
        self.fetch()
        self.counters.clear()
        self._totals.clear()
        self._values.clear()
        self._counts.clear()
        self.clear_output()

    def state_dict(self) -> dict[str, Any]:
        """Return everything as plain types; histories as float64 tensors."""
        self.fetch()
        return {
            "values": {name: _as_tensor(values) for name, values in self._values.items()},
            "counts": {name: _as_tensor(counts) for name, counts in self._counts.items()},
            "totals": {name: list(total) for name, total in self._totals.items()},
            "output": {name: plain(value) for name, value in self.output.items()},
            "ready": self.ready,
            "mode": self.mode,
            "iters": self.iters,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned."""
        self.clear()
        for name, values in state["values"].items():
            self._values[name] = deque(values.tolist(), MAX_HISTORY)
            self._counts[name] = deque(state["counts"][name].tolist(), MAX_HISTORY)
            total, weight = state["totals"][name]
            self._totals[name] = (total, weight)
        self.output.update(state["output"])
        self.ready, self.mode = state["ready"], state["mode"]
        self.iters = state.get("iters")

    def fetch(self) -> None:
        """Convert pending values to numbers, with all tensors in one transfer.

        Raises:
            NonFiniteLossError: A ``loss`` among them is infinite or not a number.
        """
        pending = dict(self._pending)
        self._pending.clear()
        self._num_updates = 0
        columns = {name: [value for value, _, _ in entries] for name, entries in pending.items()}
        _move_to_cpu(list(columns.values()))
        for value, (_, _, place) in zip(columns.get("loss", ()), pending.get("loss", ()), strict=True):
            if not math.isfinite(float(value)):
                raise NonFiniteLossError(value=float(value), place=place)
        for name, entries in pending.items():
            self._add(
                name, [float(value) for value in columns[name]], [int(count) for _, count, _ in entries]
            )

    def _add(self, name: str, values: list[float], counts: list[int]) -> None:
        if name not in self._values:
            self._values[name], self._counts[name] = deque(maxlen=MAX_HISTORY), deque(maxlen=MAX_HISTORY)
        self._values[name].extend(values)
        self._counts[name].extend(counts)
        total, weight = self._totals.get(name, (0.0, 0))
        for value, count in zip(values, counts, strict=True):
            # One by one, as sum() does not from Python 3.12 on: the result does not depend on when they are fetched.
            total += value * count
            weight += count
        self._totals[name] = total, weight


def _move_to_cpu(columns: list[list[Any]]) -> None:
    """Turn the tensors into numbers, with one transfer per device and dtype."""
    tensors: defaultdict[Any, list[tuple[list[Any], int, Tensor]]] = defaultdict(list)
    for values in columns:
        for at, value in enumerate(values):
            if isinstance(value, Tensor):
                tensors[value.device, value.dtype].append((values, at, value.reshape(())))
    for holders in tensors.values():
        numbers = torch.stack([tensor for _, _, tensor in holders]).tolist()
        for (values, at, _), number in zip(holders, numbers, strict=True):
            values[at] = number


def plain(value: Any) -> Any:
    """Return a NumPy number or array as plain Python values; return anything else unchanged."""
    return value.tolist() if hasattr(value, "tolist") else value


def _as_tensor(values: deque[Any]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _over_processes(sums: dict[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    """Return the sums over all processes of the total and the weight of each name."""
    combined = dict.fromkeys(sums, (0.0, 0))
    for each in one_per_share(gather_objects(sums)):
        for name, (total, weight) in each.items():
            before = combined.get(name, (0.0, 0))
            combined[name] = before[0] + total, before[1] + weight
    return combined


def _last(values: deque[Any], n: int) -> list[Any]:
    """Return the last ``n`` values, oldest first, without going through all of them."""
    return list(islice(reversed(values), n))[::-1]


def _weighted_sum(values: list[float], counts: list[int]) -> tuple[float, int]:
    """Return the sum of the values, each times its weight, and the sum of the weights."""
    return sum(map(mul, values, counts)), sum(counts)
