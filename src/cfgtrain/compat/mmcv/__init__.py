"""Importing this package makes ``import mmcv`` import cfgtrain's own objects, for code written for MMCV 1.x."""

from cfgtrain.compat.mmcv.alias import install

__all__ = ["install"]

install()
