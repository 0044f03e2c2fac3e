"""Registries, which map names to classes and functions, and building from configs."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.registry.registry import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
