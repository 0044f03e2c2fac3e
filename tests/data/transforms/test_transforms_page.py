"""The page with the tables of transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cfgtrain.data import BATCH_TRANSFORMS, PIPELINES
from cfgtrain.introspection.signatures import parameters_of

PAGE = Path(__file__).parents[3] / "docs" / "transforms.md"
OWN = [
    (name, kind)
    for registry in (PIPELINES, BATCH_TRANSFORMS)
    for name, kind in registry.module_dict.items()
    if kind.__module__.startswith("cfgtrain.")
]


@pytest.mark.parametrize(("name", "kind"), OWN, ids=[name for name, _ in OWN])
def test_every_transform_is_on_the_page(name: str, kind: Any) -> None:
    """Each transform has a row in docs/transforms.md with its arguments and their defaults."""
    parameters = parameters_of(kind)
    assert parameters is not None
    texts = [
        f"{each}={parameters.defaults[each]!r}" if each in parameters.defaults else each
        for each in parameters.names
    ]
    assert f"\n| `{name}` | `{', '.join(texts)}` | " in PAGE.read_text(encoding="utf-8")
