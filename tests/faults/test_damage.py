"""Damaged checkpoints are refused with the reason, the one before is used, and no code in them is run."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.experiment import Forker, end_of, iterations, read_checkpoint, write_experiment
from tiny import same

from cfgtrain.checkpoint.find import find_checkpoint
from cfgtrain.errors import CheckpointError

ALONE = ["--cfg-options", "evaluation=None"]  # no best checkpoints
FLIPPED, CUT = 500, 500


@pytest.fixture(scope="module")
def killed(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a run that was killed after two checkpoints."""
    folder = tmp_path_factory.mktemp("killed")
    write_experiment(folder)
    forker.run(
        "train", "epoch.py", "--work-dir", "run", *ALONE, cwd=folder, code=-9, FAULTS="iter:17:SIGKILL"
    )
    return folder / "run"


@pytest.fixture
def run_dir(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(killed, tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def check_refused(folder: Path, number: int, how: str) -> None:
    """Check that the newest checkpoint is refused, and at every twentieth position that the one before is found."""
    with pytest.raises(CheckpointError, match=r"iter_14.pth .{10,}"):
        read_checkpoint(folder / "iter_14.pth")
        pytest.fail(how)
    if number % 20:
        return
    found = find_checkpoint(folder)
    assert found.path is not None, how
    assert found.path.name == "iter_8.pth", how
    assert [skipped.path.name for skipped in found.skipped] == ["iter_14.pth"], how
    assert len(found.skipped[0].reason) > 10, how


def test_a_flipped_bit_anywhere_is_found(run_dir: Path) -> None:
    """A checkpoint with one flipped bit, at any of five hundred positions, is skipped."""
    file, chance = run_dir / "iter_14.pth", random.Random(0)
    whole = file.read_bytes()
    for number, place in enumerate(chance.sample(range(len(whole)), FLIPPED)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        check_refused(run_dir, number, f"bit flipped in byte {place} of {len(whole)}")


def test_a_cut_anywhere_is_found(run_dir: Path) -> None:
    """A checkpoint that is truncated, at any of five hundred positions, is skipped."""
    file, chance = run_dir / "iter_14.pth", random.Random(1)
    whole = file.read_bytes()
    sizes = [*range(3), len(whole) - 1, *chance.sample(range(len(whole)), CUT)]
    for number, size in enumerate(sizes):
        os.truncate(file, size)
        check_refused(run_dir, number, f"cut to {size} of {len(whole)} bytes")
        file.write_bytes(whole)


def test_the_run_resumes_from_the_one_before(run_dir: Path, forker: Forker, unbroken: dict[str, Any]) -> None:
    """The log has the skipped checkpoint and the reason, and the run ends like an uninterrupted one."""
    with (run_dir / "iter_14.pth").open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    damaged = (run_dir / "iter_14.pth").read_bytes()
    text = forker.run("train", "epoch.py", "--work-dir", run_dir, "--resume", "auto", *ALONE)
    assert "Skipping iter_14.pth:" in text
    assert "Resumed from" in text
    assert iterations("first") == unbroken["epoch"][1][8:]
    assert same(end_of(run_dir)["weights"], unbroken["epoch"][0]["weights"])
    # Not overwritten: a person may want to look at it.
    assert damaged in [path.read_bytes() for path in run_dir.glob("iter_14.*.pth")]


def test_an_edited_checkpoint_is_resumed_from(
    run_dir: Path, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """A checkpoint that a person has loaded and written with ``torch.save`` is one like any other."""
    torch.save(torch.load(run_dir / "iter_14.pth"), run_dir / "iter_14.pth")
    text = forker.run("train", "epoch.py", "--work-dir", run_dir, "--resume", "auto", *ALONE)
    assert "Skipping" not in text
    assert iterations("first") == unbroken["epoch"][1][14:]
    assert same(end_of(run_dir)["weights"], unbroken["epoch"][0]["weights"])


@pytest.mark.parametrize("missing", [1, 82])
def test_a_missing_digest_is_found(missing: int, run_dir: Path) -> None:
    """A checkpoint that has lost its digest, or the end of it, is not mistaken for one of ``torch.save``."""
    file = run_dir / "iter_14.pth"
    os.truncate(file, file.stat().st_size - missing)
    found = find_checkpoint(run_dir)
    assert found.path == run_dir / "iter_8.pth"
    assert [skipped.path for skipped in found.skipped] == [file]


def test_resuming_from_a_damaged_path_is_an_error(run_dir: Path, forker: Forker) -> None:
    """A damaged checkpoint that is given by its path is refused; no other one is used."""
    os.truncate(run_dir / "iter_14.pth", 5000)
    text = forker.run("train", "epoch.py", "--resume", run_dir / "iter_14.pth", *ALONE, code=1)
    assert "iter_14.pth" in text
    assert "damaged" in text or "cannot be read" in text
    assert "Traceback" not in text


def test_a_new_run_starts_if_all_are_damaged(run_dir: Path, forker: Forker, unbroken: dict[str, Any]) -> None:
    """Each checkpoint is logged with its reason, and the new run overwrites none of them."""
    for name in ("iter_8.pth", "iter_14.pth"):
        os.truncate(run_dir / name, 3000)
    text = forker.run("train", "epoch.py", "--work-dir", run_dir, "--resume", "auto", *ALONE)
    assert text.count("Skipping ") == 2
    assert "the run starts anew" in text
    assert len([path for path in run_dir.glob("iter_*.pth") if path.stat().st_size == 3000]) == 2
    assert same(end_of(run_dir)["weights"], unbroken["epoch"][0]["weights"])


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path("evil").touch, ()


def test_nothing_in_a_checkpoint_is_run(run_dir: Path, forker: Forker) -> None:
    """A checkpoint that would run code is skipped by auto and refused by path, and the code is not run."""
    checkpoint = read_checkpoint(run_dir / "iter_14.pth")
    torch.save({**checkpoint, "meta": {**checkpoint["meta"], "evil": Evil()}}, run_dir / "iter_14.pth")
    text = forker.run("train", "epoch.py", "--resume", run_dir / "iter_14.pth", *ALONE, code=1)
    assert "could run code" in text
    text = forker.run("train", "epoch.py", "--work-dir", run_dir, "--resume", "auto", *ALONE)
    assert "Skipping iter_14.pth:" in text
    assert not list(Path().rglob("evil"))


def test_meta_is_plain(run_dir: Path) -> None:
    """The meta of a checkpoint contains only types of JSON."""

    def kinds(value: Any) -> set[type]:
        if isinstance(value, dict):
            return {type(value)}.union(*map(kinds, [*value.keys(), *value.values()]))
        return {type(value)}.union(*map(kinds, value)) if isinstance(value, list) else {type(value)}

    meta = read_checkpoint(run_dir / "iter_14.pth")["meta"]
    assert kinds(meta) <= {dict, list, str, int, float, bool, type(None)}


@pytest.mark.parametrize("value", ["np.array([Path()])", "Path()", "lambda: 0"])
def test_a_state_that_is_not_plain_data_is_an_error_when_it_is_saved(value: str, forker: Forker) -> None:
    """A hook with other data in its state stops the run at the first save, not when it is resumed."""
    with Path("parts.py").open("a") as file:
        file.write(f"\n\nProbe.state_dict = lambda self: {{'seen': [1, {value}]}}\n")
    text = forker.run("train", "epoch.py", "--work-dir", "run", *ALONE, code=1)
    assert "plain data: resume.hooks.Probe.seen[1] (" in " ".join(text.split())
    assert "Traceback" not in text
    assert not list(Path("run").glob("*iter_*"))


def test_numbers_of_numpy_are_plain(forker: Forker) -> None:
    """Logged values and scores may be NumPy numbers; the run can be resumed."""
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nwhole_step = Net.train_step\n\n"
            "def train_step(self, data, optimizer=None):\n"
            "    outputs = whole_step(self, data, optimizer)\n"
            "    outputs['log_vars'] = {'loss': np.float32(outputs['loss'].item())}\n"
            "    return {**outputs, 'num_samples': np.int64(len(data['y']))}\n\n"
            "Net.train_step = train_step\n"
            "whole_evaluate = Marks.evaluate\n"
            "Marks.evaluate = lambda self, *args, **kwargs: {\n"
            "    'accuracy': np.float32(whole_evaluate(self, *args, **kwargs)['accuracy']), 'each': np.ones(3)}\n"
        )
    words = ["train", "epoch.py", "--work-dir"]
    forker.run(*words, "unbroken")
    log = ["--cfg-options", "log_config.hooks=[]"]
    forker.run(*words, "run", code=-9, FAULTS="iter:17:SIGKILL")
    forker.run(*words, "run", "--resume", "auto", SESSION="second")
    assert iterations("second")[0][0] == 15
    assert same(end_of(Path("run")), end_of(Path("unbroken")))
    forker.run(*words, "quiet", *log, code=75, FAULTS="iter:14:SIGTERM", SESSION="quiet")
    forker.run(*words, "quiet", *log, "--resume", "auto", SESSION="quiet again")
    assert iterations("quiet again")[0][0] == 15


def test_a_missing_best_checkpoint_is_reported(forker: Forker) -> None:
    """The final test uses the last weights if the best ones are missing or damaged, with a warning."""
    words = ["train", "iter.py", "--work-dir", "run"]
    forker.run(*words)
    best = next(Path("run").glob("best_*.pth"))
    for damage in (lambda: os.truncate(best, 4000), best.unlink):
        damage()
        text = forker.run(*words, "--resume", "auto", SESSION="again")
        assert "The best checkpoint cannot be used, so the last weights are tested." in text
        assert "with the last weights" in text
        assert iterations("again") == []


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_a_complete_run_is_only_tested(kind: str, forker: Forker) -> None:
    """``--resume auto`` of a complete run trains nothing and gives the same scores."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    first = forker.run(*words)
    before = {path.name: path.stat().st_mtime_ns for path in Path("run").glob("*_*.pth")}
    second = forker.run(*words, "--resume", "auto", SESSION="second")
    assert iterations("second") == []
    scores = [line for text in (first, second) for line in text.splitlines() if line.startswith("Test:")]
    assert scores[0] == scores[1]
    assert {path.name: path.stat().st_mtime_ns for path in Path("run").glob("*_*.pth")} == before


CHANGES = [
    ("data.samples_per_gpu=2", "22 samples in 11 batches of 2"),
    ("data.train.size=23", "23 samples in 6 batches of 4"),
    ("seed=4", "seed 4"),
]


@pytest.mark.parametrize(("change", "told"), CHANGES)
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_other_data_within_an_epoch_is_refused(kind: str, change: str, told: str, forker: Forker) -> None:
    """With another batch size, dataset size or order, the position within the epoch is not valid."""
    words = ["train", f"{kind}.py", "--work-dir", "run", "--cfg-options", "evaluation=None"]
    forker.run(*words, code=-9, FAULTS="iter:9:SIGKILL")
    text = forker.run(*words, change, "+resume_from=auto", code=1, SESSION="second")
    assert "saved within an epoch of 22 samples in 6 batches of 4, shuffled with seed 3" in text
    assert told in text
    assert "Traceback" not in text
    assert iterations("second") == []


def test_other_data_between_epochs_is_accepted(forker: Forker) -> None:
    """At the end of an epoch, the next one may have other batches."""
    words = ["train", "epoch.py", "--work-dir", "run", "--cfg-options", "evaluation=None"]
    by_epoch = "checkpoint_config.by_epoch=True"
    forker.run(*words, by_epoch, "checkpoint_config.interval=1", code=-9, FAULTS="iter:13:SIGKILL")
    forker.run(
        *words,
        by_epoch,
        "checkpoint_config.interval=1",
        "data.samples_per_gpu=2",
        "+resume_from=auto",
        SESSION="second",
    )
    assert len(iterations("second")) == 2 * 11


@pytest.mark.parametrize(("first", "second"), [("epoch", "iter"), ("iter", "epoch")])
def test_the_other_runner_is_refused(first: str, second: str, forker: Forker) -> None:
    """A run that counts epochs cannot be resumed by one that counts iterations, and vice versa."""
    forker.run("train", f"{first}.py", "--work-dir", "run", code=-9, FAULTS="iter:9:SIGKILL")
    text = forker.run("train", f"{second}.py", "--work-dir", "run", "--resume", "auto", code=1)
    assert "is of a run that is counted in" in text


def test_find_skips_a_file_with_other_contents(tmp_path: Path) -> None:
    """A file whose meta has wrong types is skipped."""
    torch.save({"meta": [], "resume": {"position": {}}}, "a.pth")
    torch.save([1], "b.pth")
    found = find_checkpoint(tmp_path)
    assert found.path is None
    assert sorted(skipped.path.name for skipped in found.skipped) == ["a.pth", "b.pth"]
    with pytest.raises(CheckpointError):
        read_checkpoint("b.pth")
