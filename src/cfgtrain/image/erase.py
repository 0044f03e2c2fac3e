"""Cut random rectangles out of images."""

from __future__ import annotations

__all__: list[str] = []
