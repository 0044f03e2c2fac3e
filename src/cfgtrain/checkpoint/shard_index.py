"""Read the index of a checkpoint in shards without running code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

__all__ = ["INDEX", "ShardReader"]

INDEX = ".metadata"  # name of the file

_PACKAGES = ("torch", "pathlib", "collections")
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
    *(f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath")),
}  # fmt: skip


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
        return super().read_metadata(*args, **kwargs)


class _IndexUnpickler(pickle.Unpickler):
    """Loads an index of torch, and refuses classes and functions that it does not consist of."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.partition(".")[0] in _PACKAGES else None
        is_part = isinstance(found, type) and f"{found.__module__}.{found.__qualname__}" in _CLASSES
        if is_part or isinstance(found, torch.dtype) or (module, name) == _LAYOUT:
            return found
        raise pickle.UnpicklingError(f"{INDEX} contains {module}.{name}, which could run code when loaded")
