"""Read the index of a checkpoint in shards without running code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

__all__ = ["INDEX", "ShardReader", "ShardWriter"]

INDEX = ".metadata"  # name of the file

_PACKAGES = ("torch", "pathlib", "collections")
_PATHS = ("Path", "PosixPath", "WindowsPath")
_LAYOUT = ("torch.serialization", "_get_layout")
_CLASSES = {
    *(
        f"torch.distributed.checkpoint.metadata.{name}"
        for name in (
            "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
            "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
        )
    ),
    "torch.distributed.checkpoint.filesystem._StorageInfo",
    "torch.Size",
    "collections.OrderedDict",
}  # fmt: skip


class ShardWriter(FileSystemWriter):
    """Writes shards with an index that does not contain the temporary path of the folder.

    Python 3.13 pickles a path so that other versions cannot load it.
    """

    def storage_meta(self) -> StorageMeta:
        """Return what the index says of the checkpoint as a whole."""
        return StorageMeta(save_id=self.save_id)


class ShardReader(FileSystemReader):
    """Reads shards without running code: the reader of torch loads the index, and values in it, as any pickle."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the index.

        Raises:
            UnpicklingError: It contains something else than the places of tensors.
        """
        with Path(self.path, INDEX).open("rb") as file:
            found = _IndexUnpickler(file).load()
        if not isinstance(found, Metadata) or not all(
            type(each) is TensorStorageMetadata for each in found.state_dict_metadata.values()
        ):
            raise pickle.UnpicklingError(f"{INDEX} is not an index of tensors")
        found.storage_meta = StorageMeta(load_id=self.load_id)
        return found


def _join(*parts: str) -> str:
    """Return a path as a text; only indices that cfgtrain has not written contain one."""
    return "/".join(parts)


class _IndexUnpickler(pickle.Unpickler):
    """Loads an index of torch, and refuses classes and functions that it does not consist of."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "pathlib" and name in _PATHS:  # in another module since Python 3.13
            return _join
        found = super().find_class(module, name) if module.partition(".")[0] in _PACKAGES else None
        is_part = isinstance(found, type) and f"{found.__module__}.{found.__qualname__}" in _CLASSES
        if is_part or isinstance(found, torch.dtype) or (module, name) == _LAYOUT:
            return found
        raise pickle.UnpicklingError(f"{INDEX} contains {module}.{name}, which could run code when loaded")
