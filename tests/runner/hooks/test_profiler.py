from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import make_runner, numbers

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.runner import ProfilerHook


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile_iters": 0},
        {"profile_iters": 1.5},
        {"activities": "cpu"},
        {"activities": []},
        {"activities": ["cpu", "gpu"]},
        {"on_trace_ready": {"type": "log_traces"}},
        {"on_trace_ready": 3},
        {"schedule": {"wait": 1, "warmup": 1, "activ": 2}},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """Invalid arguments are refused before the run."""
    with pytest.raises(ArgumentError):
        ProfilerHook(**wrong)


@pytest.mark.parametrize(
    ("kind", "by_epoch", "profiled"), [("epoch", True, 3), ("epoch", False, 2), ("iter", False, 2)]
)
def test_start_of_the_run_is_profiled(kind: str, by_epoch: bool, profiled: int, tmp_path: Path) -> None:
    """The first epochs or iterations are profiled, then the profiler stops; the trace is written."""
    results: list[Any] = []
    hook = ProfilerHook(
        by_epoch,
        1 if by_epoch else 2,
        ["cpu"],
        on_trace_ready=results.append,
        json_trace_path="traces/trace.json",
    )
    runner = make_runner(kind, 2 if kind == "epoch" else 6, work_dir=tmp_path)
    runner.register_hook(hook)
    runner.run([numbers(3)], [("train", 1)])
    (profiler,) = results
    counts = {event.key: event.count for event in profiler.key_averages()}
    assert counts["aten::mean"] == profiled
    assert json.loads((tmp_path / "traces" / "trace.json").read_text())["traceEvents"]
    assert hook.profiler is None


def test_table_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """``log_trace`` logs the table of the profiler, with its arguments."""
    caplog.set_level("INFO")
    runner = make_runner("iter", 2)
    runner.register_profiler_hook(
        {
            "activities": ["cpu"],
            "on_trace_ready": {"type": "log_trace", "sort_by": "cpu_time_total", "row_limit": 3},
        }
    )
    runner.run([numbers(1)], [("train", 1)])
    assert "Self CPU" in caplog.text


def test_files_for_tensorboard(tmp_path: Path) -> None:
    """``tb_trace`` writes to the work directory."""
    runner = make_runner("iter", 1, work_dir=tmp_path)
    runner.register_profiler_hook({"activities": ["cpu"], "on_trace_ready": {"type": "tb_trace"}})
    runner.run([numbers(1)], [("train", 1)])
    assert list((tmp_path / "tf_tracing_logs").glob("*.pt.trace.json"))


def test_run_must_be_long_enough() -> None:
    """More than the length of the run, or another unit, is refused."""
    runner = make_runner("epoch", 1)
    runner.register_hook(ProfilerHook(profile_iters=2))
    with pytest.raises(ValueError, match="profile_iters is 2 epochs, but the run has 1"):
        runner.run([numbers(1)], [("train", 1)])
    runner = make_runner("iter", 1)
    runner.register_hook(ProfilerHook())
    with pytest.raises(HookError, match="by_epoch=False"):
        runner.run([numbers(1)], [("train", 1)])


def test_profiler_stops_when_a_run_fails() -> None:
    """The profiler is stopped after an error as well."""
    hook = ProfilerHook(activities=["cpu"])
    runner = make_runner("epoch", 1)
    runner.model.train_step = lambda batch, optimizer: 1 / 0
    runner.register_hook(hook)
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert hook.profiler is None
