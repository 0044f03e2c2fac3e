"""A run of two processes ends as a whole, and goes on exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import (
    ITERATIONS,
    Command,
    Forker,
    end_of,
    iterations,
    lines,
    newest,
    wait_for,
    write_experiment,
)
from faults.ranks import end_ranks, free_port, run_ranks, start_ranks
from tiny import same

KILLED = -signal.SIGKILL
EPOCH = 3  # iterations of an epoch of two processes
KINDS = {"epoch": 4 * EPOCH, "iter": ITERATIONS}  # length of a run

Unbroken = Callable[[str], tuple[Any, Any]]


KIND = pytest.mark.parametrize("kind", ["epoch", pytest.param("iter", marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def unbroken(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """Return, for a runner, the end of an uninterrupted run of two processes, and the iterations of each."""

    @cache
    def run(kind: str) -> tuple[Any, Any]:
        folder = tmp_path_factory.mktemp(f"unbroken-{kind}")
        write_experiment(folder)
        run_ranks(forker, "train", f"{kind}.py", "--work-dir", "run", cwd=folder)
        return end_of(folder / "run"), [iterations(f"first-{rank}", folder) for rank in range(2)]

    return run


def check_resumed(kind: str, forker: Forker, unbroken: Unbroken) -> None:
    """Resume a run, and check that it is the same as without the interruption."""
    at = newest(Path("run"))["resume"]["position"]["iter"]
    run_ranks(forker, "train", f"{kind}.py", "--work-dir", "run", "--resume", "auto", session="second")
    end, seen = unbroken(kind)
    assert [iterations(f"second-{rank}") for rank in range(2)] == [each[at:] for each in seen]
    assert same(end_of(Path("run")), end)


def test_the_processes_draw_different_numbers(unbroken: Unbroken) -> None:
    """The processes train on different samples; both save their random states."""
    end, (first, second) = unbroken("epoch")
    assert len(first) == len(second) == KINDS["epoch"]
    assert all(a[3] != b[3] for a, b in zip(first, second, strict=True))
    assert len(end["random"]) == 2
    assert not same(end["random"][0], end["random"][1])


@pytest.mark.parametrize(("rank", "at"), [pytest.param(0, 10, marks=pytest.mark.slow), (1, 9)])
@KIND
def test_a_kill_of_one_process_ends_all(
    kind: str, rank: int, at: int, forker: Forker, unbroken: Unbroken
) -> None:
    """If a process is killed, the other one fails too, and the resumed run is the same as without the kill."""
    ranks = start_ranks(
        forker, "train", f"{kind}.py", "--work-dir", "run", faults={rank: f"iter:{at}:SIGKILL"}
    )
    codes = end_ranks(ranks)
    assert codes[rank] == KILLED
    assert codes[1 - rank] == 1, ranks[1 - rank].text
    assert f"Error in rank {1 - rank}: The connection to another process is lost" in ranks[1 - rank].text
    check_resumed(kind, forker, unbroken)


@pytest.mark.slow
def test_a_signal_after_a_kill_does_not_wait_long(forker: Forker) -> None:
    """A process that is stopped after another one was killed ends before an agent would kill it, and names the other."""
    faults = {0: "iter:9:hold", 1: "iter:9:SIGKILL"}
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", faults=faults)
    assert ranks[1].end() == KILLED
    ranks[0].send(signal.SIGTERM)
    Path("go").touch()
    began = time.monotonic()
    assert ranks[0].end() == 1
    assert time.monotonic() - began < 25
    assert "The connection to another process is lost: rank 1 (process" in ranks[0].text


@pytest.mark.parametrize(
    ("rank", "fault"),
    [
        (0, "iter:5:SIGTERM"),
        pytest.param(1, "iter:4:SIGINT", marks=pytest.mark.slow),
        (1, "val-read:7:SIGTERM"),
        pytest.param(0, "val-read:12:SIGTERM", marks=pytest.mark.slow),
    ],
)
@KIND
def test_a_signal_to_one_process_stops_all(
    kind: str, rank: int, fault: str, forker: Forker, unbroken: Unbroken
) -> None:
    """All processes stop at the same iteration, the run is saved once, and goes on exactly."""
    ranks = start_ranks(forker, "train", f"{kind}.py", "--work-dir", "run", faults={rank: fault})
    assert end_ranks(ranks) == [75, 75], "\n".join(each.text for each in ranks)
    done = [iterations(f"first-{each}") for each in range(2)]
    assert len(done[0]) == len(done[1]) < KINDS[kind]
    assert ranks[0].text.count("Stopped by") == 1
    assert ranks[1].text == ""
    assert newest(Path("run"))["resume"]["position"]["iter"] == len(done[0])
    check_resumed(kind, forker, unbroken)


def test_an_error_in_one_process_ends_all_with_one_report(forker: Forker) -> None:
    """The process that failed reports it, with its rank; the log of the run has it too."""
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", faults={1: "iter:4:raise"})
    assert end_ranks(ranks) == [1, 1]
    assert "Error in rank 1: ValueError: this one is broken." in ranks[1].text
    assert "Error" not in ranks[0].text
    log = next(Path("run").glob("*.log")).read_text()
    assert "The run failed: Rank 1 failed: ValueError: this one is broken" in log


def test_an_error_in_one_process_names_the_checkpoint_to_resume_from(
    forker: Forker, unbroken: Unbroken
) -> None:
    """The process that failed names the newest checkpoint and the command; nothing else is saved."""
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", faults={1: "iter:10:raise"})
    assert end_ranks(ranks) == [1, 1]
    assert "The newest checkpoint is" in ranks[1].text
    assert "iter_8.pth" in ranks[1].text
    assert "cfgtrain train --resume auto epoch.py --work-dir run" in ranks[1].text
    check_resumed("epoch", forker, unbroken)


BY_EPOCH = ["--cfg-options", "checkpoint_config={interval: 2, by_epoch: true}"]


@pytest.mark.parametrize(
    ("kind", "options", "fault", "saved"),
    [
        ("epoch", [], "iter:8:raise", "iter_8.pth"),
        ("epoch", BY_EPOCH, "epoch:2:raise", "epoch_2.pth"),
        pytest.param("iter", [], "iter:8:raise", "iter_8.pth", marks=pytest.mark.slow),
    ],
)
def test_an_error_in_all_processes_loses_nothing(
    kind: str, options: list[str], fault: str, saved: str, forker: Forker, unbroken: Unbroken
) -> None:
    """If a hook fails in all processes after the same step, what is due is saved, and the run goes on exactly."""
    words = ["train", f"{kind}.py", "--work-dir", "run", *options]
    ranks = start_ranks(forker, *words, faults={0: fault, 1: fault})
    assert end_ranks(ranks) == [1, 1], "\n".join(each.text for each in ranks)
    assert sum(each.text.count("this one is broken.") for each in ranks) == 1
    assert (Path("run") / saved).is_file()
    at = newest(Path("run"))["resume"]["position"]["iter"]
    run_ranks(forker, *words, "--resume", "auto", session="second")
    end, seen = unbroken(kind)
    again = at - 1 if fault.startswith("iter") else at  # the hook that has failed is called again
    assert [iterations(f"second-{rank}") for rank in range(2)] == [each[again:] for each in seen]
    if not options:
        assert same(end_of(Path("run")), end)


def test_skipped_samples_of_all_processes_are_listed_and_logged(forker: Forker) -> None:
    """The list, the log and the limit are of the samples that any process has skipped, each once."""
    broken = " ".join(f"train-sample:{index}:raise" for index in (3, 5, 9, 14))
    skip = ["--cfg-options", "+data.train_dataloader.on_error=skip"]
    words = ["train", "epoch.py", "--work-dir", "run", *skip]
    ranks = start_ranks(forker, *words, faults={0: broken, 1: broken})
    assert end_ranks(ranks) == [0, 0], "\n".join(each.text for each in ranks)
    listed = [json.loads(line) for line in Path("run/skipped_samples.jsonl").read_text().splitlines()]
    assert sorted(line["index"] for line in listed) == [3, 5, 9, 14]
    assert {line["rank"] for line in listed} == {0, 1}
    log = next(Path("run").glob("*.log")).read_text()
    assert all(log.count(f"Sample {index} of Marks") == 1 for index in (3, 5, 9, 14)), log
    ranks = start_ranks(forker, *words, "+data.train_dataloader.max_skipped=3", faults={0: broken, 1: broken})
    assert end_ranks(ranks) == [1, 1]
    assert (
        sum(each.text.count("4 samples cannot be loaded, but only 3 may be skipped") for each in ranks) == 1
    )


STREAM = """

