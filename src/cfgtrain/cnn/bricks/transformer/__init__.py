"""Transformers: their parts and how to build them from configs."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.bricks.transformer import builders
from cfgtrain.cnn.bricks.transformer.builders import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*builders.__all__]
