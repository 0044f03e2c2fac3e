"""The datasets that are included in cfgtrain."""

from typing import TYPE_CHECKING

from cfgtrain.data.datasets import digits
from cfgtrain.data.datasets.digits import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*digits.__all__]
