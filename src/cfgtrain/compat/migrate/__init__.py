"""Rewrite configs and code that were written for MMCV 1.x or MMEngine."""

import typing

from cfgtrain.compat.migrate.project import *
from cfgtrain.compat.migrate.report import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
