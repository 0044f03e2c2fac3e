"""Transforms one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registries import PIPELINES

Results = dict[str, Any]

__all__ = ["Compose"]


@PIPELINES.register_module()
class Compose:
    """Transforms one after the other.

    Args:
        transforms: Configs or callables.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        if not isinstance(transforms, (list, tuple)):
            raise ArgumentTypeError(f"A pipeline is a list of transforms, not {transforms!r}.")
        self.transforms: list[Callable[[Results], Results | None]] = [
            PIPELINES.build(step) if isinstance(step, dict) else step for step in transforms
        ]

    def __call__(self, results: Results) -> Results | None:
        """Return the transformed results, or None as soon as one transform returns it."""
        current: Results | None = results
        for transform in self.transforms:
            if current is None:
                return None
            current = transform(current)
        return current

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"
