from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.experiment.comparison import NOT_SET, Setting, differing_settings

FLIP, PAD = {"type": "Flip"}, {"type": "Pad", "size": 2}


def optimizers(*values: Any) -> list[dict[str, Any]]:
    return [{"optimizer": value} for value in values]


@pytest.mark.parametrize(
    ("configs", "settings"),
    [
        (optimizers({"lr": 0.1}, {"lr": 0.1}), []),
        (optimizers({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1}), [("optimizer.lr", [0.1, 0.2, 0.1])]),
        (optimizers({"lr": 1}, {"lr": 1, "m": 2}), [("optimizer.m", [NOT_SET, 2])]),
        (optimizers({"lr": 1, "m": 2}, {"lr": 1}), [("optimizer.m", [2, NOT_SET])]),
        ([{}, {"seed": 1}, {"seed": None}], [("seed", [NOT_SET, 1, None])]),
        # One config changes a part of what another one replaces as a whole.
        (
            optimizers({"a": {"b": 1}}, {"a": 5}, {"a": {"b": 2}}),
            [("optimizer.a", [{"b": 1}, 5, {"b": 2}]), ("optimizer.a.b", [1, NOT_SET, 2])],
        ),
        # An inserted item does not change those after it.
        (
            optimizers({"steps": [PAD]}, {"steps": [FLIP, {**PAD, "size": 4}]}),
            [("optimizer.steps[0]", [NOT_SET, FLIP]), ("optimizer.steps[0].size", [2, 4])],
        ),
        # Variables, and places to read and write, are no settings.
        ([{"lr": 1, "work_dir": "a"}, {"lr": 2, "work_dir": "b"}], []),
        (optimizers(1), []),
        ([], []),
    ],
)
def test_differing_settings(configs: list[dict[str, Any]], settings: list[tuple[str, list[Any]]]) -> None:
    """Each setting that differs has the value of every config."""
    assert sorted(differing_settings(configs)) == sorted(Setting(*each) for each in settings)


def test_order_of_settings() -> None:
    """Settings are in the order of the configs, those that only a later one has at their place in it."""
    configs = [{"model": 1, "seed": 1, "data": 1}, {"model": 2, "seed": 2, "data": 2, "optimizer": 3}]
    assert [each.key for each in differing_settings(configs)] == ["model", "seed", "data", "optimizer"]
