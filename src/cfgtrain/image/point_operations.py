"""Operations on images whose result for a pixel depends on that pixel alone."""

from __future__ import annotations

__all__: list[str] = []
