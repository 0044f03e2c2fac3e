"""Processes that do not find each other at the start of a run end with one clear line each, within the time limit."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from faults.experiment import Forker
from faults.ranks import end_ranks, free_port

WORDS = ["train", "epoch.py", "--work-dir", "run"]
LIMIT = ["--cfg-options", "+dist_params.timeout=1.5"]
USAGE = 2


@pytest.fixture
def taken() -> Iterator[str]:
    """Yield a port on which a program listens that never answers."""
    with socket.socket() as program:
        program.bind(("0.0.0.0", 0))  # as a server of another program would
        program.listen()
        yield str(program.getsockname()[1])


def variables(**changed: object) -> dict[str, str]:
    """Return the variables of torchrun of one of two processes, with some of them changed."""
    usual = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return {name: str(value) for name, value in (usual | changed).items()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"WORLD_SIZE": ""}, "The environment variable WORLD_SIZE is not set, which the launcher 'pytorch'"),
        ({"MASTER_ADDR": ""}, "The environment variable MASTER_ADDR is not set"),
        ({"MASTER_PORT": "x1"}, "MASTER_PORT must be an int of at least 0, not 'x1'."),
        ({"MASTER_PORT": 70000}, "MASTER_PORT must be a port, from 1 to 65535, not '70000'."),
        ({"RANK": 2}, "is 2 (RANK), but the number of processes is 2 (WORLD_SIZE). With this number, ranks are 0 to 1."),
        ({"WORLD_SIZE": 0}, "the number of processes is 0"),
        ({}, "within 1.5 s (dist_params.timeout): 1 of 2 processes has connected to 127.0.0.1:"),
        ({"RANK": 1}, "The process of rank 0 cannot be reached at 127.0.0.1:"),
        ({"RANK": 1, "MASTER_ADDR": "no.such.host.invalid"}, "the name 'no.such.host.invalid' is not known."),
        ({"MASTER_ADDR": "192.0.2.1"}, "MASTER_ADDR, 192.0.2.1, is no address of the machine of rank 0"),
    ],
)  # fmt: skip
def test_a_start_that_cannot_work(changed: dict[str, object], message: str, forker: Forker) -> None:
    """A wrong variable, or a process that is missing, is one line that says what to change."""
    command = forker.start(*WORDS, "--launcher", "pytorch", *LIMIT, **variables(**changed))
    assert command.end(20) == USAGE, command.text
    assert message in command.text
    assert command.text.count("\n") == 1, command.text


def test_a_port_in_use(taken: str, forker: Forker) -> None:
    """Rank 0 says that the port is in use."""
    command = forker.start(*WORDS, *LIMIT, **variables(MASTER_PORT=taken))
    assert command.end(20) == USAGE, command.text
    assert f"Error: The port {taken} (MASTER_PORT) is in use on " in command.text
    assert "Traceback" not in command.text


@pytest.mark.slow
def test_a_server_of_another_program(taken: str, forker: Forker) -> None:
    """A process that waits for an answer at the port of another program does not wait without end."""
    command = forker.start(*WORDS, *LIMIT, **variables(RANK=1, MASTER_PORT=taken))
    assert command.end(40) == USAGE, command.text
    assert f"What listens at 127.0.0.1:{taken} does not answer like the process of rank 0" in command.text


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"WORLD_SIZE": 3}, {"WORLD_SIZE": 3}, "2 of 3 processes have connected to 127.0.0.1:"),
        ({}, {"WORLD_SIZE": 3}, "disagree about their number"),
        ({"WORLD_SIZE": 3, "RANK": 1}, {"WORLD_SIZE": 3}, "Two processes at 127.0.0.1:"),
    ],
)
def test_one_process_reports_it(
    first: dict[str, object], second: dict[str, object], message: str, forker: Forker
) -> None:
    """If several processes have connected, all of them end, and one says what is wrong with the others."""
    port = free_port()
    ranks = [
        forker.start(*WORDS, *LIMIT, **variables(MASTER_PORT=port, **each))
        for each in ({"RANK": 1} | second, {"RANK": 0} | first, *([{"RANK": 0} | second] if "RANK" in first else []))
    ]  # fmt: skip
    assert end_ranks(ranks) == [USAGE] * len(ranks), "\n".join(each.text for each in ranks)
    assert "".join(each.text for each in ranks).count(message) == 1


def test_an_unknown_launcher(forker: Forker) -> None:
    """The error lists the words that the option takes."""
    text = forker.run(*WORDS, "--launcher", "torch", code=USAGE)
    assert (
        "launcher must be 'none', 'pytorch', 'slurm' or 'mpi', not 'torch'. Did you mean 'pytorch'?" in text
    )


def test_tasks_of_slurm(forker: Forker) -> None:
    """With Slurm, the message has the names of its variables, and a number that is none is refused."""
    task = {"SLURM_PROCID": "3", "SLURM_NTASKS": "2", "SLURM_NODELIST": "n1", "MASTER_ADDR": "127.0.0.1"}
    text = forker.run(*WORDS, "--launcher", "slurm", **task, code=USAGE)
    assert "is 3 (SLURM_PROCID), but the number of processes is 2 (SLURM_NTASKS)." in text
    task = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_NODELIST": "n1", "PATH": "/nothing"}
    assert "scontrol of Slurm is not on the PATH" in forker.run(
        *WORDS, "--launcher", "slurm", **task, code=USAGE
    )
    text = forker.run(*WORDS, "--launcher", "slurm", **(task | {"SLURM_NTASKS": "two"}), code=USAGE)
    assert "The environment variable SLURM_NTASKS must be an int of at least 0, not 'two'." in text
