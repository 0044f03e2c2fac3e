"""Image functions on NumPy arrays of shape (H, W, C), with channels in the order BGR."""

from typing import TYPE_CHECKING

from cfgtrain.image import backends, flip, io, resize
from cfgtrain.image.backends import *
from cfgtrain.image.flip import *
from cfgtrain.image.io import *
from cfgtrain.image.resize import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*backends.__all__, *flip.__all__, *io.__all__, *resize.__all__]
