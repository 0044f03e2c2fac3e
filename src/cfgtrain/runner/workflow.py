"""Checks of a workflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.data.loader import empty_loader_error, num_batches
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.parallel.wrappers import unwrap_model

__all__ = ["check_workflow", "flow_method"]


def check_workflow(runner: Any, data_loaders: Any, workflow: Any) -> None:
    """Raise if the runner cannot run a workflow, or if it would never end.

    Raises:
        ArgumentTypeError: It is not a list of (mode, times), or a mode is not a str.
        ArgumentError: There is not one loader for each flow, a mode is unknown, no flow trains, or a
            loader has no batches.
    """
    if not isinstance(workflow, list) or not all(
        isinstance(flow, tuple) and len(flow) == 2 for flow in workflow
    ):
        raise ArgumentTypeError(
            f"A workflow must be a list of (mode, times), such as [('train', 1)], not {workflow!r}."
        )
    if not isinstance(data_loaders, list) or len(data_loaders) != len(workflow):
        raise ArgumentError(
            f"The workflow {workflow} needs a list of {len(workflow)} data loaders, one per flow."
        )
    for mode, times in workflow:
        flow_method(runner, mode)
        if not isinstance(times, int) or times < 1:
            raise ArgumentError(f"A flow must run at least once, not {times!r} times: {workflow}.")
    for (mode, _), loader in zip(workflow, data_loaders, strict=True):
        # One of several processes may have no share of a small validation dataset.
        if num_batches(loader) == 0 and (mode == "train" or runner.world_size == 1):
            raise empty_loader_error(loader)
    model = unwrap_model(runner.model)
    validates = any(mode == "val" for mode, _ in workflow) and runner.batch_processor is None
    if validates and not hasattr(model, "val_step"):
        raise ArgumentError(
            f"The workflow {workflow} has a 'val' flow, and {type(model).__name__} has no "
            "val_step(batch, optimizer)."
        )
    if not any(mode == "train" for mode, _ in workflow):
        raise ArgumentError(f"The workflow {workflow} has no 'train' flow: it would never end.")


def flow_method(runner: Any, mode: Any) -> Callable[..., None]:
    """Return the method of the runner for a mode."""
    check_type("The mode of a flow", mode, str, "a str, such as 'train'")
    method = getattr(runner, mode, None)
    if not callable(method):
        raise ArgumentError(f"{type(runner).__name__} has no flow {mode!r}.", near=(mode, ["train", "val"]))
    return method  # type: ignore[no-any-return]  # callable, checked above
