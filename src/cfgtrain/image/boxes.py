"""Bounding boxes: clip and scale them."""

from __future__ import annotations

__all__: list[str] = []
