"""Storage backends: one class for each kind of storage."""

import typing

from cfgtrain.fileio.backends.base import *
from cfgtrain.fileio.backends.disk import *
from cfgtrain.fileio.backends.fsspec import *
from cfgtrain.fileio.backends.http import *
from cfgtrain.fileio.backends.key_value import *
from cfgtrain.fileio.backends.object_store import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
