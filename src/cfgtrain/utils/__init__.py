"""Small things that need neither arrays nor tensors."""

from cfgtrain.utils.imports import import_modules_from_strings
from cfgtrain.utils.paths import atomic_write, mkdir_or_exist

__all__ = ["atomic_write", "import_modules_from_strings", "mkdir_or_exist"]
