"""Tools for whole models: fusing, freezing, counting FLOPs, and replacing synchronized batch normalization."""

import typing

from cfgtrain.cnn.tools.complexity import *
from cfgtrain.cnn.tools.freezing import *
from cfgtrain.cnn.tools.fusing import *
from cfgtrain.cnn.tools.sync_bn import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
