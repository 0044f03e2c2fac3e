"""Reading and writing files in several formats, locally and on remote storage."""

from typing import TYPE_CHECKING

from cfgtrain.fileio import client, handlers, io, parse
from cfgtrain.fileio.backends.base import BaseStorageBackend as BaseStorageBackend
from cfgtrain.fileio.client import *
from cfgtrain.fileio.handlers import *
from cfgtrain.fileio.io import *
from cfgtrain.fileio.parse import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = ["BaseStorageBackend", *client.__all__, *handlers.__all__, *io.__all__, *parse.__all__]
