"""Devices, model wrappers, and communication between processes."""

from typing import TYPE_CHECKING

from cfgtrain.parallel import data, device, wrappers
from cfgtrain.parallel.data import *
from cfgtrain.parallel.device import *
from cfgtrain.parallel.wrappers import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*data.__all__, *device.__all__, *wrappers.__all__]
