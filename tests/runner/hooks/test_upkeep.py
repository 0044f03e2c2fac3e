from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from processes import in_processes
from tiny import TinyNet, make_runner, numbers, same, squares_loader

from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.runner import ClosureHook, DistSamplerSeedHook, EmptyCacheHook, Hook, SyncBuffersHook
from cfgtrain.runner.hooks.hook import GENERIC_STAGES, STAGES


@pytest.mark.parametrize("stage", [*STAGES, *GENERIC_STAGES])
def test_closure_is_called_at_its_stage(stage: str) -> None:
    """A function can be called at any stage of a hook, with the runner."""
    seen: list[Any] = []
    hook = ClosureHook(stage, seen.append)
    runner = make_runner("epoch", 1)
    runner.register_hook(hook)
    runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    assert seen == [runner] * (
        2 if stage in ("before_epoch", "after_epoch", "before_iter", "after_iter") else 1
    )
    assert hook.get_triggered_stages()


def test_closure_from_a_config() -> None:
    """In a config the function is an import path."""
    runner = make_runner("epoch", 1)
    runner.register_hook_from_cfg({"type": "ClosureHook", "fn_name": "after_run", "fn": "tiny.numbers"})
    (hook,) = runner.hooks
    assert hook.after_run is numbers


@pytest.mark.parametrize(
    ("fn_name", "fn", "error"),
    [
        ("after_runs", print, "Did you mean 'after_run'"),
        ("every_n_iters", print, "no stage"),
        ("before_load_checkpoint", print, "no stage"),
        ("after_run", 3, "not 3"),
        ("after_run", "no.such.thing", "nothing to import"),
    ],
)
def test_invalid_closures(fn_name: str, fn: Any, error: str) -> None:
    """An unknown stage, and an object that is not callable, are refused."""
    with pytest.raises((ArgumentError, KeyError), match=error):
        ClosureHook(fn_name, fn)


@pytest.mark.parametrize(
    ("words", "count"),
    [({}, 2), ({"before_epoch": True}, 4), ({"after_epoch": False}, 0), ({"after_iter": True}, 2 + 6)],
)
def test_cache_is_emptied_at_the_configured_stages(
    words: dict[str, bool], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the enabled stages empty the cache."""
    calls: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    runner = make_runner("epoch", 2)
    runner.register_hook(EmptyCacheHook(**words))
    runner.run([numbers(3)], [("train", 1)])
    assert len(calls) == count


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_epoch_of_the_sampler_is_set(kind: str) -> None:
    """Both runners and the hook call ``set_epoch`` of the sampler in each epoch."""
    epochs: list[int] = []

    class Telling(torch.utils.data.SequentialSampler):
        def set_epoch(self, epoch: int) -> None:
            epochs.append(epoch)

    loader = torch.utils.data.DataLoader(range(2), sampler=Telling(range(2)))
    runner = make_runner(kind, 2 if kind == "epoch" else 4)
    runner.register_hook(DistSamplerSeedHook())
    runner.run([loader], [("train", 1)])
    assert sorted({*epochs}) == [0, 1]


def test_buffers_of_a_single_process_are_unchanged() -> None:
    """In a single process there is nothing to average."""
    runner = make_runner("epoch", 1, TinyNet())
    runner.register_hook(SyncBuffersHook())
    before = {}
    hook = Hook()
    hook.after_train_epoch = lambda r: before.update({k: v.clone() for k, v in r.model.named_buffers()})
    runner.register_hook(hook, "HIGHEST")
    runner.run([squares_loader()], [("train", 1)])
    assert same(before, dict(runner.model.named_buffers()))
    assert get_dist_info() == (0, 1)


def test_buffers_of_two_processes_are_averaged(tmp_path: Path) -> None:
    """Floating-point buffers are averaged, integer ones are those of the first process."""
    assert in_processes("average_buffers", 2, tmp_path) == [((0, 2), 0.5, 5), ((1, 2), 0.5, 5)]
