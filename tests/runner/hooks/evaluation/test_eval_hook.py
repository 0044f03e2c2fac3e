from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import (
    CROP,
    LOGGER,
    TO_TENSORS,
    Recorder,
    Squares,
    TinyNet,
    make_runner,
    numbers,
    same,
    squares_loader,
)
from torch import nn

from cfgtrain.data.builder import build_dataloader
from cfgtrain.data.loader import iterate_epoch
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.fileio import FileClient
from cfgtrain.random_state import RandomState
from cfgtrain.runner import EvalHook, TextLoggerHook
from cfgtrain.runner.iter_based import IterLoader

NAN = float("nan")
SCORES = [1, 4, 3, 7, 2, -3, 4, 6]


class Scored:
    """A loader whose dataset returns the next prepared score in each evaluation."""

    def __init__(self, scores: Any = (), name: str = "acc") -> None:
        self.dataset = self
        self.scores = iter(scores)
        self.name = name
        self.seen: list[Any] = []

    def __len__(self) -> int:
        return 7

    def __iter__(self) -> Any:
        return iter(())

    def evaluate(self, results: Any, logger: Any = None, **kwargs: Any) -> dict[str, Any]:
        self.seen.append(kwargs)
        return {self.name: next(self.scores, 0.5), "other": 2}


def train(kind: str, length: int, hook: EvalHook, priority: Any = "LOW", **kwargs: Any) -> Any:
    runner = make_runner(kind, length, work_dir="run", meta={}, **kwargs)
    runner.register_hook(hook, priority)
    runner.run([numbers(1)], [("train", 1)])
    return runner


def best(scores: Any, name: str = "acc", **kwargs: Any) -> dict[str, Any]:
    """Train for an epoch per score, and return the messages of the hook in meta."""
    hook = EvalHook(Scored(scores, name), **{"save_best": name, **kwargs})
    return dict(train("epoch", len(scores), hook).meta["hook_msgs"])


# length, start, interval, where the run begins: how often it evaluates
WHEN = [
    (2, None, 1, 0, 2),
    (2, 1, 1, 0, 2),
    (2, None, 2, 0, 1),
    (3, 1, 2, 0, 2),
    (2, 0, 1, 0, 3),
    (3, 1, 1, 2, 2),
    (3, 2, 1, 1, 2),
    (5, 3, 1, 0, 3),
    (4, None, 5, 0, 0),
]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(("length", "start", "interval", "begin", "times"), WHEN)
def test_when_it_evaluates(
    kind: str, length: int, start: int | None, interval: int, begin: int, times: int
) -> None:
    """Start and interval determine when it evaluates, as in MMCV, by epoch and by iteration."""
    loader = Scored()
    runner = make_runner(kind, length)
    runner._epoch = runner._iter = begin
    runner.register_hook(EvalHook(loader, start, interval, by_epoch=kind == "epoch"))
    runner.run([numbers(1)], [("train", 1)])
    assert len(loader.seen) == times


BEST: list[tuple[list[Any], dict[str, Any], str, float]] = [
    (SCORES, {}, "best_acc_epoch_4.pth", 7),
    (SCORES, {"save_best": "auto"}, "best_acc_epoch_4.pth", 7),
    (SCORES, {"rule": "less"}, "best_acc_epoch_6.pth", -3),
    (SCORES, {"name": "loss_a"}, "best_loss_a_epoch_6.pth", -3),
    (SCORES, {"name": "score", "rule": "greater"}, "best_score_epoch_4.pth", 7),
    (SCORES, {"greater_keys": [], "less_keys": "acc"}, "best_acc_epoch_6.pth", -3),
    ([0.0, -1.0], {}, "best_acc_epoch_1.pth", 0.0),
    ([-2.0, 0.0], {}, "best_acc_epoch_2.pth", 0.0),
    ([1.0, 0.0, 0.0], {"rule": "less"}, "best_acc_epoch_2.pth", 0.0),
    ([3.0, 3.0], {}, "best_acc_epoch_1.pth", 3.0),
    ([NAN, 1.0, NAN], {}, "best_acc_epoch_2.pth", 1.0),
    ([torch.tensor(1.0), torch.tensor(2.0)], {}, "best_acc_epoch_2.pth", 2.0),
]


