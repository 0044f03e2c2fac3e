"""The processes of a distributed run: how they find each other, who they are, and reductions over them."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, multiprocessing
from torch import distributed as dist

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.errors import ArgumentError, LauncherError, PrerequisiteError, RendezvousError

__all__ = [
    "allreduce_grads",
    "allreduce_params",
    "average_tensors",
    "data_rank_and_size",
    "get_dist_info",
    "init_dist",
    "is_main_process",
    "join_process_group",
    "master_only",
    "one_per_share",
    "set_tensor_parallel",
    "set_variables",
    "start_error",
]

P = ParamSpec("P")
R = TypeVar("R")
LAUNCHERS = ("pytorch", "slurm", "mpi")
_layout = {"tensor_parallel": 1}  # processes that compute the layers of one model together; they share data
PORT = 29500  # of the main process, if nothing else says which


def get_dist_info() -> tuple[int, int]:
    """Return (rank, world_size) of this process, or (0, 1) if no process group is initialized (MMCV name)."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def set_tensor_parallel(size: int) -> None:
    """Set how many processes, of adjacent ranks, compute the layers of one model together.

    Args:
        size: A divisor of the number of processes.
    """
    _layout["tensor_parallel"] = size


def data_rank_and_size() -> tuple[int, int]:
    """Return which share of the data this process has, and how many shares there are.

    These are (rank, world_size), unless several processes compute the layers of one model together: they have the same
    share, and draw the same random numbers.
    """
    rank, world_size = get_dist_info()
    size = _layout["tensor_parallel"]
    return rank // size, max(world_size // size, 1)


def one_per_share(values: list[R]) -> list[R]:
    """Return those of the values of all processes, by rank, that are of the first process of each share of the data."""
    return values[:: _layout["tensor_parallel"]]


def is_main_process() -> bool:
    """Return whether this is the process that writes checkpoints, logs and other files."""
    return get_dist_info()[0] == 0


