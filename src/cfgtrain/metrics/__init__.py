"""Metrics that score predictions."""

from typing import TYPE_CHECKING

from cfgtrain.metrics import classification
from cfgtrain.metrics.classification import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*classification.__all__]
