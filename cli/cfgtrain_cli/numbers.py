"""Counts and sizes as short text."""

from __future__ import annotations


def count_text(number: int) -> str:
    """Return a count with three significant digits, such as ``"61.7 k"``; ``"-"`` for 0."""
    return _scaled(number, 1000, ("", " k", " M", " G", " T", " P")) if number else "-"


def size_text(number: int) -> str:
    """Return a number of bytes with three significant digits, such as ``"241 KiB"``; ``"-"`` for 0."""
    return _scaled(number, 1024, (" B", " KiB", " MiB", " GiB", " TiB")) if number else "-"


def _scaled(number: float, base: int, units: tuple[str, ...]) -> str:
    """Return a number with three significant digits and the unit of its size."""
    exponent = 0
    while number >= base - 0.5 and exponent < len(units) - 1:
        number /= base
        exponent += 1
    digits = 0 if exponent == 0 or number >= 100 else 1 if number >= 10 else 2
    return f"{number:.{digits}f}{units[exponent]}"
