"""Share objects, and failures, between the processes of a distributed run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

from cfgtrain.errors import CfgTrainError, ProcessError
from cfgtrain.parallel.dist import get_dist_info

__all__ = [
    "broadcast_object",
    "broadcast_state",
    "error_text",
    "from_main_process",
    "gather_objects",
    "on_every_process",
]

Value = TypeVar("Value")


def gather_objects(value: Any) -> list[Any]:
    """Return the values of all processes, by rank, in every process; they must be picklable."""
    _, world_size = get_dist_info()
    if world_size == 1:
        return [value]
    values: list[Any] = [None] * world_size
    dist.all_gather_object(values, value)
    return values


def broadcast_object(value: Any) -> Any:
    """Return the value of the main process in every process; it must be picklable."""
    if get_dist_info()[1] == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def broadcast_state(model: nn.Module) -> None:
    """Copy the parameters and buffers of a model from the main process to the others, in place."""
    if get_dist_info()[1] == 1:
        return
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)


def from_main_process(make: Callable[[], Value]) -> Value:
    """Call a function in the main process only, and return its result in every process.

    Raises:
        Exception: What the function raised, in the main process.
        ProcessError: It raised in the main process, and this is another one.
    """
    rank, world_size = get_dist_info()
    if world_size == 1:
        return make()
    result: Any = None
    error: Exception | None = None
    if rank == 0:
        try:
            result = make()
        except Exception as raised:
            error = raised
    result, failure = broadcast_object((result, None if error is None else error_text(error)))
    if error is not None:
        raise error
    if failure is not None:
        raise ProcessError(f"Rank 0 failed: {failure}", is_reported=True)
    return result  # type: ignore[no-any-return]  # of the type that `make` returns


def on_every_process(do: Callable[[], Value]) -> Value:
    """Call a function in every process, and return its result if it succeeds in all of them.

    Raises:
        Exception: What the function raised in this process. If it raised the same in a process of a lower rank, this is a
            ProcessError instead, so that it is reported once.
        ProcessError: It raised in another process.
    """
    if get_dist_info()[1] == 1:
        return do()
    result: Any = None
    error: Exception | SystemExit | None = None
    try:
        result = do()
    except (Exception, SystemExit) as raised:  # custom code may call sys.exit
        error = raised
    texts = gather_objects(None if error is None else error_text(error))
    first = next((rank for rank, text in enumerate(texts) if text is not None), None)
    if first is None:
        return result  # type: ignore[no-any-return]  # of the type that `do` returns
    rank = get_dist_info()[0]
    if error is not None and (rank == first or texts[rank] not in texts[:rank]):
        raise error
    failed = ProcessError(f"Rank {first} failed: {texts[first]}", is_reported=True)
    failed.exit_code = getattr(error, "exit_code", failed.exit_code)
    raise failed from error


def error_text(error: BaseException) -> str:
    """Return the text of an exception, for the report of another process."""
    return str(error) if isinstance(error, CfgTrainError) else f"{type(error).__name__}: {error}"