@pytest.mark.parametrize(("scores", "kwargs", "file", "score"), BEST)
def test_best_checkpoint_is_kept(scores: list[Any], kwargs: dict[str, Any], file: str, score: float) -> None:
    """Only the file of the best score is kept; 0 is a valid score and NaN is never better."""
    messages = best(scores, **kwargs)
    assert [path.name for path in Path("run").iterdir()] == [file]
    assert messages == {"best_score": score, "best_ckpt": str(Path("run").absolute() / file)}


@pytest.mark.parametrize(
    "name", ["val/acc", "../acc", "acc{x}", "acc {}", "acc%s 50%", "top\\acc", "acc\n" * 200]
)
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_any_score_name_makes_a_file_name(kind: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The best checkpoint is a file in the work directory, and log, meta and the file itself name it."""
    caplog.set_level(logging.INFO)
    hook = EvalHook(Scored([1, 3, 2], name), by_epoch=kind == "epoch", save_best=name)
    messages = train(kind, 3, hook).meta["hook_msgs"]
    (file,) = Path("run").iterdir()
    assert file.is_file()
    assert file.name.startswith("best_")
    assert file.name.endswith(f"_{kind}_2.pth")
    assert messages["best_ckpt"] == str(file.absolute())
    assert f"at 2 {kind}: {file.name}" in caplog.text
    assert torch.load(file)["meta"]["hook_msgs"] == messages


@pytest.mark.parametrize("out_dir", [None, "elsewhere"])
@pytest.mark.parametrize("resumed", ["epoch_2.pth", "latest.pth"])
def test_best_is_found_after_the_run_was_moved(resumed: str, out_dir: str | None, tmp_path: Path) -> None:
    """The path of the best checkpoint is found from the folder of the checkpoint that is resumed."""
    first = make_runner("epoch", 2, work_dir="a/run", meta={})
    first.register_checkpoint_hook({"interval": 1})
    best_dir = None if out_dir is None else str(tmp_path / "a" / out_dir)
    first.register_hook(EvalHook(Scored([4, 1], "val/acc"), save_best="val/acc", out_dir=best_dir), "LOW")
    first.run([numbers(1)], [("train", 1)])
    old = Path(first.meta["hook_msgs"]["best_ckpt"])
    new = tmp_path / "b" / old.relative_to(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    second = make_runner("epoch", 3, work_dir="another", meta={})
    second.register_hook(EvalHook(Scored([0], "val/acc"), save_best="val/acc"), "LOW")
    second.resume(tmp_path / "b" / "run" / resumed)
    second.run([numbers(1)], [("train", 1)])
    assert second.meta["hook_msgs"]["best_ckpt"] == str(new)
    assert new.is_file()


def test_only_nan_keeps_nothing() -> None:
    """If all scores are NaN, there is no best checkpoint."""
    assert best([NAN, NAN]) == {}
    assert list(Path("run").iterdir()) == []


def test_best_by_iteration() -> None:
    """By iteration, the file name contains the iteration."""
    train("iter", 4, EvalHook(Scored([1, 3, 2, 0]), by_epoch=False, save_best="acc"))
    assert [path.name for path in Path("run").iterdir()] == ["best_acc_iter_2.pth"]


def test_best_checkpoint_has_the_evaluated_weights() -> None:
    """The file contains the evaluated weights and the score, and can be resumed from."""
    runner = make_runner("epoch", 3, work_dir="run", meta={})
    runner.register_optimizer_hook({})
    weights = Recorder(lambda stage, r: r.model.w.item() if stage == "after_train_epoch" else None)
    runner.register_hook(weights)
    runner.register_hook(EvalHook(Scored([1, 5, 3]), save_best="acc"), "LOW")
    runner.run([[torch.ones(1)]], [("train", 1)])
    saved = torch.load("run/best_acc_epoch_2.pth")
    assert saved["state_dict"]["w"].item() == pytest.approx(weights.seen[1])
    assert saved["meta"]["hook_msgs"]["best_score"] == 5
    assert saved["resume"]["position"]["epoch"] == 2


def test_old_best_is_removed_after_the_new_one_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new best checkpoint cannot be written, the old one is kept."""
    hook = EvalHook(Scored([1, 2]), save_best="acc")
    runner = make_runner("epoch", 2, work_dir="run", meta={})
    runner.register_hook(hook, "LOW")
    save = runner.save_checkpoint

    def failing(folder: str, name: str, **kwargs: Any) -> str:
        if name == "best_acc_epoch_2.pth":
            raise OSError("disk full")
        return str(save(folder, name, **kwargs))

    monkeypatch.setattr(runner, "save_checkpoint", failing)
    with pytest.raises(OSError, match="disk full"):
        runner.run([numbers(1)], [("train", 1)])
    assert [path.name for path in Path("run").iterdir()] == ["best_acc_epoch_1.pth"]


def test_best_is_restored_in_a_resumed_run() -> None:
    """A resumed run restores the best score, and replaces its file at a better one."""
    train("epoch", 2, EvalHook(Scored([1, 4]), save_best="acc"))
    assert [path.name for path in Path("run").iterdir()] == ["best_acc_epoch_2.pth"]
    second = make_runner("epoch", 8, work_dir="run", meta={})
    second.register_hook(EvalHook(Scored(SCORES[2:]), save_best="acc"), "LOW")
    second.resume("run/best_acc_epoch_2.pth")
    second.run([numbers(1)], [("train", 1)])
    assert [path.name for path in Path("run").iterdir()] == ["best_acc_epoch_4.pth"]
    assert second.meta["hook_msgs"]["best_score"] == 7


def test_resumed_run_does_not_repeat_the_initial_evaluation() -> None:
    """The evaluation before the first epoch is not repeated in a resumed run."""
    runner = make_runner("epoch", 2, work_dir="run", meta={})
    runner.register_hook(EvalHook(Scored(), start=0), "LOW")
    runner.register_checkpoint_hook({"interval": 1})
    runner.run([numbers(1)], [("train", 1)])
    loader, second = Scored(), make_runner("epoch", 2)
    second.register_hook(EvalHook(loader, start=0), "LOW")
    second.register_checkpoint_hook({"interval": 1})
    second.resume("run/epoch_1.pth")
    second.run([numbers(1)], [("train", 1)])
    assert len(loader.seen) == 1


def test_best_goes_to_out_dir() -> None:
    """With ``out_dir`` the best checkpoint goes to a folder in it with the name of the work directory."""
    best([1, 2], out_dir="elsewhere")
    assert [path.name for path in Path("elsewhere/run").iterdir()] == ["best_acc_epoch_2.pth"]


def test_best_is_copied_to_a_file_backend() -> None:
    """An ``out_dir`` that is not on a disk contains a copy of the best checkpoint only."""
    best([1, 2, 0], out_dir="memory://bucket")
    assert [path.name for path in Path("run").iterdir()] == ["best_acc_epoch_2.pth"]
    listed = FileClient(prefix="memory").list_dir_or_file("memory://bucket/run")
    assert list(listed) == ["best_acc_epoch_2.pth", "checkpoints.json"]


def test_without_save_best_nothing_is_saved() -> None:
    """Without ``save_best`` there is no checkpoint and no message in meta."""
    assert train("epoch", 2, EvalHook(Scored([1, 2]))).meta == {}
    assert list(Path("run").iterdir()) == []


def test_missing_meta_is_created(caplog: pytest.LogCaptureFixture) -> None:
    """A runner without meta gets one for the best score, with a warning."""
    runner = make_runner("epoch", 1)
    runner.register_hook(EvalHook(Scored([3]), save_best="acc"))
    with caplog.at_level(logging.WARNING, LOGGER.name):
        runner.run([numbers(1)], [("train", 1)])
    assert "The runner has no meta" in caplog.text
    assert runner.meta == {"hook_msgs": {"best_score": 3}}


def test_no_scores_warn(caplog: pytest.LogCaptureFixture) -> None:
    """If the dataset returns no scores, the warning of MMCV is logged."""
    loader = Scored()
    loader.evaluate = lambda *args, **kwargs: {}
    with caplog.at_level(logging.WARNING, LOGGER.name):
        train("epoch", 1, EvalHook(loader, save_best="acc"))
    assert "eval_res is empty" in caplog.text


@pytest.mark.parametrize(
    ("settings", "text"), [({"interval": 3}, "due after 3"), ({"start": 5}, "due after 5")]
)
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_evaluation_that_is_never_due_is_a_warning(
    kind: str, settings: dict[str, int], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An evaluation that is due only after the end of the run is a warning; one at the end is not."""
    with caplog.at_level(logging.WARNING, LOGGER.name):
        train(kind, 2, EvalHook(Scored(), by_epoch=kind == "epoch", **settings))
        assert text in caplog.text
        caplog.clear()
        train(kind, 2, EvalHook(Scored(), by_epoch=kind == "epoch", interval=2))
    assert caplog.text == ""


def test_save_best_must_be_one_of_the_scores() -> None:
    """A score that the dataset does not return is an error that lists those that it does."""
    with pytest.raises(HookError, match="save_best uses the score 'acc5', and the scores are acc, other"):
        train("epoch", 1, EvalHook(Scored(), save_best="acc5"))


def test_save_best_is_checked_before_the_run_if_the_names_are_known() -> None:
    """If the dataset has ``score_names``, a misspelt ``save_best`` is found before the first iteration."""

    class Telling(Scored):
        @classmethod
        def score_names(cls, metric: str) -> list[str]:
            return [metric, f"{metric}_per_class"]

    hook = EvalHook(
        Telling(name="mIoU"), save_best="mIuO", metric="mIoU"
    )  # the rule of that name cannot be guessed
    with pytest.raises(HookError, match=r"the scores are mIoU, mIoU_per_class\. Did you mean 'mIoU'"):
        train("epoch", 1, hook)
    assert hook.evaluations == 0
    train("epoch", 1, EvalHook(Telling(name="mIoU"), save_best="mIoU", metric="mIoU"))
    assert Path("run/best_mIoU_epoch_1.pth").is_file()


def test_scores_are_a_dict() -> None:
    """If ``evaluate`` of the dataset returns something else, a TypeError is raised."""
    loader = Scored()
    loader.evaluate = lambda *args, **kwargs: 0.5
    with pytest.raises(TypeError, match=r"returned no dict of scores, but 0.5"):
        train("epoch", 1, EvalHook(loader))


def test_other_arguments_are_passed_to_evaluate() -> None:
    """Arguments that the hook does not have are passed to ``evaluate`` of the dataset."""
    loader = Scored()
    train("epoch", 1, EvalHook(loader, metric="accuracy", topk=3))
    assert loader.seen == [{"metric": "accuracy", "topk": 3}]


RULES = [
    ("acc", "greater"),
    ("ACC", "greater"),
    ("top", "greater"),
    ("AR@100", "greater"),
    ("my_mAP_50", "greater"),
    ("loss", "less"),
    ("val_loss", "less"),
    ("loss_top", "greater"),
]


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_rule_is_guessed_from_the_name(name: str, rule: str) -> None:
    """Equal names take precedence over parts of names, and greater over less, in any case."""
    assert EvalHook(Scored(), save_best=name).rule == rule


def test_default_keys_can_be_overridden_in_a_subclass() -> None:
    """A subclass may have other default keys."""

    class Less(EvalHook):
        _default_greater_keys = ()
        _default_less_keys = ("loss_top",)

    assert Less(Scored(), save_best="loss_top").rule == "less"


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"interval": 0}, ValueError, "interval must be at least 1, not 0"),
    ({"interval": -1}, ValueError, "interval must be at least 1, not -1"),
    ({"start": -1}, ValueError, "start must be at least 0, not -1"),
    ({"save_best": True}, AssertionError, "save_best must be the name"),
    ({"by_epoch": 1}, AssertionError, "by_epoch must be True or False"),
    ({"rule": "greatest"}, KeyError, "Did you mean 'greater'"),
    ({"file_client_args": {"backend": "s3"}}, ValueError, "is for an out_dir, and there is none"),
    ({"save_best": "quality"}, ValueError, "set rule='greater' or 'less'"),
]


@pytest.mark.parametrize(("kwargs", "error", "text"), WRONG)
def test_wrong_arguments(kwargs: dict[str, Any], error: type[Exception], text: str) -> None:
    """Invalid arguments are refused when the hook is built."""
    with pytest.raises(error, match=text):
        EvalHook(Scored(), **kwargs)


class Noisy(nn.Module):
    """A model that draws a random number for each prediction."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, return_loss: bool = True) -> torch.Tensor:
        return torch.rand(len(x))

    def train_step(self, data: Any, optimizer: Any) -> dict[str, Any]:
        return {}


def test_evaluation_does_not_change_the_training() -> None:
    """An evaluation changes neither the mode of the model nor the random state."""
    loader = Scored()
    loader.__class__ = type("Batches", (Scored,), {"__iter__": lambda self: iter([{"x": torch.ones(3)}])})
    runner = make_runner("epoch", 1, Noisy())
    runner.register_hook(EvalHook(loader))
    before = RandomState.capture()
    recorder = Recorder(lambda stage, r: r.model.training if stage == "after_train_epoch" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(1)], [("train", 1)])
    assert recorder.seen == [True]
    assert same(RandomState.capture(), before)


class Lines(TextLoggerHook):
    """Records its lines."""

    def before_run(self, runner: Any) -> None:
        super().before_run(runner)
        self.lines: list[dict[str, Any]] = []

    def log(self, runner: Any) -> None:
        self.lines.append(dict(self.line(runner)))


@pytest.mark.parametrize("priority", ["NORMAL", "LOW"])
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_scores_are_logged_as_val(kind: str, priority: str) -> None:
    """The training is logged as train, then the scores as val, for any priority of the hook."""
    runner = make_runner(kind, 1)
    runner.register_timer_hook({})
    by_epoch = kind == "epoch"
    runner.register_hook(EvalHook(Scored([0.75]), by_epoch=by_epoch), priority)
    lines = Lines(interval=1, by_epoch=by_epoch)
    runner.register_hook(lines, "VERY_LOW")
    runner.run([numbers(1)], [("train", 1)])
    assert [line["mode"] for line in lines.lines] == ["train", "val"]
    assert "loss" in lines.lines[0]
    assert (lines.lines[1]["acc"], lines.lines[1]["iter"], lines.lines[1]["epoch"]) == (0.75, 7, 1)


def test_evaluation_needs_a_loader_with_a_dataset() -> None:
    """An object without a dataset is not a DataLoader."""
    with pytest.raises(TypeError, match="needs a DataLoader"):
        EvalHook([1, 2])


def test_hook_is_not_called_at_stages_that_it_does_not_need() -> None:
    """By epoch the hook is not called in iterations, and vice versa; a stage of a subclass is called."""

    class Looking(EvalHook):
        def after_train_iter(self, runner: Any) -> None:
            pass

    assert EvalHook(Scored()).get_triggered_stages() == [
        "before_run",
        "before_train_epoch",
        "after_train_epoch",
    ]
    by_iter = EvalHook(Scored(), by_epoch=False).get_triggered_stages()
    assert by_iter == ["before_run", "before_train_iter", "after_train_iter"]
    assert "after_train_iter" in Looking(Scored()).get_triggered_stages()


class Seen(TinyNet):
    """Records the images of validation steps and evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.scored: list[Any] = []
        self.validated: list[Any] = []

    def forward(self, img: torch.Tensor, *args: Any, return_loss: bool = True, **kwargs: Any) -> Any:
        if not return_loss:
            self.scored.append(img)
        return super().forward(img, *args, return_loss=return_loss, **kwargs)

    def val_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        self.validated.append(data["img"])
        return self.train_step(data)


@pytest.mark.parametrize("workers", [0, 1])
def test_flow_and_evaluation_may_share_a_loader(workers: int, tmp_path: Path) -> None:
    """Each evaluation uses all data, and the flow continues at its position, also in a resumed run."""

    def run(length: int, resume: str | None = None) -> Seen:
        torch.manual_seed(0)
        loader = build_dataloader(Squares(23, [CROP, *TO_TENSORS]), 5, workers, seed=3, shuffle=False)
        model = Seen()
        runner = make_runner("iter", length, model, work_dir=tmp_path, meta={})
        runner.register_training_hooks(None, {}, {"interval": 1})
        runner.register_hook(EvalHook(loader, interval=3, by_epoch=False), "LOW")
        if resume is not None:
            runner.resume(tmp_path / resume)
        runner.run([squares_loader(), loader], [("train", 2), ("val", 2)])
        loader.close()
        return model

    whole = run(12)
    assert len(whole.scored) == 4 * 5
    assert same(whole.scored[:5], whole.scored[15:])
    expected = [
        *iterate_epoch(build_dataloader(Squares(23, [CROP, *TO_TENSORS]), 5, seed=3, shuffle=False), 0)
    ]
    assert same(whole.validated[:5], [batch["img"] for batch in expected])
    resumed = run(12, "iter_5.pth")  # within an epoch of the flow
    assert same(resumed.scored, whole.scored[5:])
    assert same(resumed.validated, whole.validated[4:])


class Stream:
    """A loader without a length that yields no batch."""

    dataset = Scored([0.0])

    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_empty_dataset_is_an_error_before_the_run(kind: str) -> None:
    """A dataset without samples has no scores; it is found before the first iteration."""
    hook = EvalHook(squares_loader(size=0), by_epoch=kind == "epoch")
    runner = make_runner(kind, 1)
    runner.register_hook(hook)
    with pytest.raises(ArgumentError, match=r"yields no batches.*0 samples"):
        runner.run([numbers(1)], [("train", 1)])
    assert runner.mode is None


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_empty_stream_is_an_error_at_the_evaluation(kind: str) -> None:
    """The length of a stream is only known then; without samples there is no score."""
    runner = make_runner(kind, 1)
    runner.register_hook(EvalHook(Stream(), by_epoch=kind == "epoch"))
    with pytest.raises(ArgumentError, match="yields no batches"):
        runner.run([numbers(1)], [("train", 1)])


def loader_of(**attributes: Any) -> Any:
    """An object of a new class with these attributes."""
    return type("Loader", (), {"dataset": Scored(), **attributes})()


NO_LOADERS = [
    (loader_of(), "Loader cannot be iterated over"),
    (loader_of(dataset=None, __iter__=lambda self: iter(())), "NoneType has none"),
    (loader_of(dataset=[1], __iter__=lambda self: iter(())), "list has none"),
    (loader_of(__iter__=lambda self: self, __next__=lambda self: {}), "Loader is an iterator"),
    (IterLoader(Scored()), "IterLoader is an iterator"),
]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(("loader", "text"), NO_LOADERS)
def test_invalid_loader_is_refused_before_the_run(kind: str, loader: Any, text: str) -> None:
    """An object that no evaluation could read is found before the first iteration."""
    runner = make_runner(kind, 1)
    runner.register_hook(EvalHook(loader, by_epoch=kind == "epoch"))
    with pytest.raises(TypeError, match=text):
        runner.run([numbers(1)], [("train", 1)])
    assert runner.mode is None


@pytest.mark.parametrize(
    ("loader", "kwargs", "text"),
    [
        (None, {}, "needs a DataLoader"),
        (5, {}, "needs a DataLoader"),
        (torch.utils.data.DataLoader, {}, "needs a DataLoader"),
        (type(loader_of()), {}, "not the class Loader itself"),
        (Scored(), {"test_fn": "single_gpu_test"}, "test_fn must be a function"),
    ],
)
def test_invalid_loader_is_refused(loader: Any, kwargs: dict[str, Any], text: str) -> None:
    """An object that cannot be a loader, or a function, is refused when the hook is built."""
    with pytest.raises(TypeError, match=text):
        EvalHook(loader, **kwargs)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_subclass_may_score_without_the_dataset(kind: str) -> None:
    """If a subclass overrides ``evaluate``, the dataset needs none, and the loader needs no length."""

    class Own(EvalHook):
        def evaluate(self, runner: Any, results: Any) -> dict[str, Any]:
            return {"acc": float(len(results))}

    hook = Own(loader_of(dataset=None, __iter__=lambda self: iter(())), by_epoch=kind == "epoch")
    hook.test_fn = lambda model, loader: [1, 2]
    runner = make_runner(kind, 1)
    runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert hook.scores == {"acc": 2.0}


class NetWithLoss(TinyNet):
    """Returns the loss with its predictions."""

    def forward_with_loss(self, img: torch.Tensor, gt_label: torch.Tensor) -> Any:
        scores = self(img, return_loss=False)
        return scores, {"loss": nn.functional.cross_entropy(scores, gt_label), "acc": torch.zeros(())}


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_loss_is_logged_with_the_scores(kind: str) -> None:
    """It is the mean over the samples, and neither replaces a score nor is one that the best checkpoint is chosen by."""
    model = NetWithLoss()
    loader = build_dataloader(Squares(pipeline=TO_TENSORS), 5, shuffle=False)
    hook = EvalHook(loader, interval=5 if kind == "iter" else 1, by_epoch=kind == "epoch", save_best="auto")
    runner = make_runner(kind, 5 if kind == "iter" else 1, model, work_dir="run", meta={})
    runner.register_optimizer_hook({})
    runner.register_hook(hook, "LOW")
    runner.register_logger_hooks({"hooks": [{"type": "TextLoggerHook", "interval": 3}]})
    runner.run([squares_loader()], [("train", 1)])
    (file,) = Path("run").glob("*.log.json")
    val = json.loads(file.read_text().splitlines()[-1])
    model.eval()
    with torch.no_grad():
        total = sum(float(model(**batch)) * len(batch["img"]) for batch in loader)
    assert val["mode"] == "val"
    assert val["loss"] == pytest.approx(total / 23, abs=1e-4)
    assert hook.losses == {"loss": pytest.approx(total / 23)}
    assert hook.scores == {"acc": pytest.approx(val["acc"], abs=1e-5)}
    assert hook.save_best == "acc"
    assert hook.evaluated_iters == 5


class OldEval(EvalHook):
    """An evaluation of a project for MMCV 1.x, which overrides what MMCV's own calls."""

    def _do_evaluate(self, runner: Any) -> None:
        if not self._should_evaluate(runner):
            return
        key_score = self.evaluate(runner, ["mine"])
        if self.save_best:
            self._save_ckpt(runner, key_score)


class OldScore(OldEval):
    """One that returns the score of ``save_best``."""

    def evaluate(self, runner: Any, results: Any) -> Any:
        scores = self.dataloader.dataset.evaluate(results)
        if self.key_indicator == "auto":
            self._init_rule(self.rule, next(iter(scores)))
        return scores[self.key_indicator]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize("hook", [OldEval, OldScore])
@pytest.mark.parametrize("save_best", ["acc", "auto"])
def test_a_subclass_for_mmcv(kind: str, hook: Any, save_best: str) -> None:
    """Its own evaluation runs when one is due, and the best checkpoint is kept for its score."""
    loader = Scored([0.2, 0.7, 0.4])
    made = hook(loader, interval=2, save_best=save_best, by_epoch=kind == "epoch")
    runner = train(kind, 6, made)
    assert len(loader.seen) == 3
    messages = runner.meta["hook_msgs"]
    assert messages["best_score"] == 0.7
    assert Path(messages["best_ckpt"]).name == f"best_acc_{kind}_4.pth"
    assert [path.name for path in Path("run").glob("best*")] == [f"best_acc_{kind}_4.pth"]


def test_a_subclass_that_returns_a_score() -> None:
    """If only ``evaluate`` is overridden, and returns one number, it is that of ``save_best``."""

    class Score(EvalHook):
        def evaluate(self, runner: Any, results: Any) -> Any:
            return next(self.dataloader.scores)

    runner = train("epoch", 3, Score(Scored([0.2, 0.7, 0.4]), save_best="acc"))
    assert runner.meta["hook_msgs"]["best_score"] == 0.7
    assert runner.hooks[0].scores == {"acc": 0.4}
