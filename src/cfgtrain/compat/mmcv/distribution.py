"""What ``importlib.metadata`` says about ``mmcv``; in a file of its own because that package is slow to import."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from cfgtrain.utils.versions import MMCV_VERSION

__all__ = ["AliasDistribution"]

_FILES = {
    "METADATA": f"Metadata-Version: 2.1\nName: mmcv\nVersion: {MMCV_VERSION}\nSummary: An alias of cfgtrain.\n",
    "top_level.txt": "mmcv\n",
}


class AliasDistribution(Distribution):
    """The distribution of the alias."""

    def read_text(self, filename: Any) -> str | None:
        """Return the text of one of the files about the distribution, or None."""
        return _FILES.get(str(filename))

    def locate_file(self, path: Any) -> Any:
        """Return the path of a file of the distribution, which has none."""
        return Path(__file__).parent / path
