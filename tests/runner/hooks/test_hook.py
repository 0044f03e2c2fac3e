from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cfgtrain.runner import Hook

GENERIC = ["before_epoch", "after_epoch", "before_iter", "after_iter"]


def overriding(*names: str) -> Hook:
    return type("Mine", (Hook,), {name: lambda self, runner: None for name in names})()


def test_stages_are_those_of_mmcv() -> None:
    """The ten stages have the names and the order of MMCV."""
    assert Hook.stages == (
        "before_run",
        "before_train_epoch",
        "before_train_iter",
        "after_train_iter",
        "after_train_epoch",
        "before_val_epoch",
        "before_val_iter",
        "after_val_iter",
        "after_val_epoch",
        "after_run",
    )


@pytest.mark.parametrize("generic", GENERIC)
@pytest.mark.parametrize("mode", ["train", "val"])
def test_generic_methods_are_called_in_both_modes(generic: str, mode: str) -> None:
    """``before_epoch`` and the other generic methods are called for the stages of both modes."""
    seen: list[Any] = []
    hook = type("Mine", (Hook,), {generic: lambda self, runner: seen.append(runner)})()
    getattr(hook, generic.replace("_", f"_{mode}_"))("runner")
    assert seen == ["runner"]


@pytest.mark.parametrize(
    ("overridden", "stages"),
    [
        ((), []),
        (("before_run", "after_epoch"), ["before_run", "after_train_epoch", "after_val_epoch"]),
        (("after_run", "before_train_iter"), ["before_train_iter", "after_run"]),
        (("before_iter",), ["before_train_iter", "before_val_iter"]),
        (("before_iter", "before_val_iter"), ["before_train_iter", "before_val_iter"]),
    ],
)
def test_triggered_stages(overridden: tuple[str, ...], stages: list[str]) -> None:
    """A hook returns the stages at which it is called, in order."""
    assert overriding(*overridden).get_triggered_stages() == stages


def test_method_set_on_the_instance() -> None:
    """A method that is set on an instance is called, too."""
    hook = Hook()
    hook.after_run = print
    assert hook.get_triggered_stages() == ["after_run"]


COUNTS = [
    ("every_n_epochs", {"epoch": 2}, 3, True),
    ("every_n_epochs", {"epoch": 3}, 3, False),
    ("every_n_epochs", {"epoch": 0}, 0, False),
    ("every_n_epochs", {"epoch": 0}, -1, False),
    ("every_n_iters", {"iter": 3}, 4, True),
    ("every_n_iters", {"iter": 4}, 4, False),
    ("every_n_iters", {"iter": 4}, 0, False),
    ("every_n_inner_iters", {"inner_iter": 1}, 2, True),
    ("every_n_inner_iters", {"inner_iter": 2}, 2, False),
    ("every_n_inner_iters", {"inner_iter": 2}, -1, False),
]


@pytest.mark.parametrize(("method", "counters", "n", "expected"), COUNTS)
def test_every_n(method: str, counters: dict[str, int], n: int, expected: bool) -> None:
    """The count starts at one; for n below one the result is always False."""
    assert getattr(Hook(), method)(SimpleNamespace(**counters), n) is expected


LASTS = [
    ("end_of_epoch", {"inner_iter": 4, "data_loader": range(5)}, True),
    ("end_of_epoch", {"inner_iter": 3, "data_loader": range(5)}, False),
    ("is_last_epoch", {"epoch": 1, "max_epochs": 2}, True),
    ("is_last_epoch", {"epoch": 0, "max_epochs": 2}, False),
    ("is_last_epoch", {"epoch": 0, "max_epochs": None}, False),
    ("is_last_iter", {"iter": 9, "max_iters": 10}, True),
    ("is_last_iter", {"iter": 8, "max_iters": 10}, False),
]


@pytest.mark.parametrize(("method", "counters", "expected"), LASTS)
def test_last(method: str, counters: dict[str, Any], expected: bool) -> None:
    """The last iteration of an epoch, and the last epoch and iteration of a run, are recognized."""
    assert getattr(Hook(), method)(SimpleNamespace(**counters)) is expected


def test_plain_hook_has_no_state() -> None:
    """By default a hook saves and restores nothing."""
    hook = Hook()
    hook.load_state_dict({"a": 1})
    assert hook.state_dict() == {}
