"""Weight initialization: functions, initializers for ``init_cfg``, and a record of how weights were initialized."""

import typing

from cfgtrain.cnn.init.functions import *
from cfgtrain.cnn.init.initializers import *
from cfgtrain.cnn.init.record import *
from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.registries import INITIALIZERS as INITIALIZERS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
