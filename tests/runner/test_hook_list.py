from __future__ import annotations

import random
from typing import Any

import pytest
from tiny import LOGGER, Recorder, Scalar, make_runner, numbers

from cfgtrain.errors import HookError
from cfgtrain.registries import HOOKS
from cfgtrain.runner import EpochBasedRunner, Hook, IterTimerHook, OptimizerHook, Priority
from cfgtrain.runner.hook_list import HookList


def names(runner: Any) -> list[str]:
    return [type(hook).__name__ for hook in runner.hooks]


def custom(name: str, priority: Any = None) -> dict[str, Any]:
    """Register a hook class with this name and return its config."""
    HOOKS.register_module(module=type(name, (Hook,), {}))
    return {"type": name, **({} if priority is None else {"priority": priority})}


def test_training_hooks_are_ordered_by_priority() -> None:
    """Schedules run first, then the optimizer, the checkpoint, the timer, custom hooks and the loggers."""
    runner = make_runner("epoch", 1)
    runner.register_training_hooks(
        {"policy": "step", "step": 1},
        optimizer_config={},
        checkpoint_config={"interval": 1},
        log_config={"interval": 5, "hooks": [{"type": "TextLoggerHook"}]},
        momentum_config={"policy": "step", "step": 1},
        custom_hooks_config=[custom("First", 1), custom("Middle"), custom("Late", 89)],
    )
    assert names(runner) == [
        "First",
        "StepLrUpdaterHook",
        "StepMomentumUpdaterHook",
        "OptimizerHook",
        "CheckpointHook",
        "Middle",
        "IterTimerHook",
        "Late",
        "TextLoggerHook",
    ]
    assert [hook.priority for hook in runner.hooks] == [1, 10, 30, 40, 50, 50, 70, 89, 90]


def test_named_priorities_sort_by_value() -> None:
    """Hooks with the nine named priorities, registered in any order, are sorted by priority."""
    runner = make_runner("epoch", 1)
    for name in random.sample([p.name for p in Priority], 9):
        runner.register_hook(Hook(), name)
    assert [hook.priority for hook in runner.hooks] == [p.value for p in Priority]


def test_equal_priorities_keep_the_order_of_registration() -> None:
    """Of hooks with one priority, the one that was registered first runs first."""
    runner, hooks = make_runner("epoch", 1), [Hook() for _ in range(3)]
    for hook in hooks:
        runner.register_hook(hook)
    assert runner.hooks == hooks


def test_numbers_sort_around_names() -> None:
    """49 runs before NORMAL, 51 after it."""
    runner = make_runner("epoch", 1)
    for priority in (51, "NORMAL", 49):
        runner.register_hook(Hook(), priority)
    assert [hook.priority for hook in runner.hooks] == [49, 50, 51]


def test_default_timer_can_be_left_out() -> None:
    """A training without hook configs has only a timer; None removes it too."""
    runner = make_runner("epoch", 1)
    runner.register_training_hooks(None)
    assert names(runner) == ["IterTimerHook"]
    runner = make_runner("epoch", 1)
    runner.register_training_hooks(None, timer_config=None)
    assert names(runner) == []


@pytest.mark.parametrize(
    "method",
    [
        "lr_hook",
        "momentum_hook",
        "optimizer_hook",
        "checkpoint_hook",
        "timer_hook",
        "logger_hooks",
        "custom_hooks",
    ],
)
def test_none_registers_nothing(method: str) -> None:
    """None means no hook, for every key."""
    runner = make_runner("epoch", 1)
    getattr(runner, f"register_{method}")(None)
    assert runner.hooks == []


@pytest.mark.parametrize(
    ("method", "priority"),
    [
        ("lr_hook", 10),
        ("momentum_hook", 30),
        ("optimizer_hook", 40),
        ("checkpoint_hook", 50),
        ("timer_hook", 70),
        ("custom_hooks", 50),
    ],
)
def test_hook_instance_is_accepted(method: str, priority: int) -> None:
    """A Hook can be given instead of a config, and gets the priority of its key."""
    runner, hook = make_runner("iter", 1), Hook()
    getattr(runner, f"register_{method}")(hook)
    assert runner.hooks == [hook]
    assert hook.priority == priority


def test_hook_is_registered_once() -> None:
    """The same instance cannot be registered twice."""
    runner, hook = make_runner("epoch", 1), Hook()
    runner.register_hook(hook)
    with pytest.raises(HookError, match="registered already"):
        runner.register_hook(hook)
    assert runner.hooks == [hook]


@pytest.mark.parametrize("other", [object(), Hook, "Hook", None])
def test_only_hooks_are_registered(other: Any) -> None:
    """An object that is not a Hook is refused."""
    with pytest.raises(HookError, match="A hook must be a Hook"):
        make_runner("epoch", 1).register_hook(other)


def test_misspelt_stage_is_found_on_registration() -> None:
    """A hook with a misspelt stage is refused, and the list is not changed."""
    runner, hook = make_runner("epoch", 1), Hook()
    hook.before_train_itre = print
    with pytest.raises(HookError, match="before_train_iter"):
        runner.register_hook(hook)
    assert runner.hooks == []
    assert not hasattr(hook, "priority")


def test_hook_from_a_config() -> None:
    """A config gives the type, the arguments and the priority, and is not changed."""
    runner, cfg = make_runner("epoch", 1), {"type": "OptimizerHook", "cumulative_iters": 3, "priority": "LOW"}
    runner.register_hook_from_cfg(cfg)
    (hook,) = runner.hooks
    assert isinstance(hook, OptimizerHook)
    assert (hook.cumulative_iters, hook.priority) == (3, 70)
    assert cfg == {"type": "OptimizerHook", "cumulative_iters": 3, "priority": "LOW"}


