"""The page of the documentation about files."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "fileio.md"


def test_the_examples_run() -> None:
    """Every example runs, one after the other, and what it says comes true."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert len(blocks) == 6
    assert Path("meta/coco.yaml").is_file()
