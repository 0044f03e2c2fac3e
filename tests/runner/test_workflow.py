from __future__ import annotations

from typing import Any

import pytest
from tiny import make_runner, numbers

from cfgtrain.runner.workflow import check_workflow, flow_method

WRONG: list[tuple[Any, Any, type[Exception], str]] = [
    ([1], [["train", 1]], TypeError, "list of \\(mode, times\\)"),
    ([1], (("train", 1),), TypeError, "list of \\(mode, times\\)"),
    ([1], [("train", 1, 2)], TypeError, "list of \\(mode, times\\)"),
    ([1], [("train", 1), ("val", 1)], AssertionError, "needs a list of 2 data loaders"),
    ((1,), [("train", 1)], AssertionError, "needs a list of 1 data loaders"),
    ([1], [(1, 1)], TypeError, "The mode of a flow is a str"),
    ([1], [("trian", 1)], ValueError, "no flow 'trian'. Did you mean 'train'"),
    ([1], [("epoch", 1)], ValueError, "no flow 'epoch'"),
    ([1], [("train", 0)], ValueError, "once or more often, not 0 times"),
    ([1], [("train", "2")], ValueError, "once or more often, not '2' times"),
    ([1], [("val", 1)], ValueError, "it would never end"),
    ([], [], ValueError, "it would never end"),
]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(("loaders", "workflow", "error", "text"), WRONG)
def test_wrong_workflow_is_refused(
    kind: str, loaders: Any, workflow: Any, error: type[Exception], text: str
) -> None:
    """A workflow that cannot be run, or would never end, is refused with the reason."""
    with pytest.raises(error, match=text):
        check_workflow(make_runner(kind, 1), loaders, workflow)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_wrong_workflow_is_refused_before_anything_runs(kind: str) -> None:
    """Nothing is called when a later flow of the workflow is wrong."""
    runner = make_runner(kind, 1)
    with pytest.raises(ValueError, match="trian"):
        runner.run([numbers(1), numbers(1)], [("train", 1), ("trian", 1)])
    assert runner.mode is None


def test_right_workflow_passes() -> None:
    """Several flows, each with its loader, are fine."""
    check_workflow(make_runner("epoch", 1), [1, 2], [("val", 2), ("train", 1)])


def test_flow_is_the_method_of_its_name() -> None:
    """A mode names a method of the runner."""
    runner = make_runner("epoch", 1)
    assert flow_method(runner, "val") == runner.val
