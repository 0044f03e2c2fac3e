"""Damaged image files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_images.py"


def test_damaged_images_give_an_image_or_an_error() -> None:
    """A thousand damaged files neither crash nor hang the process, nor raise an error of a library."""
    words = [sys.executable, str(SCRIPT), "--count", "1000", "--seed", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [int(word) for word in done.stdout.split() if word.isdigit()]
    assert counts[0] == 1000
    assert counts[1] > 100  # the damage is small enough for some images to survive
    assert counts[2] > 100
