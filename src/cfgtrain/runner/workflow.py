"""What a workflow may look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.parallel.wrappers import unwrap_model

__all__ = ["check_workflow", "flow_method"]


def check_workflow(runner: Any, data_loaders: Any, workflow: Any) -> None:
    """Refuse a workflow that the runner cannot run, or that would never end.

    Raises:
        ArgumentTypeError: It is no list of (mode, times), or a mode is no str.
        ArgumentError: There is not one loader for each flow, no such mode, or none that trains.
    """
    if not isinstance(workflow, list) or not all(
        isinstance(flow, tuple) and len(flow) == 2 for flow in workflow
    ):
        raise ArgumentTypeError(
            f"A workflow is a list of (mode, times), such as [('train', 1)], not {workflow!r}."
        )
    if not isinstance(data_loaders, list) or len(data_loaders) != len(workflow):
        raise ArgumentError(
            f"The workflow {workflow} needs a list of {len(workflow)} data loaders, one per flow."
        )
    for mode, times in workflow:
        flow_method(runner, mode)
        if not isinstance(times, int) or times < 1:
            raise ArgumentError(f"A flow runs once or more often, not {times!r} times: {workflow}.")
    model = unwrap_model(runner.model)
    validates = any(mode == "val" for mode, _ in workflow) and runner.batch_processor is None
    if validates and not hasattr(model, "val_step"):
        raise ArgumentError(
            f"The workflow {workflow} has a 'val' flow, and {type(model).__name__} has no "
            "val_step(batch, optimizer) for it."
        )
    if not any(mode == "train" for mode, _ in workflow):
        raise ArgumentError(f"The workflow {workflow} has no 'train' flow: it would never end.")


def flow_method(runner: Any, mode: Any) -> Callable[..., None]:
    """Return the method of the runner that a mode names."""
    if not isinstance(mode, str):
        raise ArgumentTypeError(f"The mode of a flow is a str, such as 'train', not {mode!r}.")
    method = getattr(runner, mode, None)
    if not callable(method):
        raise ArgumentError(f"{type(runner).__name__} has no flow {mode!r}.", near=(mode, ["train", "val"]))
    return method  # type: ignore[no-any-return]  # callable, checked above
