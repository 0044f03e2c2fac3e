"""Change colors, sharpness, hue, lighting and contrast of images."""

from __future__ import annotations

__all__: list[str] = []
