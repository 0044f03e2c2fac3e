"""Seeds and random states: everything random in a run is a function of one seed and a position.

Three global random generators are used: Python's, NumPy's and torch's. A run seeds them once. While a sample is
loaded, they are seeded from (seed, epoch, position), and restored afterwards. So the results of a run depend
neither on the number of workers nor on whether the run was resumed.
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
    "RandomStream",
    "RandomState",
    "derive_seed",
    "isolated_random_state",
    "seed_process",
    "seed_sample",
    "set_random_seed",
    "worker_init_fn",
]

_MASK = (1 << 64) - 1


def set_random_seed(seed: int, deterministic: bool = False, use_rank_shift: bool = False) -> None:
    """Seed Python, NumPy and torch on all devices (MMCV name).

    Args:
        seed: The seed, 0 or greater.
        deterministic: Whether to also use deterministic algorithms in torch. An operation without one issues a
            warning.
        use_rank_shift: Whether to add the rank of this process to the seed.
    """
    if use_rank_shift and torch.distributed.is_available() and torch.distributed.is_initialized():
        seed += torch.distributed.get_rank()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed % 2**32)  # for child processes, as in MMCV
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def worker_init_fn(worker_id: int, num_workers: int, rank: int, seed: int) -> None:
    """Seed Python, NumPy and torch in a worker of a ``DataLoader`` (MMCV name).

    This is for custom loaders. The loaders that cfgtrain builds do not need it, and their samples do not depend
    on the number of workers.

    Args:
        worker_id: Id of the worker, 0-based.
        num_workers: Number of workers of this process.
        rank: Rank of this process.
        seed: Seed of the run. The worker gets the seed ``num_workers * rank + worker_id + seed``.
    """
    worker_seed = num_workers * rank + worker_id + seed
    random.seed(worker_seed)
    np.random.seed(worker_seed % 2**32)
    torch.manual_seed(worker_seed)


def derive_seed(*parts: int) -> int:
    """Combine integers into one 64-bit seed (SplitMix64). Similar inputs give unrelated seeds."""
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def seed_sample(seed: int) -> None:
    """Seed the CPU generators with a 64-bit seed. The generators of other devices are not changed."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    # torch.manual_seed would also queue one call per sample for CUDA, which may never be initialized.
    torch.default_generator.manual_seed(seed & (_MASK >> 1))


def seed_process(seed: int, rank: int) -> None:
    """Seed all generators of a process so that the processes of a run, which train one model, draw different numbers.

    Args:
        seed: Seed of the run, the same in all processes.
        rank: Rank of this process.
    """
    seed_sample(derive_seed(seed, rank))
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(derive_seed(seed, rank) & (_MASK >> 1))


@contextmanager
def isolated_random_state() -> Iterator[None]:
    """Restore the state of the CPU generators when the block ends."""
    before = _cpu_states()
    try:
        yield
    finally:
        _set_cpu_states(before)


class RandomStream:
    """A separate stream of random numbers from the CPU generators, which continues from block to block.

    Args:
        seed: Seed of the stream, 64 bits.
    """

    def __init__(self, seed: int) -> None:
        with isolated_random_state():
            seed_sample(seed)
            self._states = _cpu_states()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Draw from this stream in the block, and restore the state of the generators afterwards."""
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
    """Saves and restores the states of all random generators, for checkpoints."""

    @staticmethod
    def capture() -> dict[str, Any]:
        """Return the states of the generators of this process, as plain types and tensors."""
        version, words, gauss_next = random.getstate()
        kind, keys, position, has_gauss, gauss = cast("Any", np.random.get_state(legacy=True))
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {  # lists of int would take longer to load safely than the rest of a checkpoint
            "python": [version, torch.from_numpy(np.array(words, np.int64)), gauss_next],
            "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
            "torch": torch.get_rng_state(),
            "cuda": cuda,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> None:
        """Restore the states that ``capture`` returned.

        The states of CUDA devices are ignored if their number has changed.
        """
        version, words, gauss_next = state["python"]
        random.setstate((version, tuple(torch.as_tensor(words).tolist()), gauss_next))
        kind, keys, position, has_gauss, gauss = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
