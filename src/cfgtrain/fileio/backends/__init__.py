"""Storage backends: one class for each kind of storage."""

from typing import TYPE_CHECKING

from cfgtrain.fileio.backends import base, disk, fsspec, http, key_value, object_store
from cfgtrain.fileio.backends.base import *
from cfgtrain.fileio.backends.disk import *
from cfgtrain.fileio.backends.fsspec import *
from cfgtrain.fileio.backends.http import *
from cfgtrain.fileio.backends.key_value import *
from cfgtrain.fileio.backends.object_store import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        *base.__all__,
        *disk.__all__,
        *fsspec.__all__,
        *http.__all__,
        *key_value.__all__,
        *object_store.__all__,
    ]
