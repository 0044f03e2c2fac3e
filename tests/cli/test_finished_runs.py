"""A run that is finished is not trained any further."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli.test_changed_settings import Toys, toys  # noqa: F401  # a fixture

from cfgtrain.checkpoint import read_checkpoint

EARLY = "+custom_hooks=[{{type: EarlyStoppingHook, monitor: acc, patience: {}}}]"
LONG = {
    "epoch": ["runner.max_epochs=6", "+evaluation={interval: 1}"],
    "iter": [
        "runner={_delete_: true, type: IterBasedRunner, max_iters: 30}",
        "+checkpoint_config={interval: 5}",
        "+evaluation={interval: 5}",
        "lr_config=None",
    ],
}


def iterations(folder: str = "run") -> int:
    """Of the newest checkpoint."""
    return int(read_checkpoint(f"{folder}/latest.pth")["resume"]["position"]["iter"])


@pytest.mark.parametrize("kind", LONG)
def test_a_run_that_a_hook_ended_stays_finished(kind: str, toys: Toys) -> None:  # noqa: F811
    """However often it is resumed, it says why it ended; with more patience or without the hook it continues."""
    toys.first(*LONG[kind], EARLY.format(2))
    assert iterations() == 15  # the score never improves
    files = sorted(Path("run").glob("*.pth"))
    for _ in range(2):
        text = toys.second(*LONG[kind], EARLY.format(2), after="auto", folder="run")
        assert "acc has not improved on 0.5000 in 2 evaluations" in text
        assert "raise patience of EarlyStoppingHook" in text
        assert sorted(Path("run").glob("*.pth")) == files
        assert iterations() == 15
    shutil.copytree("run", "other")
    toys.second(*LONG[kind], EARLY.format(4), after="auto", folder="run")
    assert iterations() == 25
    toys.second(*LONG[kind], after="auto", folder="other")
    assert iterations("other") == 30


STOPPING = """

from cfgtrain.runner import HOOKS, Hook


@HOOKS.register_module()
class Stopping(Hook):
    def __init__(self, at, interrupted=False):
        self.at, self.interrupted = at, interrupted
    def after_train_iter(self, runner):
        if runner.iter + 1 == self.at:
            runner.stop("enough", interrupted=self.interrupted)
"""


@pytest.mark.parametrize("kind", LONG)
def test_any_hook_can_finish_a_run(kind: str, toys: Toys) -> None:  # noqa: F811
    """Also within an epoch; a stop that is an interruption is resumed as such."""
    with Path("parts.py").open("a") as file:
        file.write(STOPPING)
    hook = "+custom_hooks=[{{type: Stopping, at: 7, interrupted: {}}}]"
    toys.first(*LONG[kind], hook.format("false"))
    text = toys.second(*LONG[kind], hook.format("false"), after="auto", folder="run")
    assert "a hook has ended it: enough" in text
    assert iterations() == 7
    toys.first(*LONG[kind], hook.format("true"), folder="interrupted", code=75)
    toys.second(*LONG[kind], hook.format("true"), after="auto", folder="interrupted")
    assert iterations("interrupted") == 30


@pytest.mark.parametrize("kind", LONG)
def test_a_complete_run_says_how_to_train_longer(kind: str, toys: Toys) -> None:  # noqa: F811
    toys.first(*LONG[kind])
    assert f"To train longer, raise runner.max_{kind}s." in toys.second(
        *LONG[kind], after="auto", folder="run"
    )


@pytest.mark.parametrize(
    ("kind", "length", "after", "place"),
    [
        (
            "epoch",
            "runner.max_epochs=2",
            "epoch_6.pth",
            "it was saved after 6 epochs, and runner.max_epochs is 2",
        ),
        (
            "epoch",
            "runner.max_epochs=2",
            "iter_12.pth",
            "it was saved within epoch 3, and runner.max_epochs is 2",
        ),
        (
            "iter",
            "+runner.max_iters=20",
            "iter_25.pth",
            "it was saved after 25 iterations, and runner.max_iters is 20",
        ),
    ],
)
def test_a_checkpoint_beyond_the_end_is_an_error(
    kind: str,
    length: str,
    after: str,
    place: str,
    toys: Toys,  # noqa: F811
) -> None:
    """The config in the work directory is not overwritten by one that no run had."""
    by_iter = ["+checkpoint_config={interval: 4, by_epoch: false}"] if after == "iter_12.pth" else []
    toys.first(*LONG[kind], *by_iter)
    before = Path("run/base.py").read_text()
    text = toys.second(*LONG[kind], *by_iter, length, after=f"run/{after}", folder="run", code=1)
    assert " ".join(text.split()).count(place) == 1
    assert Path("run/base.py").read_text() == before
