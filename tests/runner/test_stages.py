from __future__ import annotations

from typing import Any

import pytest
from tiny import make_runner, numbers

from cfgtrain.errors import HookError
from cfgtrain.runner import Hook
from cfgtrain.runner.stages import check_stages


def hook_with(*names: str) -> Hook:
    return type("Mine", (Hook,), {name: lambda self, runner: None for name in names})()


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("before_train_itr", "before_train_iter"),
        ("after_train_iters", "after_train_iter"),
        ("before_runs", "before_run"),
        ("after_train_epochs", "after_train_epoch"),
        ("before_epochs", "before_epoch"),
    ],
)
def test_misspelt_stage_is_refused(slip: str, meant: str) -> None:
    """A method with a name similar to a stage would never be called, so it is refused."""
    with pytest.raises(HookError, match=f"Mine.{slip} would never be called.*Did you mean '{meant}'"):
        check_stages(hook_with(slip), Hook.stages)


def test_misspelt_stage_on_the_instance_is_refused() -> None:
    """Methods that are set on the instance are checked as well."""
    hook = Hook()
    hook.after_train_iterr = print
    with pytest.raises(HookError, match="after_train_iter'"):
        check_stages(hook, Hook.stages)


@pytest.mark.parametrize(
    "name", ["before_everything", "after_all_is_done", "train_iter", "_before_run", "beforehand"]
)
def test_other_names_are_left_alone(name: str) -> None:
    """A hook may have methods with names that are not similar to a stage."""
    check_stages(hook_with(name), Hook.stages)


def test_plain_attribute_is_not_a_misspelt_stage() -> None:
    """Only callable attributes are checked."""
    hook = Hook()
    hook.after_train_iters = 5
    check_stages(hook, Hook.stages)


@pytest.mark.parametrize("name", [*Hook.stages, "before_epoch", "after_epoch", "before_iter", "after_iter"])
def test_the_fourteen_methods_are_known(name: str) -> None:
    """No method that a runner calls is reported as a misspelling of another."""
    check_stages(hook_with(name), Hook.stages)


def acting_at(*names: str, **attributes: Any) -> Hook:
    hook = hook_with(*names)
    vars(hook).update(attributes)
    return hook


@pytest.mark.parametrize(
    ("kind", "hook", "why"),
    [
        (
            "iter",
            acting_at("before_train_epoch"),
            "acts only at before_train_epoch, and this runner has no such stage",
        ),
        ("iter", acting_at("before_run", "after_val_epoch"), "only at after_val_epoch"),
        ("iter", acting_at("after_train_iter", by_epoch=True), "counts epochs"),
        ("epoch", acting_at("after_val_epoch", "after_val_iter"), "the workflow has no val flow"),
    ],
)
def test_inactive_hook_is_warned_about(
    kind: str, hook: Hook, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the run a warning names each hook that would never do anything in it, with the reason."""
    runner = make_runner(kind, 1)
    runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert f"{type(hook).__name__} never does anything in this run" in caplog.text
    assert why in caplog.text


@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        ("iter", acting_at("after_epoch")),
        ("iter", acting_at("before_iter")),
        ("iter", acting_at("before_run")),
        ("iter", acting_at("after_train_iter", by_epoch=False)),
        ("epoch", acting_at("after_train_iter", "after_val_epoch")),
        ("epoch", acting_at("after_val_epoch", "after_measure_iter")),
        ("epoch", Hook()),
    ],
)
def test_active_hook_is_not_warned_about(kind: str, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    """There is no warning for a hook with a stage that the run calls, or with custom stages."""
    runner = make_runner(kind, 1)
    runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert "never does anything" not in caplog.text
