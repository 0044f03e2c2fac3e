"""Collecting the results of several processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import in_processes

from cfgtrain import engine, evaluation
from cfgtrain.evaluation import collect_results_cpu, collect_results_gpu


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_sample_counts_once(world_size: int, tmp_path: Path) -> None:
    """For every length the main process has each sample once and in order, and the mean loss of all of them."""
    main, *others = in_processes("evaluate_every_length", world_size, tmp_path)
    assert len(main) == 100
    for i, (results, loss) in enumerate(main):
        length = i // 2 + 1
        assert results == list(range(length))
        assert loss == pytest.approx((length - 1) / 2)
    assert {results for other in others for results, _ in other} <= {None}


def test_a_single_process() -> None:
    """Without a process group the results are those of the process, without those beyond the size."""
    assert collect_results_cpu([3, 1, 2], 2) == collect_results_gpu([3, 1, 2], 2) == [3, 1]


def test_names_of_mmcv() -> None:
    """``cfgtrain.engine`` has the names of MMCV's package."""
    names = {"collect_results_cpu", "collect_results_gpu", "multi_gpu_test", "single_gpu_test"}
    assert set(engine.__all__) == names
    assert all(getattr(engine, name) is getattr(evaluation, name) for name in names)
