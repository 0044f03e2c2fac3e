"""The names of ``mmcv.version``: the version of MMCV whose names and formats cfgtrain has."""

from __future__ import annotations

from cfgtrain.utils.versions import MMCV_VERSION, parse_version_info

__all__ = ["parse_version_info", "version_info"]

version_info = tuple(int(part) for part in MMCV_VERSION.split("."))
