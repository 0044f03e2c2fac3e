"""Registries, which map names to classes and functions, and building from configs."""

from typing import TYPE_CHECKING

from cfgtrain.registry import registry
from cfgtrain.registry.registry import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*registry.__all__]
