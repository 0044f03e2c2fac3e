"""Counting the CPUs of this process."""

from __future__ import annotations

import os

import pytest

from cfgtrain.introspection.cpus import count_usable_cpus


def test_only_cpus_that_the_process_may_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The affinity of the process counts, not the number of CPUs of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert count_usable_cpus() == 3


@pytest.mark.parametrize(("count", "expected"), [(7, 7), (None, 1)])
def test_where_there_is_no_affinity_all_cpus_count(
    monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int
) -> None:
    """Without affinity, as on macOS, the number of CPUs is taken, or 1 if that is unknown."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert count_usable_cpus() == expected
