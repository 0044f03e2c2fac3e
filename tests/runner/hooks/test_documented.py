from __future__ import annotations

import re
from pathlib import Path

import pytest

from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.registries import HOOKS

PAGE = Path(__file__).parents[3] / "docs" / "hooks.md"
NAMES = sorted(name for name in HOOKS if not name.endswith("UpdaterHook"))


@pytest.mark.parametrize("name", NAMES)
def test_hook_and_its_arguments_are_documented(name: str) -> None:
    """The page about hooks has a row for each hook with all arguments, or the hook that has the same ones."""
    rows = {line.split("`")[1]: line for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    row = rows[name] + "".join(rows[other] for other in re.findall(r"those of `(\w+)`", rows[name]))
    parameters = parameters_of(HOOKS.get(name))
    assert parameters is not None
    assert [argument for argument in parameters.names if f"`{argument}`" not in row] == []
