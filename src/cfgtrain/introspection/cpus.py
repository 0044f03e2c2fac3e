"""The CPUs that this process may use."""

from __future__ import annotations

import os

__all__ = ["count_usable_cpus"]


def count_usable_cpus() -> int:
    """Return the number of CPUs that this process may use, which a container or scheduler may limit."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
