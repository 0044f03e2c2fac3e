"""The process group of a run: found in the environment that a launcher sets, and set up by it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from cfgtrain.arguments import check_choice, check_positive, check_type
from cfgtrain.errors import ArgumentError, PrerequisiteError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.parallel.coordinator import TIMEOUT, Coordinator, is_under_agent
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.dist import LAUNCHERS as LAUNCHERS_OF_PROCESSES
from cfgtrain.parallel.dist import join_process_group, set_tensor_parallel, set_variables
from cfgtrain.parallel.hang import ANSWER_SECONDS, REPORT_SECONDS
from cfgtrain.parallel.rendezvous import open_store

__all__ = [
    "LAUNCHERS",
    "check_dist_params",
    "find_launcher",
    "is_under_agent",
    "local_device",
    "process_group",
]

logger = logging.getLogger(__name__)

LAUNCHERS = ("none", *LAUNCHERS_OF_PROCESSES)
# By which the timeout of torch is longer than that of the run: torch must not end a process that reports a hang.
GRACE_SECONDS = ANSWER_SECONDS + REPORT_SECONDS + 10.0
BACKENDS = ("gloo", "nccl", "mpi", "ucc", "xccl")

# torch waits for a thread of the group when its last user is deleted. If that is DistributedDataParallel, it does so
# with Python's lock, which the thread may need. A reference from Python is deleted without the lock.
_ENDED: list[Any] = []

_joined_by: list[str] = []  # the launcher whose variables this process has translated into those of torch

_OF_ENVIRONMENT = {"pytorch": ("RANK", "WORLD_SIZE"), "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")}


def find_launcher() -> str:
    """Return which launcher has started this process, by its environment variables: one of ``LAUNCHERS``."""
    for name, variables in _OF_ENVIRONMENT.items():
        if all(variable in os.environ for variable in variables):
            return _joined_by[-1] if name == "pytorch" and _joined_by else name
    # A batch script has SLURM_NTASKS too; only srun sets the number of tasks of a step.
    if "SLURM_PROCID" in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        return "slurm"
    return "none"


def check_dist_params(settings: Any) -> dict[str, Any]:
    """Return the settings of the process group, ``dict(backend=..., timeout=...)``, as a dict.

    Raises:
        ArgumentTypeError: They are not a dict.
        ArgumentError: There is no such setting, or a value is not valid.
    """
    check_type("dist_params", settings, Mapping | None, "a dict such as dict(backend='gloo', timeout=1800)")
    checked: dict[str, Any] = dict(settings or {})
    for name in checked:
        if name not in ("backend", "timeout"):
            raise ArgumentError(
                f"dist_params has no setting {name!r}.", near=(name, ["backend", "timeout"]), argument=name
            )
    if checked.get("backend") is not None:
        check_choice("backend", checked["backend"], BACKENDS)
    if checked.get("timeout") is not None:
        check_positive("timeout", checked["timeout"])
    return checked


def local_device(name: str | None) -> torch.device:
    """Return the device of this process: of several GPUs the one with its local rank.

    Args:
        name: The device of the run, as for ``pick_device``.
    """
    device = pick_device(name)
    if str(device) == "cuda" and dist.is_initialized():
        local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
        return torch.device("cuda", local % torch.cuda.device_count())
    return device


@contextmanager
def process_group(
    launcher: str | None = None, device: str | None = None, settings: Mapping[str, Any] | None = None
) -> Iterator[Coordinator | None]:
    """Return the context of a run: with the process group that the launcher describes, if there is one.

    A group that is set up already is used, and left as it is. In processes other than the main one, only errors are
    logged.

    Args:
        launcher: One of ``LAUNCHERS``; None finds it in the environment.
        device: Device of the run, which determines the backend.
        settings: ``dict(backend=..., timeout=...)``, the timeout in seconds; see ``check_dist_params``.

    Raises:
        ArgumentError: The launcher is unknown.
        LauncherError: It has not set its environment variables, or a value is not valid.
        PrerequisiteError: ``scontrol`` is missing, or failed.
        RendezvousError: The processes do not find each other before the timeout.
    """
    if launcher is not None:
        check_choice("launcher", launcher, LAUNCHERS)
    own = not dist.is_initialized()
    if own:
        launcher = launcher or find_launcher()
        if launcher == "none":
            yield None
            return
        _set_up(launcher, pick_device(device), check_dist_params(settings))
    coordinator = Coordinator(
        _get_default_store(), own and is_under_agent(), (settings or {}).get("timeout") or TIMEOUT
    )
    library = logging.getLogger("cfgtrain")
    level = library.level
    if coordinator.rank != 0:
        library.setLevel(logging.ERROR)
    try:
        with coordinator.reporting():
            yield coordinator
            coordinator.close()
            dist.barrier()  # the main process, which may own the store, must not leave before the others
    finally:
        coordinator.close()
        library.setLevel(level)
        set_tensor_parallel(1)
        if own:
            _ENDED.append(dist.group.WORLD)
            dist.destroy_process_group()


def _set_up(launcher: str, device: torch.device, settings: dict[str, Any]) -> None:
    """Initialize the process group."""
    backend = settings.get("backend") or ("nccl" if device.type == "cuda" else "gloo")
    if backend == "nccl" and device.type != "cuda":
        logger.info("dist_params.backend is 'nccl', which is for CUDA: on %s it is 'gloo'.", device)
        backend = "gloo"
    # The coordinator reports a hang first: torch would end this process without a report, or one without stacks.
    timeout = (settings.get("timeout") or TIMEOUT) + GRACE_SECONDS
    try:
        set_variables(launcher)
    except PrerequisiteError as error:
        error.exit_code = ExitCode.USAGE  # nothing was started
        raise
    _joined_by.append(launcher)
    store = open_store(settings.get("timeout") or TIMEOUT)
    store.set_timeout(timedelta(seconds=timeout))
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if launcher == "pytorch" and restarts != "0":
        # The store of the agent still has the addresses of the processes before the restart.
        store = PrefixStore(f"restart_{restarts}", store)
    join_process_group(
        "pytorch",  # whose variables are set now
        backend,
        store=store,
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=timeout),
    )
