"""Atomic writes of files, and locks on folders."""

from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["atomic_write"]
