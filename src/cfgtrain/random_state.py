"""Seeds: everything random in a run is a function of one number and a position.

Three generators are in play: Python's, NumPy's and torch's. A run seeds them once. While a
sample is loaded they are set from (seed, epoch, position) and put back afterwards, so that
neither the number of workers nor a restart changes a single bit of anything else.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch

__all__ = [
    "OwnRandomState",
    "RandomState",
    "derive_seed",
    "isolated_random_state",
    "seed_sample",
    "set_random_seed",
    "worker_init_fn",
]

_MASK = (1 << 64) - 1


def set_random_seed(seed: int, deterministic: bool = False, use_rank_shift: bool = False) -> None:
    """Seed Python, NumPy and torch on all devices (MMCV name).

    Args:
        seed: Non-negative.
        deterministic: Also ask torch for deterministic algorithms; an operation that has
            none only warns.
        use_rank_shift: Add the rank of this process to the seed.
    """
    if use_rank_shift and torch.distributed.is_available() and torch.distributed.is_initialized():
        seed += torch.distributed.get_rank()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed % 2**32)  # for processes that are started, as in MMCV
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def worker_init_fn(worker_id: int, num_workers: int, rank: int, seed: int) -> None:
    """Seed Python, NumPy and torch in a worker of a ``DataLoader`` (MMCV name).

    For loaders of your own; those that cfgtrain builds do without, and do not depend on
    the number of workers.

    Args:
        worker_id: Of this worker.
        num_workers: Of this process.
        rank: Of this process.
        seed: Of the run; the worker's is ``num_workers * rank + worker_id + seed``.
    """
    own = num_workers * rank + worker_id + seed
    random.seed(own)
    np.random.seed(own % 2**32)
    torch.manual_seed(own)


def derive_seed(*parts: int) -> int:
    """Mix integers into one 64-bit seed; near inputs give unrelated outputs (SplitMix64)."""
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def seed_sample(seed: int) -> None:
    """Set the CPU generators to a 64-bit seed; those of the devices are left alone."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    # torch.manual_seed would also queue a call per sample for a CUDA that is never initialised.
    torch.default_generator.manual_seed(seed & (_MASK >> 1))


@contextmanager
def isolated_random_state() -> Iterator[None]:
    """Put the CPU generators back, on leaving, to what they were."""
    before = _cpu_states()
    try:
        yield
    finally:
        _set_cpu_states(before)


class OwnRandomState:
    """A state of the CPU generators for one purpose: each block goes on where the last one ended.

    Args:
        seed: Where it begins; 64 bits.
    """

    def __init__(self, seed: int) -> None:
        with isolated_random_state():
            seed_sample(seed)
            self._states = _cpu_states()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Draw from this state in a block, and leave that outside as it was."""
        with isolated_random_state():
            _set_cpu_states(self._states)
            try:
                yield
            finally:
                self._states = _cpu_states()


def _cpu_states() -> tuple[Any, Any, torch.Tensor]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _set_cpu_states(states: tuple[Any, Any, torch.Tensor]) -> None:
    python, numpy, cpu = states
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)


class RandomState:
    """The states of all generators as plain types, for a checkpoint."""

    @staticmethod
    def capture() -> dict[str, Any]:
        """Return the states of this process; ``restore`` puts them back."""
        version, words, gauss_next = random.getstate()
        kind, keys, position, has_gauss, gauss = cast("Any", np.random.get_state(legacy=True))
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {  # words as tensors: one by one they take longer to read safely than all the rest
            "python": [version, torch.from_numpy(np.array(words, np.int64)), gauss_next],
            "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
            "torch": torch.get_rng_state(),
            "cuda": cuda,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> None:
        """Put back what ``capture`` returned; devices that are not there are passed over."""
        version, words, gauss_next = state["python"]
        random.setstate((version, tuple(torch.as_tensor(words).tolist()), gauss_next))
        kind, keys, position, has_gauss, gauss = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
