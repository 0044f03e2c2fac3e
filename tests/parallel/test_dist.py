"""Joining a process group, and reductions over its processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.ranks import free_port
from processes import in_processes
from torch import nn

from cfgtrain.errors import ArgumentError, LauncherError, PrerequisiteError
from cfgtrain.runner import allreduce_grads, allreduce_params, get_dist_info, init_dist, master_only

JOIN = """
import os, sys, torch, multiprocessing
from cfgtrain.parallel.dist import get_dist_info, init_dist, master_only  # the rest takes longer to import
init_dist(sys.argv[1], **eval(sys.argv[2]))
total = torch.tensor(get_dist_info()[0] + 1)
torch.distributed.all_reduce(total)
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
print(get_dist_info(), total.item(), torch.distributed.get_backend(), multiprocessing.get_start_method(),
      master_only(lambda: "main")(), *(os.environ.get(name) for name in names), sep="|")
torch.distributed.destroy_process_group()
"""
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "SLURM_", "OMPI_")


def join(
    launcher: str, ranks: list[dict[str, Any]], arguments: str = "{}", path: str = ""
) -> list[list[str]]:
    """Run ``init_dist`` in one process per rank with its variables, and return what each prints."""
    base = {key: value for key, value in os.environ.items() if not key.startswith(VARIABLES)}
    base["PATH"] = f"{path}{os.pathsep}{base['PATH']}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN, launcher, arguments],
            env=base | {"CUDA_VISIBLE_DEVICES": ""} | {key: str(value) for key, value in variables.items()},
            stdout=subprocess.PIPE,
            text=True,
        )
        for variables in ranks
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * len(ranks)
    return [text.splitlines()[-1].split("|") for text in printed]


def scontrol(folder: Path, script: str) -> str:
    """Write a stand-in for ``scontrol``, and return its folder."""
    tool = folder / "scontrol"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    return str(folder)


def test_processes_of_torchrun() -> None:
    """With torchrun's variables two processes form a group, by gloo on a CPU, and only one is the main process."""
    port = free_port()
    shared = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    first, second = join("pytorch", [{"RANK": rank, "LOCAL_RANK": rank, **shared} for rank in (0, 1)])
    assert first == ["(0, 2)", "3", "gloo", "spawn", "main", "0", "2", "0", "127.0.0.1", str(port)]
    assert second[:6] == ["(1, 2)", "3", "gloo", "spawn", "None", "1"]


