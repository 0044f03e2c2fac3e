from __future__ import annotations

from typing import Any

import pytest
from tiny import LOGGER, Scalar

from cfgtrain.runner import (
    RUNNER_BUILDERS,
    DefaultRunnerConstructor,
    EpochBasedRunner,
    IterBasedRunner,
    build_runner,
    build_runner_constructor,
)


def given() -> dict[str, Any]:
    return {"model": Scalar(), "logger": LOGGER}


@pytest.mark.parametrize(
    ("cfg", "kind"),
    [
        ({"type": "EpochBasedRunner", "max_epochs": 1}, EpochBasedRunner),
        ({"type": "IterBasedRunner", "max_iters": 1}, IterBasedRunner),
    ],
)
def test_runner_from_its_config(cfg: dict[str, Any], kind: type) -> None:
    """The config gives type and length, ``default_args`` the other arguments; the config is not changed."""
    before = dict(cfg)
    runner = build_runner(cfg, default_args=given())
    assert type(runner) is kind
    assert 1 in (runner.max_epochs, runner.max_iters)
    assert cfg == before


def test_both_lengths_are_refused() -> None:
    """``max_epochs`` and ``max_iters`` cannot be given together."""
    with pytest.raises(ValueError, match="Only one of"):
        build_runner({"type": "IterBasedRunner", "max_iters": 1, "max_epochs": 1}, default_args=given())


def test_custom_constructor() -> None:
    """A config may name a custom constructor, which can set attributes of the runner."""

    @RUNNER_BUILDERS.register_module()
    class WithTeacher(DefaultRunnerConstructor):
        def __call__(self) -> Any:
            runner = super().__call__()
            runner.teacher = "teacher"
            return runner

    cfg = {"type": "EpochBasedRunner", "max_epochs": 3, "constructor": "WithTeacher"}
    runner = build_runner(cfg, default_args=given())
    assert (runner.teacher, runner.max_epochs) == ("teacher", 3)
    assert cfg["constructor"] == "WithTeacher"


def test_constructor_from_its_config() -> None:
    """A constructor can be built separately."""
    made = build_runner_constructor(
        {
            "type": "DefaultRunnerConstructor",
            "runner_cfg": {"type": "IterBasedRunner", "max_iters": 4},
            "default_args": given(),
        }
    )
    assert made().max_iters == 4


@pytest.mark.parametrize("wrong", [None, "EpochBasedRunner", 3])
def test_config_is_a_dict(wrong: Any) -> None:
    """Any other type is a TypeError."""
    with pytest.raises(TypeError, match="must be a dict"):
        build_runner(wrong)
    with pytest.raises(TypeError, match="must be a dict"):
        DefaultRunnerConstructor(wrong)
