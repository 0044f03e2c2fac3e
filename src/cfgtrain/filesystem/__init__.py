"""Atomic writes of files, and locks on folders."""

from typing import TYPE_CHECKING

from cfgtrain.filesystem import atomic
from cfgtrain.filesystem.atomic import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*atomic.__all__]
