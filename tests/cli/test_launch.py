"""What ``cfgtrain train --nproc`` says when a process has failed, and what it is not combined with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli.launch import _exit_code
from cfgtrain_cli.train import resume_command


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ([(100, 1, -9), (130, 0, -9)], "rank 1 was killed by SIGKILL"),
        ([(100, 1, 3), (102, 0, 1)], "rank 1 ended with exit code 3"),
        ([(100, 2, 3), (130, 0, -9), (100, 1, -15)], "rank 1 was killed by SIGTERM"),
        ([(100, 0, 1), (100, 1, -9)], "rank 1 was killed by SIGKILL"),
    ],
)
def test_the_first_failure_is_named(
    failures: list[tuple[int, int, int]], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process that failed first is named, not one that the agent has ended because of it."""
    (tmp_path / "failures").write_text(json.dumps(failures))
    assert _exit_code(tmp_path, 1, was_signalled=False) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith(f"Error: {message}, so the run has ended.")


@pytest.mark.parametrize("launcher", ["none", "slurm", "mpi"])
def test_nproc_with_another_launcher(launcher: str, run: Callable[..., Any], configs: Path) -> None:
    """Processes that ``--nproc`` starts have no other launcher; this is reported once, before they start."""
    ran = run("train", configs / "digits" / "lenet5.py", "--nproc", 2, "--launcher", launcher)
    assert ran.code == ExitCode.USAGE
    assert f"--launcher {launcher} cannot be combined with it." in ran.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ""),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "srun "),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4"}, "mpirun -n 4 "),
        (
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"},
            "torchrun --nproc-per-node 2 -m ",
        ),
        (
            {
                "RANK": "0",
                "WORLD_SIZE": "8",
                "LOCAL_WORLD_SIZE": "4",
                "GROUP_WORLD_SIZE": "2",
                "TORCHELASTIC_RUN_ID": "x",
            },
            "torchrun --nnodes 2 --nproc-per-node 4 -m ",
        ),
    ],
)
def test_resume_command_starts_as_many_processes(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that resumes a run begins with the launcher that has started its processes."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (
        resume_command(["train", "cfg.py", "--resume", "x"]) == f"{words}cfgtrain train --resume auto cfg.py"
    )
