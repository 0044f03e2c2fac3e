from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import make_runner, numbers

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.runner import EarlyStoppingHook, EvalHook, Hook


class Scored(list[Any]):
    """A loader whose dataset returns the next score in each evaluation."""

    def __init__(self, name: str, scores: list[float]) -> None:
        super().__init__(numbers(1))
        left = iter(scores)
        self.dataset = type("Data", (), {"evaluate": lambda *_, **__: {name: next(left)}})()


def epochs(
    scores: list[float], name: str = "acc", kind: str = "epoch", **words: Any
) -> tuple[int, str | None]:
    """Return the length of a run with these scores, and why it stops."""
    runner = make_runner(kind, len(scores), meta={})
    evaluation = EvalHook(Scored(name, scores), test_fn=lambda *_: [], by_epoch=kind == "epoch")
    runner.register_hook(evaluation, "LOW")
    runner.register_custom_hooks({"type": "EarlyStoppingHook", **words})
    runner.run([numbers(1)], [("train", 1)])
    return runner.iter, runner.stop_reason


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(
    ("scores", "words", "length"),
    [
        ([1, 2, 3, 4], {"patience": 0}, 4),
        ([1, 2, 2, 3], {"patience": 0}, 3),
        ([1, 2, 2, 3], {"patience": 1}, 3),
        ([1, 2, 2, 3], {"patience": 2}, 4),
        ([5, 1, 2, 3, 4, 9], {"patience": 2}, 3),
        ([5, 1, 9, 3, 4, 5], {"patience": 2}, 5),
        ([1, 1.05, 1.09, 2], {"patience": 2, "min_delta": 0.1}, 3),
        ([1, float("nan"), 2], {"patience": 5}, 2),
        ([1, float("nan"), 2], {"patience": 5, "check_finite": False}, 3),
        ([0.1, 0.8, 0.9, 1], {"stopping_threshold": 0.9}, 3),
        ([3, 2, 1, 1, 1], {"patience": 2, "rule": "less"}, 5),
        ([float("nan")] * 4, {"patience": 3, "check_finite": False}, 3),
    ],
)
def test_when_it_stops(kind: str, scores: list[float], words: dict[str, Any], length: int) -> None:
    """A run stops at the first score for which the settings give a reason, such as the n-th without an improvement."""
    assert epochs(scores, kind=kind, **words)[0] == length


def test_rule_is_guessed_from_the_name() -> None:
    """A loss is better when it is smaller."""
    assert epochs([3, 2, 1, 0.5], "loss", patience=0) == (4, None)
    assert epochs([1, 2], "loss", patience=0)[1] == "loss has not improved on 1.0000 in 1 evaluation"


def test_reason_names_the_margin() -> None:
    """If an improvement is too small, the reason contains the required difference."""
    reason = epochs([1, 1.2, 2], patience=1, min_delta=0.5)[1]
    assert reason == "acc has not improved on 1.0000 by more than 0.5 in 1 evaluation"


def test_unknown_score_is_an_error() -> None:
    """A score that the evaluation does not return is an error with a suggestion."""
    with pytest.raises(HookError, match=r"uses the score 'ac', and the scores are acc. Did you mean 'acc'"):
        epochs([1], monitor="ac")


def test_unknown_score_is_an_error_before_the_run_if_the_names_are_known() -> None:
    """If the dataset has ``score_names``, a misspelt score is found before the first iteration."""
    runner = make_runner("epoch", 1, meta={})
    loader = Scored("acc", [1])
    loader.dataset.score_names = staticmethod(lambda metric: [metric])  # type: ignore[attr-defined]
    runner.register_hook(EvalHook(loader, test_fn=lambda *_: [], metric="acc"), "LOW")
    runner.register_hook(EarlyStoppingHook("ac"))
    with pytest.raises(HookError, match=r"EarlyStoppingHook uses the score 'ac', and the scores are acc"):
        runner.run([numbers(1)], [("train", 1)])
    assert runner.iter == 0


@pytest.mark.parametrize("save_best", ["kappa", "auto", None])
def test_rule_is_that_of_the_evaluation(save_best: str | None) -> None:
    """The rule of the evaluation is used for the score of ``save_best``."""
    runner = make_runner("epoch", 4, meta={})
    runner.register_hook(
        EvalHook(Scored("kappa", [3, 2, 1, 1]), test_fn=lambda *_: [], save_best=save_best, rule="less"),
        "LOW",
    )
    runner.register_hook(EarlyStoppingHook(patience=2))
    runner.run([numbers(1)], [("train", 1)])
    assert (runner.epoch, runner.stop_reason) == (4, None)


def test_needs_an_evaluation_before_it() -> None:
    """The hook needs an evaluation that runs before it."""
    runner = make_runner("epoch", 1, meta={})
    runner.register_hook(EarlyStoppingHook(), "HIGH")
    with pytest.raises(HookError, match="there is no evaluation"):
        runner.run([numbers(1)], [("train", 1)])
    runner.register_hook(EvalHook(Scored("acc", [1])), "LOW")
    with pytest.raises(HookError, match="priority after that of the evaluation"):
        runner.run([numbers(1)], [("train", 1)])


@pytest.mark.parametrize("wrong", [{"rule": "greatest"}, {"patience": -1}, {"min_delta": -0.1}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """Invalid settings are refused."""
    with pytest.raises(ArgumentError):
        EarlyStoppingHook(**wrong)


def test_patience_continues_after_a_resume(tmp_path: Path) -> None:
    """A resumed run restores the best score and the number of evaluations since."""

    def run(scores: list[float], length: int, resume: bool) -> Any:
        runner = make_runner("epoch", length, meta={}, work_dir=tmp_path)
        runner.register_checkpoint_hook({"interval": 1})
        runner.register_hook(EvalHook(Scored("acc", scores), test_fn=lambda *_: []), "LOW")
        runner.register_hook(EarlyStoppingHook(patience=1))
        if resume:
            runner.resume(tmp_path / "latest.pth")
        runner.run([numbers(1)], [("train", 1)])
        return runner

    run([5, 4], 2, resume=False)
    runner = run([4, 6], 9, resume=True)
    assert (runner.epoch, runner.stop_reason) == (3, "acc has not improved on 5.0000 in 2 evaluations")


def test_default_priority() -> None:
    """By default the hook runs last, and a plain hook has the priority NORMAL."""
    runner = make_runner("epoch", 1)
    runner.register_hook(EarlyStoppingHook())
    runner.register_hook(Hook())
    assert [hook.priority for hook in runner.hooks] == [50, 100]
