"""Storage backends: one class for each kind of storage."""

from cfgtrain.fileio.backends.base import BaseStorageBackend
from cfgtrain.fileio.backends.disk import HardDiskBackend
from cfgtrain.fileio.backends.fsspec import FsspecBackend
from cfgtrain.fileio.backends.http import HTTPBackend
from cfgtrain.fileio.backends.key_value import LmdbBackend, MemcachedBackend
from cfgtrain.fileio.backends.object_store import CephBackend, PetrelBackend

__all__ = [
    "BaseStorageBackend",
    "CephBackend",
    "FsspecBackend",
    "HTTPBackend",
    "HardDiskBackend",
    "LmdbBackend",
    "MemcachedBackend",
    "PetrelBackend",
]
