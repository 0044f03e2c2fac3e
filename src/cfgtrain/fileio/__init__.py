"""Reading and writing files in several formats, locally and on remote storage."""

import typing

from cfgtrain.fileio.backends.base import BaseStorageBackend as BaseStorageBackend
from cfgtrain.fileio.client import *
from cfgtrain.fileio.handlers import *
from cfgtrain.fileio.io import *
from cfgtrain.fileio.parse import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
