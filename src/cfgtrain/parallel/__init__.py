"""Devices, model wrappers, and communication between processes."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.parallel.data import *
from cfgtrain.parallel.data_container import *
from cfgtrain.parallel.device import *
from cfgtrain.parallel.scatter_gather import *
from cfgtrain.parallel.wrappers import *
from cfgtrain.registries import COLLATE_FUNCTIONS as COLLATE_FUNCTIONS
from cfgtrain.registries import MODULE_WRAPPERS as MODULE_WRAPPERS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
