"""Convert tensors to images."""

from __future__ import annotations

__all__: list[str] = []
