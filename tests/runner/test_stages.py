from __future__ import annotations

from typing import Any

import pytest
from tiny import Recorder, make_runner, numbers

from cfgtrain.errors import HookError
from cfgtrain.runner import Hook
from cfgtrain.runner.stages import StageTable, check_stages


class BeforeIter(Hook):
    def before_iter(self, runner: Any) -> None:
        pass


class AfterTrainIter(Hook):
    def after_train_iter(self, runner: Any) -> None:
        pass


def hook_with(*names: str) -> Hook:
    return type("Mine", (Hook,), {name: lambda self, runner: None for name in names})()


def table_of(hooks: list[Hook]) -> StageTable:
    table = StageTable()
    table.follow(hooks)
    return table


def test_only_hooks_with_something_to_do_are_called() -> None:
    """A stage's methods are those of the hooks that override it, in order."""
    hooks = [BeforeIter(), Hook(), AfterTrainIter(), BeforeIter()]
    assert table_of(hooks)["before_train_iter"] == [hooks[0].before_iter, hooks[3].before_iter]
    assert table_of(hooks)["before_run"] == []


def test_methods_are_looked_up_once() -> None:
    """The table keeps what it found while the list of hooks is the same."""
    table = table_of([BeforeIter()])
    assert table["before_val_iter"] is table["before_val_iter"]


def test_changed_list_of_hooks_is_noticed() -> None:
    """Code that edits the runner's list directly, in the middle of a run too, is followed."""
    runner, seen = make_runner("epoch", 1), []
    first, second = (Recorder(lambda stage, runner, n=n: seen.append(n)) for n in (1, 2))
    runner.register_hook(first)
    runner.call_hook("before_train_iter")
    runner._hooks.append(second)
    runner.call_hook("before_train_iter")
    runner._hooks[:] = [second]
    runner.call_hook("before_train_iter")
    assert seen == [1, 1, 2, 2]


def test_run_looks_at_hooks_anew() -> None:
    """A method that was set on a hook after the last run is called in the next one."""
    runner, hook, seen = make_runner("epoch", 1), Hook(), []
    runner.register_hook(hook)
    runner.call_hook("before_run")
    hook.before_run = seen.append
    runner.run([numbers(1)], [("train", 1)])
    assert seen == [runner]


def test_stage_of_a_hooks_own_can_be_called() -> None:
    """A runner of one's own may call a stage that only some hooks have."""
    hook = hook_with("after_test_epoch")
    assert table_of([Hook(), hook])["after_test_epoch"] == [hook.after_test_epoch]


def test_unknown_stage_is_an_error() -> None:
    """A stage that no hook has is refused with a suggestion."""
    with pytest.raises(HookError, match=r"no stage 'befor_run'. Did you mean 'before_run'"):
        table_of([Hook()])["befor_run"]


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
    """A method that looks like a stage but is none would never be called: it is refused."""
    with pytest.raises(HookError, match=f"Mine.{slip} would never be called.*Did you mean '{meant}'"):
        check_stages(hook_with(slip), Hook.stages)


def test_misspelt_stage_on_the_instance_is_refused() -> None:
    """Methods that are set on the instance count as well."""
    hook = Hook()
    hook.after_train_iterr = print
    with pytest.raises(HookError, match="after_train_iter'"):
        check_stages(hook, Hook.stages)


@pytest.mark.parametrize(
    "name", ["before_everything", "after_all_is_done", "train_iter", "_before_run", "beforehand"]
)
def test_other_names_are_left_alone(name: str) -> None:
    """A hook may have methods of its own whose names are not close to a stage."""
    check_stages(hook_with(name), Hook.stages)


def test_plain_attribute_is_no_misspelt_stage() -> None:
    """Only what can be called could have been meant as a stage."""
    hook = Hook()
    hook.after_train_iters = 5
    check_stages(hook, Hook.stages)


@pytest.mark.parametrize("name", [*Hook.stages, "before_epoch", "after_epoch", "before_iter", "after_iter"])
def test_the_fourteen_methods_are_known(name: str) -> None:
    """None of the methods that a runner calls is taken for a slip of another."""
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
            "acts at before_train_epoch alone, and this runner has no such stage",
        ),
        ("iter", acting_at("before_run", "after_val_epoch"), "after_val_epoch alone"),
        ("iter", acting_at("after_train_iter", by_epoch=True), "counts epochs"),
        ("epoch", acting_at("after_val_epoch", "after_val_iter"), "the workflow has no val flow"),
    ],
)
def test_hook_that_never_fires_is_told_of(
    kind: str, hook: Hook, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the run a warning names each hook that would never do anything in it, and why."""
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
def test_hook_that_may_fire_is_not_warned_of(kind: str, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    """No warning for a hook that one stage of the run reaches, or that has stages of its own."""
    runner = make_runner(kind, 1)
    runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert "never does anything" not in caplog.text
