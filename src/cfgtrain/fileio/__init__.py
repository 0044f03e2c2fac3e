"""Reading and writing files in several formats, locally and on remote storage."""

from cfgtrain.fileio.backends.base import BaseStorageBackend
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.handlers import (
    BaseFileHandler,
    JsonHandler,
    PickleHandler,
    YamlHandler,
    register_handler,
)
from cfgtrain.fileio.io import dump, load
from cfgtrain.fileio.parse import dict_from_file, list_from_file

__all__ = [
    "BaseFileHandler",
    "BaseStorageBackend",
    "FileClient",
    "JsonHandler",
    "PickleHandler",
    "YamlHandler",
    "dict_from_file",
    "dump",
    "list_from_file",
    "load",
    "register_handler",
]
