from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import same

from cfgtrain.random_state import (
    RandomState,
    RandomStream,
    derive_seed,
    isolated_random_state,
    seed_sample,
    set_random_seed,
    worker_init_fn,
)


def draw() -> tuple[float, ...]:
    """Return a number from each generator; the normal ones leave a cached second number."""
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()


@pytest.mark.parametrize("seeding", [set_random_seed, seed_sample])
def test_seed_sets_all_generators(seeding: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same numbers from Python, NumPy and torch, another seed gives others."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    first, second, other = [], [], []
    for numbers, seed in ((first, 3), (second, 3), (other, 4)):
        seeding(seed)
        numbers += [draw(), draw()]
    assert first == second
    assert set(sum(first, ())).isdisjoint(sum(other, ()))


def test_large_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every generator accepts 64-bit seeds."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    seed_sample(2**64 - 1)
    set_random_seed(2**63)
    assert draw() != draw()


def test_deterministic_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    """``deterministic`` enables deterministic algorithms in torch, with a warning where there are none."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    try:
        set_random_seed(1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.deterministic
    finally:
        torch.use_deterministic_algorithms(False)


def test_derived_seeds_do_not_collide() -> None:
    """Similar integers, in any order and number, give different 64-bit seeds."""
    parts = [(a, b, c) for a, b, c in product(range(10), repeat=3)] + list(product(range(10), repeat=2))
    seeds = {derive_seed(*each) for each in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_derived_seeds_are_uniform() -> None:
    """Each bit is set in about half of the seeds of successive positions."""
    seeds = [derive_seed(0, 0, position) for position in range(2000)]
    shares = [sum(seed >> bit & 1 for seed in seeds) / len(seeds) for bit in range(64)]
    assert all(0.43 < share < 0.57 for share in shares)


def test_derived_seeds_never_change() -> None:
    """The function is fixed, since the augmentation must be the same after an update; one step is SplitMix64."""
    assert derive_seed(0) == 0xE220A8397B1DCDAF  # the published first output for the seed 0
    assert derive_seed(1, 2, 3) == 15020427595393229491


def test_isolated_random_state() -> None:
    """The state of the generators is restored after the block, also after an exception."""
    before = RandomState.capture()
    with isolated_random_state():
        seed_sample(1)
        draw()
    assert same(RandomState.capture(), before)
    with pytest.raises(ZeroDivisionError), isolated_random_state():
        draw()
        1 / 0  # noqa: B018
    assert same(RandomState.capture(), before)


def test_random_stream() -> None:
    """Several blocks draw what one block would draw, and the global state is not changed."""
    torch.manual_seed(5)
    outside = torch.get_rng_state()
    whole, parts = RandomStream(3), RandomStream(3)
    with whole.use():
        expected = [draw(), draw()]
    drawn = []
    for _ in range(2):
        with parts.use():
            drawn.append(draw())
        torch.rand(1)
    torch.set_rng_state(outside)
    assert drawn == expected
    with pytest.raises(ZeroDivisionError), parts.use():
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), outside)


def test_capture_and_restore() -> None:
    """After ``restore`` all generators continue as after ``capture``."""
    draw()  # leaves a cached second normal number in NumPy and Python
    state = RandomState.capture()
    expected = [draw() for _ in range(3)]
    seed_sample(77)
    RandomState.restore(state)
    assert [draw() for _ in range(3)] == expected


def test_state_is_loaded_safely() -> None:
    """The state can be saved and loaded with ``weights_only=True``."""
    state = RandomState.capture()
    expected = draw()
    torch.save(state, "state.pth")
    loaded = torch.load(Path("state.pth"), weights_only=True)
    assert same(loaded, state)
    RandomState.restore(loaded)
    assert draw() == expected


def test_worker_init_fn() -> None:
    """Each worker of each process draws its own numbers, the same in every run."""
    drawn = []
    for rank, worker in ((0, 0), (0, 1), (1, 0), (0, 0)):
        worker_init_fn(worker, num_workers=2, rank=rank, seed=7)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[3]
    assert len(set(drawn)) == 3