def test_hook_config_needs_a_type() -> None:
    """A config without ``type`` is an error."""
    with pytest.raises(KeyError, match="type"):
        make_runner("epoch", 1).register_hook_from_cfg({"priority": 1})


def test_custom_hooks_may_be_one_or_a_list() -> None:
    """Dicts and hooks can be mixed in a list; a single one needs no list."""
    runner = make_runner("epoch", 1)
    runner.register_custom_hooks([{"type": "IterTimerHook", "priority": "HIGHEST"}, Hook()])
    runner.register_custom_hooks({"type": "IterTimerHook"})
    assert [(type(hook), hook.priority) for hook in runner.hooks] == [
        (IterTimerHook, 0),
        (Hook, 50),
        (IterTimerHook, 50),
    ]


def test_table_of_hooks() -> None:
    """The table lists, for each stage, the hooks that override it, by priority."""
    runner = make_runner("epoch", 1)
    runner.register_optimizer_hook({})
    runner.register_hook(IterTimerHook(), 71)
    blocks = runner.get_hook_info().split("\n" + " " + "-" * 20 + " ")
    assert blocks[0] == "\n".join(
        ["before_run:", f"(ABOVE_NORMAL) {'OptimizerHook':<35}", f"(71          ) {'IterTimerHook':<35}"]
    )
    (after,) = [block for block in blocks if block.startswith("\nafter_train_iter:")]
    assert after.split() == [
        "after_train_iter:",
        "(ABOVE_NORMAL)",
        "OptimizerHook",
        "(71",
        ")",
        "IterTimerHook",
    ]


def test_table_has_the_stages_of_the_runner() -> None:
    """The table of an iteration runner lists only the stages that it calls."""
    runner = make_runner("iter", 1)
    runner.register_hook(IterTimerHook())
    stages = [line[:-1] for line in runner.get_hook_info().splitlines() if line.endswith(":")]
    assert stages == [
        "before_run",
        "before_epoch",
        "before_train_iter",
        "after_train_iter",
        "before_val_iter",
        "after_val_iter",
    ]


def test_stages_of_a_custom_flow_are_known() -> None:
    """For a runner with a flow ``test``, ``before_test_epoch`` is not a misspelt stage."""
    hook = Hook()
    hook.before_test_epoch = print
    with pytest.raises(HookError, match="would never be called"):
        make_runner("epoch", 1).register_hook(hook)

    class Testing(EpochBasedRunner):
        def test(self, data_loader: Any, **kwargs: Any) -> None:
            self.call_hook("before_test_epoch")

    runner = Testing(Scalar(), logger=LOGGER, max_epochs=1)
    runner.register_hook(hook)
    assert runner.hooks == [hook]


def test_profiler_is_registered_on_demand() -> None:
    """``register_profiler_hook`` adds a profiler; ``register_training_hooks`` does not."""
    runner = make_runner("epoch", 1)
    runner.register_profiler_hook(None)
    assert runner.hooks == []
    runner.register_profiler_hook({"activities": ["cpu"]})
    assert [(type(hook).__name__, hook.priority) for hook in runner.hooks] == [("ProfilerHook", 50)]


class BeforeIter(Hook):
    def before_iter(self, runner: Any) -> None:
        pass


class AfterTrainIter(Hook):
    def after_train_iter(self, runner: Any) -> None:
        pass


def list_of(hooks: list[Hook]) -> HookList:
    hook_list = HookList()
    hook_list.hooks += hooks
    return hook_list


def test_only_overridden_methods_are_called() -> None:
    """The methods of a stage are those of the hooks that override it, in order."""
    hooks = [BeforeIter(), Hook(), AfterTrainIter(), BeforeIter()]
    assert list_of(hooks).methods("before_train_iter") == [hooks[0].before_iter, hooks[3].before_iter]
    assert list_of(hooks).methods("before_run") == []


def test_methods_are_looked_up_once() -> None:
    """The table keeps the methods while the list of hooks is the same."""
    hooks = list_of([BeforeIter()])
    assert hooks.methods("before_val_iter") is hooks.methods("before_val_iter")


def test_changed_list_of_hooks_is_noticed() -> None:
    """Code may edit the list of the runner directly, also during a run."""
    runner, seen = make_runner("epoch", 1), []
    first, second = (Recorder(lambda stage, runner, n=n: seen.append(n)) for n in (1, 2))
    runner.register_hook(first)
    runner.call_hook("before_train_iter")
    runner._hooks.append(second)
    runner.call_hook("before_train_iter")
    runner._hooks[:] = [second]
    runner.call_hook("before_train_iter")
    assert seen == [1, 1, 2, 2]


def test_each_run_looks_up_the_methods_again() -> None:
    """A method that was set on a hook after the last run is called in the next one."""
    runner, hook, seen = make_runner("epoch", 1), Hook(), []
    runner.register_hook(hook)
    runner.call_hook("before_run")
    hook.before_run = seen.append
    runner.run([numbers(1)], [("train", 1)])
    assert seen == [runner]


def test_custom_stage_can_be_called() -> None:
    """A custom runner may call a stage that only some hooks have."""
    hook = type("Mine", (Hook,), {"after_test_epoch": lambda self, runner: None})()
    assert list_of([Hook(), hook]).methods("after_test_epoch") == [hook.after_test_epoch]


def test_unknown_stage_is_an_error() -> None:
    """A stage that no hook has is an error with a suggestion."""
    with pytest.raises(HookError, match=r"no stage 'befor_run'. Did you mean 'before_run'"):
        list_of([Hook()]).methods("befor_run")