@DATASETS.register_module()
class MarkStream(torch.utils.data.IterableDataset):
    def __init__(self, size):
        self.marks = Marks(size)
        self.share = None

    def __len__(self):
        return len(self.marks)

    def shard(self, index, count):
        self.share = range(len(self.marks))[index::count]

    def __iter__(self):
        for index in self.share:
            note("streamed", str(index))
            yield self.marks[index]
"""


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stream_is_shared_by_all_workers_of_all_processes(workers: int, forker: Forker) -> None:
    """Each sample is read exactly once in each epoch, by one of the processes; unequal epochs are refused."""
    with Path("parts.py").open("a", encoding="utf-8") as file:
        file.write(STREAM)
    train = "data.train={'type':'MarkStream','size':16,'_delete_':True}"
    options = ["--cfg-options", train, f"data.workers_per_gpu={workers}", "runner.max_epochs=2"]
    run_ranks(forker, "train", "epoch.py", "--work-dir", "run", *options)
    read = [[int(index) for index in lines("streamed", f"first-{rank}")] for rank in range(2)]
    assert sorted(read[0] + read[1]) == sorted(2 * list(range(16)))
    assert not set(read[0]) & set(read[1])
    options[1] = train.replace(
        "16", "17"
    )  # of which the first process gets one sample more, in one batch more
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "uneven", *options)
    assert end_ranks(ranks) == [2, 2]
    assert "The number of batches of data.train is different in the processes of the run" in ranks[0].text


STUCK = "custom_hooks=[{'type':'Stuck','how':'%s'}]"


@pytest.mark.parametrize("how", ["sleep", pytest.param("regex", marks=pytest.mark.slow)])
def test_a_process_that_hangs_ends_all_with_one_report(how: str, forker: Forker) -> None:
    """The report names the process that hangs, and where; a file has the stacks of all processes."""
    with Path("parts.py").open("a", encoding="utf-8") as file:
        file.write(
            "\n@HOOKS.register_module()\nclass Stuck(Hook):\n"
            "    def __init__(self, how):\n        self.how = how\n\n"
            "    def after_train_iter(self, runner):\n"
            "        if runner.rank == 1 and runner.iter == 8 and not Path('go').exists():\n"
            "            import re\n"
            "            time.sleep(600) if self.how == 'sleep' else re.match('(a+)+b', 'a' * 60)\n"
        )
    options = ["--cfg-options", STUCK % how, "+dist_params.timeout=1"]
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", *options)
    codes = end_ranks(ranks)
    assert codes == [1, 1 if how == "sleep" else KILLED], ranks[0].text
    text = ranks[0].text
    assert text.count("The run has ended because it made no progress for 1 s") == 1
    assert "Rank 1 hangs, and the others wait." in text
    assert "in after_train_iter" in text.partition("Rank 1 (process")[2].partition("Rank 0")[0]
    assert "made no progress" not in ranks[1].text
    stacks = next(Path("run").glob("stacks_*.txt")).read_text()
    assert "rank 0 (process" in stacks
    assert "rank 1 (process" in stacks
    assert newest(Path("run"))["resume"]["position"]["iter"] == 8
    assert "To go on from the newest checkpoint of the run, add --resume auto." in text
    Path("go").touch()
    run_ranks(forker, "train", "epoch.py", "--work-dir", "run", "--resume", "auto", *options)
    assert newest(Path("run"))["resume"]["position"]["iter"] == KINDS["epoch"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            "optimizer.lr=0.06",
            "The setting 'optimizer.lr' of the config is different in the processes of the run: 0.",
        ),
        ("data.train.size=23", "The setting 'data.train.size' of the config is different"),
    ],
)
def test_different_configs_are_refused(own: str, message: str, forker: Forker) -> None:
    """Processes with different configs do not train; the main process says what is different."""
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", own={1: ["--cfg-options", own]})
    assert end_ranks(ranks) == [2, 2]
    assert message in ranks[0].text
    assert ranks[1].text == ""
    assert not Path("run").exists()


def test_all_differences_are_listed(forker: Forker) -> None:
    """If several settings are different, all of them are in one message."""
    own = {1: ["--cfg-options", "optimizer.lr=0.06", "data.samples_per_gpu=2"]}
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", own=own)
    assert end_ranks(ranks) == [2, 2]
    text = ranks[0].text
    assert "2 things are different in the processes of the run" in text
    assert "the setting 'optimizer.lr' of the config: 0.05 in rank 0" in text
    assert "the setting 'data.samples_per_gpu' of the config: 4 in rank 0" in text
    assert "started with the same config" in text
    assert ranks[1].text == ""


def test_a_wrong_config_is_reported_once(forker: Forker) -> None:
    """What is wrong with the config is reported by one process."""
    ranks = start_ranks(
        forker, "train", "epoch.py", "--work-dir", "run", "--cfg-options", "+parallel.type='FDP'"
    )
    assert end_ranks(ranks) == [2, 2]
    assert "parallel.type must be 'DDP' or 'FSDP', not 'FDP'." in ranks[0].text
    assert ranks[1].text == ""


@pytest.mark.slow
def test_the_number_of_processes_changes_at_the_end_of_an_epoch_only(forker: Forker) -> None:
    """Within an epoch, another number of processes is an error that says what would work."""
    words = ["train", "epoch.py", "--work-dir", "run"]
    ranks = start_ranks(forker, *words, faults={0: "iter:5:SIGTERM"})
    assert end_ranks(ranks) == [75, 75]
    text = forker.run(*words, "--resume", "auto", code=1)
    assert "within an epoch that 2 processes trained, and is resumed with 1 process:" in text
    assert "Resume with as many processes as before" in text
    words += [
        "--resume",
        "auto",
        "--cfg-options",
        "checkpoint_config.by_epoch=True",
        "checkpoint_config.interval=1",
    ]
    run_ranks(forker, *words, session="second")
    forker.run(*words, "runner.max_epochs=5", SESSION="third")
    run_ranks(forker, *words, "runner.max_epochs=6", count=3, session="fourth")
    assert [len(iterations(f"fourth-{rank}")) for rank in range(3)] == [2, 2, 2]


def start_tasks(forker: Forker, tmp_path: Path, faults: dict[int, str]) -> list[Command]:
    """Start two tasks as srun does, in a job with a stand-in for ``scontrol``."""
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text("#!/bin/sh\necho 127.0.0.1\n")
    scontrol.chmod(0o755)
    shared = {
        "PATH": f"{scontrol.parent}:{os.environ['PATH']}",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NODELIST": "node[1-2]",
        "MASTER_PORT": str(free_port()),
    }
    return [
        forker.start(
            "train", "epoch.py", "--work-dir", "run", **shared, SLURM_PROCID=str(rank),
            FAULTS=faults.get(rank, ""),
        )
        for rank in range(2)
    ]  # fmt: skip


def test_a_killed_task_of_slurm(forker: Forker, tmp_path: Path) -> None:
    """The other task says which one has ended, and how to go on: with srun; no text of gloo is shown."""
    tasks = start_tasks(forker, tmp_path, {1: "iter:10:SIGKILL"})
    assert end_ranks(tasks) == [1, KILLED], tasks[0].text
    text = tasks[0].text.partition("Error in rank 0: ")[2]
    assert text.startswith("The connection to another process is lost: rank 1 (process")
    assert f"The newest checkpoint is {Path('run/iter_8.pth').absolute()}." in text
    assert "srun cfgtrain train --resume auto epoch.py --work-dir run" in text
    assert "gloo" not in text
    assert len(text.splitlines()) == 3


def test_tasks_of_slurm_train_together(forker: Forker, tmp_path: Path) -> None:
    """Tasks that srun has started find each other by the variables of Slurm and ``scontrol``."""
    tasks = start_tasks(forker, tmp_path, {})
    assert end_ranks(tasks) == [0, 0], "\n".join(task.text for task in tasks)
    assert "2 processes = 16 samples per step" in tasks[0].text


def test_a_model_with_synchronized_batch_norm_needs_cuda(forker: Forker) -> None:
    """SyncBatchNorm on the CPU is an error before the run."""
    with Path("parts.py").open("a", encoding="utf-8") as file:
        file.write(
            "\n@MODELS.register_module()\nclass Synced(Net):\n"
            "    def __init__(self):\n        super().__init__()\n        self.norm = nn.SyncBatchNorm(8)\n"
        )
    model = "model={'type': 'Synced', '_delete_': True}"
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", "--cfg-options", model)
    assert end_ranks(ranks) == [2, 2], ranks[0].text
    assert "The layer 'norm' of the model is a SyncBatchNorm, which needs CUDA" in ranks[0].text
    assert ranks[1].text == ""


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_torch_prints_nothing_about_a_lost_process(rank: int) -> None:
    """In processes that have not imported torch before, its C++ code logs no stack when another one is killed."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    own = [{"RANK": str(each), "FAULTS": "iter:9:SIGKILL" * (each == rank)} for each in range(2)]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "cfgtrain", "train", "epoch.py", "--work-dir", "run"],
            env={**os.environ, **shared, **each},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for each in own
    ]
    texts = [each.communicate(timeout=60)[0] for each in ranks]
    assert [each.returncode for each in ranks] == [KILLED if each == rank else 1 for each in range(2)]
    assert "The connection to another process is lost" in texts[1 - rank]
    assert "frame #" not in texts[1 - rank]


