from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICK = ["--cfg-options", "runner.max_epochs=1"]


def test_plot_on_the_terminal(run: Callable[..., Any], configs: Path, tmp_path: Path) -> None:
    """The curve, its length, its axes and its description are printed; no file is written."""
    done = run("schedule", configs / "digits" / "lenet5.py")
    assert done.code == 0
    assert "lenet5: 15 epochs of 17 iterations: 255 iterations" in done.out
    assert "0.01 → 0.09891 (iteration 21) → 0.001093  all 10 parameters" in done.out
    assert "momentum: 0.9 constant" in done.out
    assert any(0x2800 < ord(character) < 0x2900 for character in done.out)
    assert [len(line) for line in done.out.splitlines() if "│" in line] == [80] * 7
    assert list(tmp_path.iterdir()) == []


def test_plot_of_iterations_and_momentum(run: Callable[..., Any], configs: Path) -> None:
    """A changing momentum has its own panel; a run counted in iterations shows no epochs."""
    words = ["+momentum_config={policy: cyclic, cyclic_times: 2}", "runner.max_iters=40"]
    done = run("schedule", configs / "digits" / "lenet5_iter.py", "--cfg-options", *words)
    assert done.code == 0, done.err
    assert "lenet5_iter: 40 iterations\n" in done.out
    assert "\nmomentum\n" in done.out
    assert "epoch" not in done.out


def test_plot_in_a_file(run: Callable[..., Any], configs: Path, tmp_path: Path) -> None:
    """``-o`` saves the plot as an image."""
    picture = tmp_path / "curves.png"
    done = run("schedule", configs / "digits" / "lenet5.py", "-o", picture, "--iters-per-epoch", 3)
    assert done.code == 0
    assert picture.read_bytes()[1:4] == b"PNG"
    assert f"Saved the plot to {picture}." in done.out
    assert "15 epochs of 3 iterations" in done.out


def test_errors_are_reported_before_the_plot(
    run: Callable[..., Any], configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong file name, a missing matplotlib and an invalid config are one message each."""
    config = configs / "digits" / "lenet5.py"
    done = run("schedule", config, "-o", "curves.gif")
    assert (done.code, done.out) == (2, "")
    assert "not as 'curves.gif'" in done.err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("schedule", config, "-o", "curves.png")
    assert (done.code, done.out) == (1, "")
    assert "pip install 'cfgtrain[plot]'" in done.err
    done = run("schedule", config, "--cfg-options", "lr_config.policy=Cosine")
    assert done.code == 2
    assert "Did you mean 'CosineRestart' or 'CosineAnnealing'" in done.err


def test_minimum_that_trains_frozen_parameters(
    run: Callable[..., Any], configs: Path, write: Callable[[str, str], Path]
) -> None:
    """A learning rate of 0 that the policy raises is a warning with the line of the minimum."""
    config = write(
        "frozen.py",
        f"_base_ = {str(configs / 'digits' / 'lenet5.py')!r}\n"
        "optimizer = dict(paramwise_cfg=dict(custom_keys={'features.0': dict(lr_mult=0.0)}))\n"
        "lr_config = dict(_delete_=True, policy='CosineAnnealing',\n    min_lr=0.01)\n",
    )
    for words in (["schedule", config, "--iters-per-epoch", 3], ["train", config, *QUICK]):
        done = run(*words)
        assert done.code == 0, done.err
        text = done.err.replace("\n", " ")
        assert f"lr_config.min_lr ({config}:4): the policy CosineAnnealing raises the learning rate" in text
        assert "Set min_lr_ratio=0.1 instead" in text


@pytest.mark.parametrize("reason", ["folder", "read-only"])
def test_plot_that_cannot_be_written(
    reason: str, run: Callable[..., Any], configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported before anything is built, in one message with what to do."""
    if reason == "folder":
        (tmp_path / "curves.png").mkdir()
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    done = run("schedule", configs / "digits" / "lenet5.py", "-o", "curves.png")
    assert (done.code, done.out) == (2, "")
    assert "Cannot save 'curves.png'" in done.err
    assert "Choose another" in done.err
    assert done.err.count("\n") == 1
