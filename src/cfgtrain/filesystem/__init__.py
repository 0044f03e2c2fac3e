"""Files that are written whole or not at all, and folders that one process holds."""

from typing import TYPE_CHECKING

from cfgtrain.filesystem import atomic
from cfgtrain.filesystem.atomic import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*atomic.__all__]