LAUNCH = ["train", "epoch.py", "--work-dir", "run", "--nproc", "2"]


@pytest.mark.slow
def test_a_launch_is_stopped_and_resumed(forker: Forker, unbroken: Unbroken) -> None:
    """SIGTERM to ``cfgtrain train --nproc`` saves the run once and ends it with 75; it goes on exactly."""
    command = forker.start(*LAUNCH, FAULTS="iter:5:hold", FAULTS_RANK="1")
    wait_for(lambda: list(Path().glob("held-iter-*")), "a process to be held")
    command.send(signal.SIGTERM)
    Path("go").touch()
    assert command.end() == 75, command.text
    assert command.text.count("Stopped by SIGTERM after") == 1, command.text
    assert "cfgtrain train --resume auto epoch.py --work-dir run --nproc 2" in command.text
    forker.run(*LAUNCH, "--resume", "auto")
    assert same(end_of(Path("run")), unbroken("epoch")[0])


@pytest.mark.slow
def test_two_launches_run_at_once(forker: Forker) -> None:
    """Each launch finds a free port, so that their processes do not meet."""
    commands = [
        forker.start("train", "epoch.py", "--work-dir", name, "--nproc", "2") for name in ("one", "two")
    ]
    assert [command.end() for command in commands] == [0, 0], "".join(each.text for each in commands)
    assert same(end_of(Path("one")), end_of(Path("two")))


