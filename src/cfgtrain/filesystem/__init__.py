"""Atomic writes of files, and locks on folders."""

import typing

from cfgtrain.filesystem.atomic import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
