"""The composition of transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.data.transforms.results import Results
from cfgtrain.registries import PIPELINES

__all__ = ["Compose"]


@PIPELINES.register_module()
class Compose:
    """Applies several transforms in order.

    Args:
        transforms: The transforms, each a config or a callable.

    Raises:
        ArgumentTypeError: ``transforms`` is not a list.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        check_type("transforms", transforms, list | tuple, "a list of transforms")
        self.transforms: list[Callable[[Results], Results | None]] = [
            PIPELINES.build(step) if isinstance(step, dict) else step for step in transforms
        ]

    def __call__(self, results: Results) -> Results | None:
        """Return the transformed results, or None if a transform returns None; the later ones are not called then."""
        current: Results | None = results
        for transform in self.transforms:
            if current is None:
                return None
            current = transform(current)
        return current

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"
