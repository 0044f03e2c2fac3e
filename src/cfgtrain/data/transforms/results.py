"""The results that transforms read and write."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []  # what the package exports

Results = dict[str, Any]


def record(results: Results, **information: Any) -> None:
    """Add information about the image to results that already have some.

    Results have it from ``LoadImageFromFile`` on. Those of other datasets get no new keys, so that a pipeline without
    ``Collect`` passes the model only what the dataset returns.
    """
    if "ori_shape" in results:
        results.update(information)
