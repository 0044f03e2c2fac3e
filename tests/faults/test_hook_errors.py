"""A hook that fails when a step or an epoch is complete costs neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults.experiment import Forker, end_of, iterations, lines, newest
from tiny import same

FAILED = 1
BY_EPOCH = "checkpoint_config={interval: 1, by_epoch: true}"
BY_ITER = "checkpoint_config={interval: 4, by_epoch: false}"
EVALUATED = "evaluation={interval: 4, save_best: accuracy}"

# Kind, overrides, fault, the iteration that is saved, the file that is due, and whether an evaluation is repeated.
CASES = [
    ("epoch", [BY_EPOCH], "val-read:12:raise", 12, "epoch_2.pth", True),  # a sample of the second evaluation
    ("epoch", [BY_EPOCH], "epoch:2:raise", 12, "epoch_2.pth", False),  # a hook after the evaluation
    ("epoch", [BY_EPOCH], "iter:12:raise", 12, "epoch_2.pth", True),  # a hook after the last step
    ("epoch", [BY_EPOCH], "val-read:30:raise", 24, "epoch_4.pth", True),  # at the end of the run
    ("epoch", [BY_ITER], "iter:8:raise", 8, "iter_8.pth", False),
    ("iter", [BY_ITER, EVALUATED], "val-read:12:raise", 8, "iter_8.pth", True),
    ("iter", [BY_ITER, EVALUATED], "iter:8:raise", 8, "iter_8.pth", False),
    ("iter", [BY_ITER, EVALUATED], "val-read:50:raise", 24, "iter_24.pth", True),
]


@pytest.mark.parametrize(("kind", "options", "fault", "saved", "file", "repeated"), CASES)
def test_what_is_due_is_saved_before_the_error(
    kind: str, options: list[str], fault: str, saved: int, file: str, repeated: bool, forker: Forker
) -> None:
    """The resumed run calls the hook again, and ends with the bits of a run without the error."""
    words = ["train", f"{kind}.py", "--cfg-options", *options]
    forker.run(*words, "--work-dir", "whole", SESSION="whole")
    text = forker.run(*words, "--work-dir", "run", code=FAILED, FAULTS=fault)
    assert "this one is broken" in text
    assert newest(Path("run"))["resume"]["position"]["iter"] == saved
    assert (Path("run") / file).is_file()
    forker.run(*words, "--work-dir", "run", "--resume", "auto", SESSION="second")
    # The hook that notes the iterations is the last one, so it is called again for the newest one.
    after_step = kind == "iter" or fault.startswith("iter")
    assert iterations("second") == iterations("whole")[saved - after_step :]
    evaluated = len(lines("read-val", "whole")) - len(lines("read-val", "second"))
    per_evaluation, every = 9, 6 if kind == "epoch" else 4
    assert evaluated == per_evaluation * (saved // every - repeated)
    assert same(end_of(Path("run")), end_of(Path("whole")))
    assert names(Path("run")) == names(Path("whole"))


def names(folder: Path) -> set[str]:
    """The names of the checkpoints; of the file that the failed run saved, none is left under another name."""
    return {path.name for path in folder.glob("*.pth")}


def test_an_error_in_the_repeated_stage_loses_nothing(forker: Forker) -> None:
    """If the hook fails again, the checkpoint is still there; without the hook the run continues."""
    words = ["train", "epoch.py", "--work-dir", "run", "--cfg-options", BY_EPOCH]
    forker.run(*words, code=FAILED, FAULTS="epoch:2:raise")
    forker.run(
        *words, "--resume", "auto", code=FAILED, FAULTS="epoch:1:raise epoch:2:raise", SESSION="second"
    )
    assert iterations("second") == []
    assert newest(Path("run"))["resume"]["position"]["iter"] == 12
    without = ["custom_hooks=[{type: EMAHook, momentum: 0.7, warm_up: 0}]"]
    forker.run(*words, *without, "--resume", "auto", SESSION="third")
    assert newest(Path("run"))["resume"]["position"]["iter"] == 24


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["checkpoint_config={interval: 5, by_epoch: true}"], "epoch:2:raise"),  # nothing is due
        ([BY_EPOCH], "before-iter:12:raise"),  # the step was not taken
        (["checkpoint_config=None", "evaluation=None"], "epoch:2:raise"),
    ],
)
def test_only_what_is_due_is_saved(options: list[str], fault: str, forker: Forker) -> None:
    """An error at any other time saves nothing more than before."""
    forker.run("train", "epoch.py", "--work-dir", "run", "--cfg-options", *options, code=FAILED, FAULTS=fault)
    saved: list[Any] = [path.name for path in Path("run").glob("*_2.pth")]
    assert saved in ([], ["best_accuracy_epoch_2.pth"])
