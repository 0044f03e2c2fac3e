"""A run whose weights are divided among two processes goes on exactly, and with another number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults.experiment import Forker, end_of, iterations, newest, write_experiment
from faults.ranks import end_ranks, run_ranks, start_ranks
from tiny import same

EPOCH = 3  # iterations of an epoch of two processes
FSDP = ("--cfg-options", "model.ballast=1", "+parallel.type=FSDP")
DDP = ("--cfg-options", "model.ballast=1", "+parallel.type=DDP")


@pytest.fixture(scope="module")
def unbroken(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the end of an uninterrupted run, its folder, and the iterations of each process."""
    folder = tmp_path_factory.mktemp("unbroken-fsdp")
    write_experiment(folder)
    run_ranks(forker, "train", "epoch.py", "--work-dir", "run", *FSDP, cwd=folder)
    return end_of(folder / "run"), folder / "run", [iterations(f"first-{rank}", folder) for rank in range(2)]


def test_a_checkpoint_is_a_folder(unbroken: Any) -> None:
    """Checkpoints are folders with the shards of both processes, and ``latest.pth`` is a link to the newest."""
    folder = unbroken[1]
    newest_folder = (folder / "latest.pth").resolve()
    assert newest_folder.is_dir()
    assert {"cfgtrain.pth", ".metadata", "__0_0.distcp", "__1_0.distcp"} == {
        each.name for each in newest_folder.iterdir()
    }
    assert not [each for each in folder.glob("*.pth") if not each.is_symlink()]


@pytest.mark.parametrize(
    ("rank", "fault", "codes"),
    [
        (1, "iter:9:SIGKILL", [1, -9]),
        pytest.param(0, "iter:5:SIGTERM", [75, 75], marks=pytest.mark.slow),
        pytest.param(0, "iter:10:SIGKILL", [-9, 1], marks=pytest.mark.slow),
    ],
)
def test_an_ended_run_goes_on_exactly(
    rank: int, fault: str, codes: list[int], forker: Forker, unbroken: Any
) -> None:
    """After a kill or a signal, the resumed run is the same as without."""
    ranks = start_ranks(forker, "train", "epoch.py", "--work-dir", "run", *FSDP, faults={rank: fault})
    assert end_ranks(ranks) == codes, "\n".join(each.text for each in ranks)
    at = newest(Path("run"))["resume"]["position"]["iter"]
    run_ranks(forker, "train", "epoch.py", "--work-dir", "run", "--resume", "auto", *FSDP, session="second")
    end, _, seen = unbroken
    assert [iterations(f"second-{each}") for each in range(2)] == [each[at:] for each in seen]
    assert same(end_of(Path("run")), end)


def test_a_full_disk_is_reported_once(forker: Forker) -> None:
    """One process says what could not be written and why, and which checkpoint there is; the run continues."""
    words = ["train", "epoch.py", "--work-dir", "run", *FSDP]
    ranks = start_ranks(forker, *words, faults={0: "digest:1:full digest:3:full"})
    assert end_ranks(ranks) == [0, 0], ranks[0].text
    folder = Path("run").absolute()
    reason = "cannot be written: rank 0: [Errno 28] No space left on device."
    assert "There is no best checkpoint yet." in ranks[0].text
    best = next(Path("run").glob("best_*"))
    expected = f"The checkpoint {folder / 'iter_8'} {reason} The run continues; the last good checkpoint is {folder / best.name}."
    assert ranks[0].text.count(expected) == 1, ranks[0].text
    assert ranks[0].text.count("cannot be written") == 2
    assert ranks[1].text == ""


def test_one_process_goes_on_from_shards_and_back(forker: Forker) -> None:
    """One process goes on from a folder at the end of an epoch and writes files, from which FSDP goes on."""
    by_epoch = ["checkpoint_config.interval=1", "checkpoint_config.by_epoch=True"]
    run_ranks(forker, "train", "epoch.py", "--work-dir", "run", *FSDP, *by_epoch, "runner.max_epochs=2")
    by_path = forker.start(
        "train", "epoch.py", "--work-dir", "other", "--resume", "run/epoch_2/", "--cfg-options", "model.ballast=1",
        *by_epoch, "runner.max_epochs=3",
        SESSION="by_path",
    )  # fmt: skip
    assert by_path.end() == 0, by_path.text
    assert len(iterations("by_path")) == 6
    alone = forker.start(
        "train", "epoch.py", "--work-dir", "run", "--resume", "auto", "--cfg-options", "model.ballast=1", *by_epoch,
        "runner.max_epochs=3",
        SESSION="alone",
    )  # fmt: skip
    assert alone.end() == 0, alone.text
    assert Path("run/latest.pth").resolve().is_file()
    run_ranks(
        forker,
        "train",
        "epoch.py",
        "--work-dir",
        "run",
        "--resume",
        "auto",
        *FSDP,
        *by_epoch,
        session="second",
    )
    assert Path("run/latest.pth").resolve().is_dir()
    assert newest(Path("run"))["resume"]["position"]["epoch"] == 4
    tested = forker.start("test", "run/epoch.py", "run/epoch_4")
    assert tested.end() == 0, tested.text


def test_ddp_and_fsdp_load_weights_of_each_other(forker: Forker, unbroken: Any) -> None:
    """The weights of a folder are those that a run begins with, by ``--load-from``."""
    shards = str((unbroken[1] / "latest.pth").resolve())
    for parallel in (FSDP, DDP):
        ranks = start_ranks(
            forker, "train", "epoch.py", "--work-dir", parallel[2][-4:], "--load-from", shards, *parallel,
            "runner.max_epochs=1",
        )  # fmt: skip
        assert end_ranks(ranks) == [0, 0], ranks[0].text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["+parallel.type=FSPD"], "Did you mean 'FSDP'"),
        (["+parallel.type=FSDP", "+parallel.wraps=['fc']"], "Did you mean 'wrap'"),
        (["+parallel.type=FSDP", "+parallel.wrap=['fcc']"], "'fcc' is neither the name nor the class"),
        (
            ["+parallel.type=FSDP", "+checkpoint_config.async_save=True"],
            "cannot be written in the background",
        ),
        (["+parallel.type=FSDP", "optimizer.type=LBFGS"], "The optimizer LBFGS cannot train"),
        (["+parallel.type=FSDP", "+precision=fp16"], "Use precision='bf16'"),
    ],
)
def test_what_cannot_work_is_refused(options: list[str], message: str, forker: Forker) -> None:
    """A wrong setting ends the run before it begins, and the error says what would be right."""
    command = forker.start("train", "epoch.py", "--work-dir", "run", *FSDP[:2], *options)
    assert command.end() == 2, command.text
    assert message in command.text
