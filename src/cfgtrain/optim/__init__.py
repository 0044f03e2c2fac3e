"""Optimizers: built from configs, with settings for single parameters."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.optim.builder import *
from cfgtrain.optim.paramwise import *
from cfgtrain.registries import OPTIMIZER_BUILDERS as OPTIMIZER_BUILDERS
from cfgtrain.registries import OPTIMIZERS as OPTIMIZERS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
