from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from processes import in_processes
from tiny import TO_TENSORS, Squares, TinyNet, make_runner, squares_loader

from cfgtrain.data.builder import build_dataloader
from cfgtrain.runner import DistEvalHook, EvalHook


def test_shares_are_combined(tmp_path: Path) -> None:
    """Shares of 12 and 11 samples are scored once; both processes get the score and the statistics."""
    first, second = in_processes("evaluate_in_shares", 2, tmp_path)
    assert (first[0], second[0]) == (0, 1)
    assert first[1] == second[1]
    assert first[2] == second[2] == first[1]["acc"]
    assert (first[3], second[3]) == ([23], [])
    assert first[4] == second[4]


def test_metrics_of_all_processes_are_merged(tmp_path: Path) -> None:
    """Each sample counts once, also if a sampler has added one, and both processes get the scores."""
    first, second = in_processes("evaluate_metrics_in_shares", 2, tmp_path)
    scores, newest, expected, best = first
    assert newest == expected
    assert sum(map(sum, newest["confusion_matrix"])) == 23
    assert (scores, best) == ({"accuracy": expected["accuracy"]}, expected["accuracy"])
    assert (second[0], second[1], second[3]) == (scores, newest, best)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_single_process_is_an_eval_hook(kind: str) -> None:
    """In a single process the scores are those of ``EvalHook``."""
    scores = []
    for hook_class in (EvalHook, DistEvalHook):
        model = TinyNet()
        runner = make_runner(kind, 1, model, meta={})
        data = build_dataloader(Squares(pipeline=TO_TENSORS), 5, shuffle=False)
        hook = hook_class(data, by_epoch=kind == "epoch")
        model.train_step = lambda batch, optimizer: {}
        for parameter in model.parameters():
            parameter.data.fill_(0.5)
        runner.register_hook(hook, "LOW")
        runner.run([squares_loader()], [("train", 1)])
        scores.append(hook.scores)
    assert scores[0] == scores[1]


def test_test_fn_gets_the_arguments_that_it_has(tmp_path: Path) -> None:
    """A function with the arguments ``tmpdir`` and ``gpu_collect`` gets both."""
    received: list[Any] = []

    def test_fn(model: Any, loader: Any, tmpdir: str, gpu_collect: bool) -> list[Any]:
        received.append((tmpdir, gpu_collect))
        return [[1, 0, 0]] * 23

    runner = make_runner("epoch", 1, TinyNet(), work_dir=tmp_path)
    data = build_dataloader(Squares(pipeline=TO_TENSORS), 5, shuffle=False)
    runner.register_hook(DistEvalHook(data, test_fn=test_fn, gpu_collect=True), "LOW")
    runner.run([squares_loader()], [("train", 1)])
    assert received == [(str(tmp_path / ".eval_hook"), True)]


@pytest.mark.slow
def test_a_subclass_that_saves_in_the_main_process(tmp_path: Path) -> None:
    """An evaluation for MMCV, whose main process alone compares and saves, does not hang: all processes save."""
    first, second = in_processes("evaluate_in_the_habit_of_mmcv", 2, tmp_path)
    assert first == (0.6, ["best_acc_epoch_2.pth"])
    assert second[0] == 0.6
