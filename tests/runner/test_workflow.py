from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from processes import in_processes
from tiny import Recorder, make_runner, numbers

from cfgtrain.runner.workflow import check_workflow, flow_method

WRONG: list[tuple[Any, Any, type[Exception], str]] = [
    ([1], [["train", 1]], TypeError, "list of \\(mode, times\\)"),
    ([1], (("train", 1),), TypeError, "list of \\(mode, times\\)"),
    ([1], [("train", 1, 2)], TypeError, "list of \\(mode, times\\)"),
    ([1], [("train", 1), ("val", 1)], AssertionError, "needs a list of 2 data loaders"),
    ((1,), [("train", 1)], AssertionError, "needs a list of 1 data loaders"),
    ([1], [(1, 1)], TypeError, "The mode of a flow must be a str"),
    ([1], [("trian", 1)], ValueError, "no flow 'trian'. Did you mean 'train'"),
    ([1], [("epoch", 1)], ValueError, "no flow 'epoch'"),
    ([1], [("train", 0)], ValueError, "at least once, not 0 times"),
    ([1], [("train", "2")], ValueError, "at least once, not '2' times"),
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
    """Several flows, each with its loader, are valid."""
    check_workflow(make_runner("epoch", 1), [1, 2], [("val", 2), ("train", 1)])


def test_flow_is_the_method_of_its_name() -> None:
    """A mode names a method of the runner."""
    runner = make_runner("epoch", 1)
    assert flow_method(runner, "val") == runner.val


def expected(kind: str, length: int, workflow: list[tuple[str, int]], batches: list[int]) -> list[Any]:
    """Return the expected calls by the documentation: (stage, epoch or iteration, inner)."""
    seen: list[Any] = []
    done = 0
    while done < length:
        for (mode, times), count in zip(workflow, batches, strict=True):
            for time in range(times):
                if mode == "train" and done >= length:
                    break
                if kind == "epoch":
                    calls = [
                        (f"{at}_{mode}_iter", done, i) for i in range(count) for at in ("before", "after")
                    ]
                    seen += calls
                else:
                    seen += [(f"{at}_{mode}_iter", done, time) for at in ("before", "after")]
                done += mode == "train"
    return seen


FLOWS = st.lists(st.tuples(st.sampled_from(["train", "val"]), st.integers(1, 3)), min_size=1, max_size=4)


@given(kind=st.sampled_from(["epoch", "iter"]), length=st.integers(0, 7), workflow=FLOWS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_workflow_runs_as_described(kind: str, length: int, workflow: list[Any], data: Any) -> None:
    """Flows run in turn for any modes and counts, and training ends at its length."""
    assume(any(mode == "train" for mode, _ in workflow))
    batches = [data.draw(st.integers(1, 3)) for _ in workflow]
    runner = make_runner(kind, length)
    recorder = Recorder(
        lambda stage, r: (stage, getattr(r, kind), r.inner_iter) if stage.endswith("_iter") else None
    )
    runner.register_hook(recorder)
    runner.run([numbers(count) for count in batches], workflow)
    assert recorder.seen == expected(kind, length, workflow, batches)


@pytest.mark.slow
def test_a_val_flow_of_several_processes_counts_each_sample_once(tmp_path: Path) -> None:
    """The mean of a val flow is that of one process, in torch's own DistributedDataParallel, which trains too."""
    first, second = in_processes("validate_in_wrapper_of_torch", 2, tmp_path)
    for (mean, expected, weights), (other, _, weights_of_other) in zip(first, second, strict=True):
        assert mean == other == pytest.approx(expected)
        assert weights == weights_of_other