def test_processes_of_mpirun() -> None:
    """The variables of Open MPI are exported under torch's names."""
    shared = {"OMPI_COMM_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = [{"OMPI_COMM_WORLD_RANK": r, "OMPI_COMM_WORLD_LOCAL_RANK": r, **shared} for r in (0, 1)]
    first, second = join("mpi", ranks, "{'backend': 'gloo'}")
    assert first[:3] == ["(0, 2)", "3", "gloo"]
    assert second[5:8] == ["1", "2", "1"]


def test_processes_of_slurm(tmp_path: Path) -> None:
    """The main process is on the first node that scontrol prints, and the argument ``port`` is used."""
    path = scontrol(
        tmp_path, '[ "$*" = "show hostname node[1-2]" ] || exit 3\nprintf "localhost\\nelsewhere\\n"'
    )
    port = free_port()
    shared = {"SLURM_NTASKS": 2, "SLURM_NODELIST": "node[1-2]", "MASTER_PORT": 1}
    first, second = join(
        "slurm",
        [{"SLURM_PROCID": rank, "SLURM_LOCALID": 0, **shared} for rank in (0, 1)],
        f"{{'port': {port}}}",
        path,
    )
    assert first[5:] == ["0", "2", "0", "localhost", str(port)]
    assert second[5:] == ["1", "2", "0", "localhost", str(port)]
    assert [first[1], second[1]] == ["3", "3"]


SLURM = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_NODELIST": "n1"}


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Without variables of launchers, and with the arguments of ``init_process_group`` recorded instead of used."""
    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        monkeypatch.delenv(name)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that monkeypatch removes what init_dist sets
        monkeypatch.delenv(name)
    given: dict[str, Any] = {}
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **kwargs: given.update(kwargs))
    monkeypatch.setattr(torch.multiprocessing, "get_start_method", lambda allow_none: "fork")
    return given


def set_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("job", "size", "port"),
    [({}, 2, "29500"), ({"SLURM_JOB_ID": 12003}, 2, "29503"), ({"MASTER_PORT": 4000}, 2, "4000")],
)
def test_port_of_slurm(
    job: dict[str, Any], size: int, port: str, joined: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port is MASTER_PORT, or follows from the job id, so that all processes choose the same."""
    variables = SLURM | {"SLURM_NTASKS": size, "MASTER_ADDR": "n1"} | job
    set_variables(monkeypatch, variables)
    init_dist("slurm")
    assert (os.environ["MASTER_PORT"], os.environ["MASTER_ADDR"]) == (port, "n1")


def test_port_of_a_single_process(joined: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of one process takes another port if 29500 is in use."""
    set_variables(monkeypatch, SLURM | {"MASTER_ADDR": "n1"})
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # another program uses it, which is the same
            taken.bind(("", 29500))
        init_dist("slurm")
        assert os.environ["MASTER_PORT"] != "29500"


def test_devices(joined: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With CUDA the backend is nccl, and the device is that of the local rank."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    set_variables(monkeypatch, SLURM | {"SLURM_PROCID": 6, "SLURM_NTASKS": 8, "MASTER_ADDR": "n1"})
    init_dist("slurm", timeout=3)
    assert joined == {"backend": "nccl", "timeout": 3, "device_id": torch.device("cuda", 2)}
    monkeypatch.setenv("LOCAL_RANK", "3")
    init_dist("pytorch", "gloo")
    monkeypatch.delenv("LOCAL_RANK")
    init_dist("pytorch")
    assert chosen == [2, 3, 2]


@pytest.mark.parametrize(
    ("launcher", "variables", "message"),
    [
        ("pytorch", {}, "RANK is not set.*torchrun"),
        ("pytorch", {"RANK": "x"}, "RANK must be an int of at least 0, not 'x'"),
        ("pytorch", {"RANK": 0, "WORLD_SIZE": 1, "MASTER_PORT": 1}, "MASTER_ADDR is not set"),
        ("mpi", {}, "OMPI_COMM_WORLD_LOCAL_RANK is not set.*mpirun"),
        ("slurm", {"SLURM_PROCID": 0}, "SLURM_NTASKS is not set.*srun"),
    ],
)
def test_missing_variables(
    launcher: str,
    variables: dict[str, Any],
    message: str,
    joined: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable that is missing or not valid is MMCV's KeyError, which names it and its launcher."""
    set_variables(monkeypatch, variables)
    with pytest.raises(LauncherError, match=message):
        init_dist(launcher)
    with pytest.raises(KeyError):
        init_dist(launcher)
    assert joined == {}


def test_invalid_launchers_and_backends(joined: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown launcher is a ValueError, and so is nccl without CUDA."""
    with pytest.raises(ValueError, match=r"launcher must be.*Did you mean 'slurm'"):
        init_dist("slrum")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ArgumentError, match=r"no CUDA device.*'gloo'"):
        init_dist("pytorch", "nccl")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "scontrol of Slurm is not on the PATH.*MASTER_ADDR"),
        ("echo no such node >&2; exit 1", "scontrol show hostname n1 failed: no such node"),
        ("exit 4", "failed: exit code 4"),
        ("true", "printed no name"),
    ],
)
def test_scontrol_that_fails(
    script: str | None,
    message: str,
    joined: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Without the name of the first node there is an error, and the process group is not joined."""
    set_variables(monkeypatch, SLURM)
    if script is not None:
        scontrol(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=message):
        init_dist("slurm")
    assert joined == {}


def test_a_single_process() -> None:
    """Without a process group there is one main process, and reductions change nothing."""
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 3.0)
    allreduce_params([weight])
    allreduce_grads([weight])
    assert (weight.tolist(), weight.grad.tolist()) == ([1, 1], [3, 3])
    assert get_dist_info() == (0, 1)
    assert master_only(lambda value, *, more: value + more)(1, more=2) == 3


def test_means_over_two_processes(tmp_path: Path) -> None:
    """Parameters, gradients and buffers become their means, however they are communicated."""
    for params, counter, grads, missing in in_processes("reduce_all_ways", 2, tmp_path):
        assert params == [[0.5, 0.5], [[10.5], [10.5]], [1.5] * 3]
        assert counter == 5
        assert grads == [[2.0, 2.0], [7.0]]
        assert missing is None
