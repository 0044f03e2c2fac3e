"""Compiled models train with several processes, and their runs go on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.experiment import Forker, end_of
from faults.ranks import end_ranks, run_ranks, start_ranks
from tiny import same

OPTIONS = ["--cfg-options", "model.ballast=1", "runner.max_epochs=2"]
COMPILE = "+compile={'backend':'aot_eager'}"


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["DDP", "FSDP"])
def test_a_compiled_run_goes_on_exactly(parallel: str, forker: Forker) -> None:
    """The resumed run is the same as an unbroken one, and checkpoints have the names of a model that is not compiled."""
    options = [*OPTIONS, f"+parallel.type={parallel}"]
    run_ranks(forker, "train", "epoch.py", "--work-dir", "plain", *options)
    run_ranks(forker, "train", "epoch.py", "--work-dir", "whole", *options, COMPILE)
    words = ["train", "epoch.py", "--work-dir", "run", *options, COMPILE]
    ranks = start_ranks(forker, *words, faults={1: "iter:3:SIGTERM"})
    assert end_ranks(ranks) == [75, 75], "\n".join(each.text for each in ranks)
    run_ranks(forker, *words[:4], "--resume", "auto", *words[4:], session="second")
    plain, whole = end_of(Path("plain")), end_of(Path("whole"))
    assert same(end_of(Path("run")), whole)
    assert plain["weights"].keys() == whole["weights"].keys()
    assert plain["optimizer"]["state"].keys() == whole["optimizer"]["state"].keys()
