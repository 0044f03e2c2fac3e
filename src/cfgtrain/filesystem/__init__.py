"""Files that are written whole or not at all, and folders that one process holds."""

from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["atomic_write"]