def master_only(function: Callable[P, R]) -> Callable[P, R | None]:
    """Return a function that does what ``function`` does in the main process, and nothing in others (MMCV name).

    In other processes it returns None.
    """

    @functools.wraps(function)
    def in_main_process(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return function(*args, **kwargs) if is_main_process() else None

    return in_main_process


def init_dist(launcher: str, backend: str | None = None, **kwargs: Any) -> None:
    """Initialize the process group of a process that a launcher started (MMCV name).

    As in MMCV, this also sets the start method of ``multiprocessing`` to spawn if none is set;
    ``join_process_group`` does the same without it.

    Args:
        launcher: As for ``join_process_group``.
        backend: Likewise.
        kwargs: Likewise.
    """
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("spawn")
    join_process_group(launcher, backend, **kwargs)


def join_process_group(launcher: str, backend: str | None = None, **kwargs: Any) -> None:
    """Initialize the process group of a process that a launcher started.

    The environment variables ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``
    of torch are set if the launcher does not set them. With CUDA, the current device becomes the one of the
    local rank.

    Args:
        launcher: What started the process:

            - ``"pytorch"``: torchrun, which sets the variables above.
            - ``"slurm"``: srun. The variables are those of Slurm, and the main process is on the first node,
              whose name ``scontrol`` returns. ``MASTER_PORT`` is the argument ``port``, otherwise the variable
              if it is set, otherwise a port that follows from the job id. A job of one process takes 29500,
              or any free port if that is in use.
            - ``"mpi"``: mpirun of Open MPI. ``MASTER_ADDR`` must be set, and ``MASTER_PORT`` is 29500 by default.
        backend: Backend of torch.distributed. None: ``"nccl"`` with CUDA, otherwise ``"gloo"``.
        kwargs: More arguments of ``torch.distributed.init_process_group``; for Slurm also ``port``.

    Raises:
        ArgumentError: ``launcher`` is not valid, or ``backend`` is ``"nccl"`` and there is no CUDA device.
        LauncherError: An environment variable of the launcher is missing or not valid.
        PrerequisiteError: ``scontrol`` is missing, or failed.
        RendezvousError: The processes do not find each other.
    """
    check_choice("launcher", launcher, LAUNCHERS)
    devices = torch.cuda.device_count()
    if backend == "nccl" and not devices:
        raise ArgumentError(
            "backend must not be 'nccl', because there is no CUDA device.",
            hint="Use 'gloo', or leave it out for the backend that fits the device.",
            argument="backend",
        )
    is_complete = "init_method" not in kwargs and "store" not in kwargs  # otherwise torch needs less of them
    set_variables(launcher, kwargs.pop("port", None) if launcher == "slurm" else None, is_complete)
    rank = int(os.environ["RANK"])
    backend = backend or ("nccl" if devices else "gloo")
    if devices:
        local_rank = _int_variable("LOCAL_RANK", launcher) if "LOCAL_RANK" in os.environ else rank
        torch.cuda.set_device(local_rank % devices)
        if backend == "nccl":  # otherwise torch warns at the first barrier that it guesses the device
            kwargs.setdefault("device_id", torch.device("cuda", local_rank % devices))
    try:
        dist.init_process_group(backend=backend, **kwargs)
    except RuntimeError as error:
        raise start_error(error) from error


def set_variables(launcher: str, port: int | None = None, is_complete: bool = True) -> None:
    """Set the environment variables of torch from those of a launcher, and check them.

    Args:
        launcher: One of ``LAUNCHERS``.
        port: The port of the main process, with Slurm.
        is_complete: Whether the number of processes and the address of the main process are needed too.

    Raises:
        LauncherError: A variable is missing or not valid.
        PrerequisiteError: ``scontrol`` is missing, or failed.
    """
    if launcher == "slurm":
        _export_slurm(torch.cuda.device_count(), port)
    elif launcher == "mpi":
        _export_mpi()
    rank = _int_variable("RANK", launcher)
    if not is_complete:
        return
    size = _int_variable("WORLD_SIZE", launcher)
    _variable("MASTER_ADDR", launcher)
    if rank >= size:
        ranks = f"ranks are 0 to {size - 1}" if size > 1 else "the only rank is 0"
        raise LauncherError(
            f"The rank of this process is {rank} ({_NAMES[launcher][0]}), but the number of processes is {size} "
            f"({_NAMES[launcher][1]}).",
            hint=f"With this number, {ranks}." if size else "",
        )
    if not 1 <= _int_variable("MASTER_PORT", launcher) <= 65535:
        raise LauncherError(
            "The environment variable MASTER_PORT must be a port, from 1 to 65535, not "
            f"{os.environ['MASTER_PORT']!r}."
        )


_NAMES = {
    "pytorch": ("RANK", "WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
}


def start_error(error: Exception) -> RendezvousError:
    """Return the error for one that torch has raised when it set up a process group or its store."""
    text = str(error)
    address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    if "EADDRINUSE" in text or "already in use" in text:
        return RendezvousError(
            f"The port {os.environ.get('MASTER_PORT')} (MASTER_PORT) is in use on {socket.gethostname()}, so rank 0 "
            "cannot wait there for the other processes.",
            hint="Another run or program has it, or two processes have rank 0. Set MASTER_PORT to another port in all "
            "processes, or let cfgtrain train --nproc or torchrun --standalone choose one.",
        )
    reason = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return RendezvousError(
        f"Rank {os.environ.get('RANK')} of {os.environ.get('WORLD_SIZE')} cannot set up the process group at {address}: "
        f"{reason[:300].rstrip('.')}."
    )


def _export_mpi() -> None:
    local_rank, size, rank = (
        _int_variable(f"OMPI_COMM_WORLD_{name}", "mpi") for name in ("LOCAL_RANK", "SIZE", "RANK")
    )
    _variable("MASTER_ADDR", "mpi")
    os.environ.setdefault("MASTER_PORT", str(PORT))
    os.environ.update(LOCAL_RANK=str(local_rank), WORLD_SIZE=str(size), RANK=str(rank))


def _export_slurm(devices: int, port: int | None) -> None:
    rank, size = _int_variable("SLURM_PROCID", "slurm"), _int_variable("SLURM_NTASKS", "slurm")
    nodes = _variable("SLURM_NODELIST", "slurm")
    if "SLURM_LOCALID" in os.environ:
        local_rank = _int_variable("SLURM_LOCALID", "slurm")
    else:
        local_rank = rank % devices if devices else rank
    if port is not None:
        os.environ["MASTER_PORT"] = str(check_integer("port", port, 1, 65535))
    elif "MASTER_PORT" not in os.environ:
        os.environ["MASTER_PORT"] = str(_slurm_port(size))
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_host(nodes)
    os.environ.update(WORLD_SIZE=str(size), LOCAL_RANK=str(local_rank), RANK=str(rank))


def _slurm_port(size: int) -> int:
    """Return a port for the main process.

    Several processes must choose the same one without communication, so that they cannot search for a free one:
    the first to start would use the port that the next one then finds in use.
    """
    if size == 1:
        return _free_port(PORT)
    if "SLURM_JOB_ID" not in os.environ:
        return PORT
    return PORT + _int_variable("SLURM_JOB_ID", "slurm") % 1000  # two jobs on a node rarely share it


def _free_port(preferred: int) -> int:
    """Return a port if it is free, and otherwise another that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LauncherError("This machine has no free port for MASTER_PORT.")


def _first_host(nodes: str) -> str:
    """Return the name of the first node of a list in the form of Slurm, such as ``node[03-05]``."""
    command = ["scontrol", "show", "hostname", nodes]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # no shell
    except FileNotFoundError:
        raise PrerequisiteError(
            "scontrol of Slurm is not on the PATH; it finds the address of the first node.",
            hint="Set MASTER_ADDR to its name.",
        ) from None
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip() or f"exit code {error.returncode}"
        raise PrerequisiteError(f"{' '.join(command)} failed: {why}") from None
    hosts = done.stdout.split()
    if not hosts:
        raise PrerequisiteError(f"{' '.join(command)} printed no name of a node.")
    return hosts[0]


def _variable(name: str, launcher: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise LauncherError(
            f"The environment variable {name} is not set, which the launcher {launcher!r} needs.",
            hint=_STARTED_BY[launcher],
        )
    return value


def _int_variable(name: str, launcher: str) -> int:
    value = _variable(name, launcher)
    if not value.isdecimal():
        raise LauncherError(f"The environment variable {name} must be an int of at least 0, not {value!r}.")
    return int(value)


_STARTED_BY = {
    "pytorch": "Start the processes by torchrun, such as: torchrun --nproc-per-node 2 -m cfgtrain train CONFIG.",
    "slurm": "Start the processes by srun, in a job of Slurm.",
    "mpi": "Start the processes by mpirun of Open MPI, with MASTER_ADDR set to the address of the first machine.",
}


def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Replace tensors, in place, by their means over all processes.

    Integer and boolean tensors, such as the counters of batch normalization, are not averaged but copied from
    the process of rank 0. Every process must call this function with tensors of the same shapes and dtypes,
    in the same order.
    """
    _, world_size = get_dist_info()
    if world_size == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.div_(world_size)
                dist.all_reduce(tensor)
            else:
                dist.broadcast(tensor, src=0)


def allreduce_params(params: Iterable[Tensor], coalesce: bool = True, bucket_size_mb: float = -1) -> None:
    """Replace parameters or buffers, in place, by their means over all processes (MMCV name).

    Integer and boolean tensors are copied from the process of rank 0. All processes must have the same tensors,
    in the same order.

    Args:
        params: The tensors.
        coalesce: Whether to communicate many of them at once.
        bucket_size_mb: How many at once, in MiB. -1: all of one dtype and device.
    """
    _allreduce([param.data for param in params], coalesce, bucket_size_mb)


def allreduce_grads(params: Iterable[Tensor], coalesce: bool = True, bucket_size_mb: float = -1) -> None:
    """Replace the gradients of parameters, in place, by their means over all processes (MMCV name).

    Parameters without a gradient are left out; they must be the same in all processes.

    Args:
        params: The parameters.
        coalesce: As for ``allreduce_params``.
        bucket_size_mb: Likewise.
    """
    grads = [param.grad.data for param in params if param.requires_grad and param.grad is not None]
    _allreduce(grads, coalesce, bucket_size_mb)


def _allreduce(tensors: list[Tensor], coalesce: bool, bucket_size_mb: float) -> None:
    if get_dist_info()[1] == 1:
        return
    if not coalesce:
        average_tensors(tensors)
        return
    for bucket in _buckets(tensors, bucket_size_mb * 2**20 if bucket_size_mb > 0 else float("inf")):
        if len(bucket) == 1:
            average_tensors(bucket)
            continue
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        average_tensors([flat])
        sizes = [tensor.numel() for tensor in bucket]
        for tensor, part in zip(bucket, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))


def _buckets(tensors: list[Tensor], limit: float) -> Iterator[list[Tensor]]:
    """Yield lists of tensors of one dtype and device, each of at most ``limit`` bytes; a sparse tensor is alone."""
    groups: dict[Any, tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        if tensor.layout is not torch.strided:
            yield [tensor]
            continue
        kind, size = (tensor.dtype, tensor.device), tensor.numel() * tensor.element_size()
        bucket, total = groups.get(kind, ([], 0))
        if bucket and total + size > limit:
            yield bucket
            bucket, total = [], 0
        groups[kind] = ([*bucket, tensor], total + size)
    yield from (bucket for bucket, _ in groups.values())
