"""Reading and writing files: one load and one dump for every format."""

from cfgtrain.fileio.handlers import (
    BaseFileHandler,
    JsonHandler,
    PickleHandler,
    YamlHandler,
    register_handler,
)
from cfgtrain.fileio.io import dump, load

__all__ = [
    "BaseFileHandler",
    "JsonHandler",
    "PickleHandler",
    "YamlHandler",
    "dump",
    "load",
    "register_handler",
]
