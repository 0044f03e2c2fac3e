"""A run that is killed at any point, and resumed, ends like an uninterrupted one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import (
    BATCHES,
    EPOCHS,
    ITERATIONS,
    RUNNERS,
    SAVED_AT,
    Forker,
    end_of,
    iterations,
    lines,
    options,
)
from tiny import same

from cfgtrain.checkpoint.find import find_checkpoint

KILLED = -signal.SIGKILL
SAMPLES = 22


def saved_before(killed_at: int) -> int:
    """Return the last iteration saved when a run is killed at the end of an iteration."""
    # The probe comes last in its stage, and what is saved is written after the stage.
    return max((at for at in SAVED_AT if at < killed_at), default=0)


def saved_in(work_dir: Path) -> int:
    """Return the iteration that a run resumes after, of all its checkpoints including the best ones."""
    checkpoint = find_checkpoint(work_dir).checkpoint
    return checkpoint["resume"]["position"]["iter"] if checkpoint else 0


def check_resumed_inside_the_epoch(kind: str, at: int, session: str = "second") -> None:
    """Check that the run resumed at iteration ``at``, within its epoch, and read no earlier batch again."""
    done = iterations(session)
    epoch, batch = divmod(at, BATCHES)
    assert done[0][:2] == [at + 1, epoch]
    if kind == "epoch":
        assert done[0][2] == batch
    skipped = batch * 4
    assert len(lines("read-train", session)) == (EPOCHS - epoch) * SAMPLES - skipped


@pytest.mark.parametrize("at", range(1, ITERATIONS + 1))
@pytest.mark.parametrize("kind", RUNNERS)
def test_a_kill_at_any_iteration_changes_nothing(
    kind: str, at: int, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """A run killed at the end of any iteration is bit-identical to an uninterrupted one after resuming."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    forker.run(*words, code=KILLED, FAULTS=f"iter:{at}:SIGKILL")
    assert len(iterations("first")) == at
    went_on_at = saved_in(Path("run"))
    assert at - went_on_at <= at - saved_before(at)
    forker.run(*words, "--resume", "auto", SESSION="second")
    end, seen = unbroken[kind]
    assert iterations("first") == seen[:at]
    assert iterations("second") == seen[went_on_at:]
    check_resumed_inside_the_epoch(kind, went_on_at)
    assert same(end_of(Path("run")), end)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (0, 2), (2, 0)])
@pytest.mark.parametrize("kind", RUNNERS)
def test_workers_may_change_between_the_parts(
    kind: str, first: int, second: int, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The number of workers may differ before and after a kill."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    forker.run(*words, *options(first), code=KILLED, FAULTS="iter:17:SIGKILL")
    forker.run(*words, "--resume", "auto", *options(second), SESSION="second")
    assert iterations("second")[0][0] == 15
    check_resumed_inside_the_epoch(kind, 14)
    assert same(end_of(Path("run")), unbroken[kind][0])


@pytest.mark.parametrize("kills", [(9, 15), (9, 11, 13, 15, 23)])
@pytest.mark.parametrize("kind", RUNNERS)
def test_many_kills_change_nothing(
    kind: str, kills: tuple[int, ...], forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The same is true for two and five kills, with and without a checkpoint in between."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    for number, at in enumerate(kills):
        resume = ["--resume", "auto"] if number else []
        faults = f"iter:{at}:SIGKILL"
        forker.run(
            *words, *resume, *options(2 * (number % 2)), code=KILLED, FAULTS=faults, SESSION=str(number)
        )
    went_on_at = saved_in(Path("run"))
    forker.run(*words, "--resume", "auto", SESSION="last")
    assert iterations("last") == unbroken[kind][1][went_on_at:]
    assert same(end_of(Path("run")), unbroken[kind][0])


# How often a run of seven checkpoints (three of them the best so far) does what saving consists of.
STEPS = {"save": 7, "fsync": 8, "rename": 8, "remove": 8}


@pytest.mark.parametrize(
    ("place", "count"), [(place, at) for place, times in STEPS.items() for at in range(1, times + 1)]
)
def test_a_kill_while_saving_loses_one_interval_at_most(
    place: str, count: int, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """With one checkpoint kept, there is one to resume from at every step of writing, also for the best one."""
    words = ["train", "epoch.py", "--work-dir", "run"]
    kept = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1"]
    forker.run(*words, *kept, code=KILLED, FAULTS=f"{place}:{count}:SIGKILL")
    assert len(iterations("first")) - saved_in(Path("run")) <= 8
    forker.run(*words, "--resume", "auto", *kept, SESSION="second")
    left = {path.name for path in Path("run").glob(".*") if path.name != ".lock"}
    assert left == set()
    assert same(end_of(Path("run")), unbroken["epoch"][0])
    names = {path.name for path in Path("run").glob("*_*.pth") if path.name.count(".") == 1}
    assert names == {"iter_24.pth", "best_accuracy_epoch_4.pth"}
