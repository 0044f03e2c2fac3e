"""Profile the run with PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.introspection.signatures import check_dict
from cfgtrain.parallel.dist import is_main_process
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["ProfilerHook"]

ACTIVITIES = {"cpu": ProfilerActivity.CPU, "cuda": ProfilerActivity.CUDA}


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Profiles the first epochs or iterations of a run with ``torch.profiler``, in the main process.

    Args:
        by_epoch: Whether ``profile_iters`` counts epochs, or iterations.
        profile_iters: How many of them are profiled, from the start of the run.
        activities: ``"cpu"`` and ``"cuda"``, or one of them; ``"cuda"`` is ignored without such a device.
        schedule: Which of the iterations are recorded: the arguments of
            ``torch.profiler.schedule``, or what that returns. None records all.
        on_trace_ready: Called with the result: a function of the profiler,
            ``dict(type='log_trace', sort_by=..., row_limit=...)``, which logs a table, or
            ``dict(type='tb_trace', dir_name=...)``, which writes files for TensorBoard, by
            default to ``<work_dir>/tf_tracing_logs``. None does nothing.
        record_shapes: Whether the shapes of inputs are recorded.
        profile_memory: Whether memory usage is recorded.
        with_stack: Whether source lines are recorded.
        with_flops: Whether the operations of matrix products and convolutions are counted.
        json_trace_path: Path of a trace for Chrome's ``about:tracing``, relative to the work
            directory. None writes none.
    """

    def __init__(
        self,
        by_epoch: bool = True,
        profile_iters: int = 1,
        activities: Sequence[str] = ("cpu", "cuda"),
        schedule: Mapping[str, int] | Callable[[int], Any] | None = None,
        on_trace_ready: Mapping[str, Any] | Callable[[Any], None] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        check_integer("profile_iters", profile_iters, 1)
        if isinstance(activities, str) or not activities:
            raise ArgumentError(
                f"activities must be a list of 'cpu' and 'cuda', not {activities!r}.", argument="activities"
            )
        for name in activities:
            check_choice("activities", name, ACTIVITIES)
        self.by_epoch = by_epoch
        self.profile_iters = profile_iters
        self.activities = [ACTIVITIES[name] for name in activities]
        if isinstance(schedule, Mapping):
            check_dict("schedule", torch.profiler.schedule, schedule)
            schedule = torch.profiler.schedule(**schedule)
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.json_trace_path = json_trace_path
        self.profile_options: dict[str, Any] = {
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self.profiler: torch.profiler.profile | None = None
        self._end = 0
        _check_handler(on_trace_ready)

    def before_run(self, runner: RunnerView) -> None:
        """Start the profiler in the main process.

        Raises:
            HookError: The run is shorter than the profiled part, or does not count epochs.
        """
        unit, at, total = ("epochs", runner.epoch, runner.max_epochs) if self.by_epoch else (
            "iterations", runner.iter, runner.max_iters
        )  # fmt: skip
        if self.by_epoch and total is None:
            raise HookError("ProfilerHook counts epochs, but this run counts iterations: set by_epoch=False.")
        if total is not None and self.profile_iters > total:
            raise HookError(f"profile_iters is {self.profile_iters} {unit}, but the run has {total}.")
        if not is_main_process():
            return
        if self.by_epoch and self.profile_iters > 1:
            runner.logger.warning(
                "%d whole epochs are profiled: this may need much memory.", self.profile_iters
            )
        self._end = at + self.profile_iters
        kinds = [kind for kind in self.activities if kind in torch.profiler.supported_activities()]  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.profiler = torch.profiler.profile(
            activities=kinds,
            schedule=self.schedule,
            on_trace_ready=self._handler(runner),
            **self.profile_options,
        )
        self.profiler.start()

    def after_train_iter(self, runner: RunnerView) -> None:
        """Record the end of an iteration; by iteration, stop after the last one."""
        if self.profiler is None:
            return
        self.profiler.step()
        if not self.by_epoch and runner.iter + 1 >= self._end:
            self._stop(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """By epoch, stop after the last one."""
        if self.by_epoch and runner.epoch + 1 >= self._end:
            self._stop(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Stop, if the run ended before."""
        self._stop(runner)

    def _stop(self, runner: RunnerView) -> None:
        if self.profiler is None:
            return
        profiler, self.profiler = self.profiler, None
        runner.logger.info("Profiling is complete; the training continues without the profiler.")
        profiler.stop()
        if self.json_trace_path is not None:
            path = Path(runner.work_dir or ".") / self.json_trace_path
            path.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(path))
            runner.logger.info("The trace is in %s.", path)

    def _handler(self, runner: RunnerView) -> Callable[[Any], None] | None:
        handler = self.on_trace_ready
        if handler is None or not isinstance(handler, Mapping):
            return handler
        options = {key: value for key, value in handler.items() if key != "type"}
        if handler["type"] == "log_trace":
            return lambda profiler: runner.logger.info("%s", profiler.key_averages().table(**options))
        folder = Path(runner.work_dir or ".") / options.pop("dir_name", "tf_tracing_logs")
        to_files: Callable[[Any], None] = torch.profiler.tensorboard_trace_handler(str(folder), **options)
        return to_files


def _check_handler(handler: Any) -> None:
    if handler is None or callable(handler):
        return
    kinds = ("log_trace", "tb_trace")
    kind = handler.get("type") if isinstance(handler, Mapping) else None
    if kind not in kinds:
        raise ArgumentError(
            f"on_trace_ready must be a function, or a dict whose type is 'log_trace' or 'tb_trace', not {handler!r}.",
            near=(str(kind), kinds),
            argument="on_trace_ready",
        )
