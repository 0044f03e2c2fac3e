"""Read, write and convert videos, and read, write and apply optical flow."""

from typing import TYPE_CHECKING

from cfgtrain.video import io, optflow, processing
from cfgtrain.video.io import *
from cfgtrain.video.optflow import *
from cfgtrain.video.processing import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*io.__all__, *optflow.__all__, *processing.__all__]
