"""Normalize images by mean and standard deviation."""

from __future__ import annotations

__all__: list[str] = []
