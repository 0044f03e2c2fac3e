"""File names made from other text."""

from __future__ import annotations

import re

__all__ = ["as_template", "safe_file_name"]

MAX_BYTES = 120  # of 255: what is put around the text, and a temporary name, must fit as well

# Separators of folders, and what other systems, or a shell pattern, do not accept in a name.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|{}]')


def safe_file_name(text: str) -> str:
    """Return a part of a file name that is made of any text, such as the name of a score.

    Each character that is not valid in a file name on every system is replaced by an underscore,
    and a long text is cut: ``"val/acc"`` becomes ``"val_acc"``.
    """
    encoded = _UNSAFE.sub("_", text).encode("utf-8", errors="replace")
    return encoded[:MAX_BYTES].decode("utf-8", errors="ignore")


def as_template(name: str) -> str:
    """Return the template that ``str.format`` turns into this name."""
    return name.replace("{", "{{").replace("}", "}}")