@pytest.mark.slow
def test_a_launch_names_the_process_that_was_killed(forker: Forker, tmp_path: Path) -> None:
    """If a process is killed, the command says which one, and fails; no temporary files are left."""
    (tmp_path / "tmp").mkdir()
    text = forker.run(*LAUNCH, FAULTS="iter:9:SIGKILL", FAULTS_RANK="1", TMPDIR=str(tmp_path / "tmp"), code=1)
    assert not list((tmp_path / "tmp").glob("cfgtrain*"))
    assert text.count("Error") == 1
    assert "Error: rank 1 was killed by SIGKILL" in text


@pytest.mark.slow
def test_a_launch_restarts_exactly(forker: Forker, unbroken: Unbroken) -> None:
    """With ``--max-restarts`` the processes start again after one was killed, and resume exactly."""
    forker.run(*LAUNCH, "--max-restarts", "1", FAULTS="iter:10:SIGKILL", FAULTS_RANK="1")
    assert same(end_of(Path("run")), unbroken("epoch")[0])


@pytest.mark.slow
def test_a_killed_launcher_stops_the_run(forker: Forker, unbroken: Unbroken) -> None:
    """If the launcher itself is killed, the processes save the run and end."""
    command = forker.start(*LAUNCH, FAULTS="iter:5:hold", FAULTS_RANK="1")
    wait_for(lambda: list(Path().glob("held-iter-*")), "a process to be held")
    command.send(signal.SIGKILL)
    command.end()
    Path("go").touch()
    wait_for(lambda: "Stopped by" in command.text or "Test:" in command.text, "the run to end")
    forker.run(*LAUNCH, "--resume", "auto")
    assert same(end_of(Path("run")), unbroken("epoch")[0])
    assert "Traceback" not in command.text


@pytest.mark.slow
def test_an_error_in_a_launch_is_reported_once(forker: Forker) -> None:
    """An error in one process is the only report of the command, and its exit code that of a failed run."""
    text = forker.run(*LAUNCH, FAULTS="iter:4:raise", FAULTS_RANK="1", code=1)
    assert text.count("Error in rank") == text.count("Error: ") == 1
    assert "Error in rank 1: ValueError: this one is broken." in text
