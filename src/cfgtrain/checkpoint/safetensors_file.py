"""Weights in the safetensors format, by the library ``safetensors``."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from cfgtrain.errors import CheckpointError, MissingLibraryError
from cfgtrain.filesystem.atomic import replace_when_done

__all__ = ["is_safetensors", "read_safetensors", "write_safetensors"]

SUFFIX = ".safetensors"

# Names in the metadata of a file. The format is the library's: it says which framework wrote the file.
_META, _VERSIONS, _FORMAT = "cfgtrain_meta", "cfgtrain_versions", "format"


def is_safetensors(path: str | Path) -> bool:
    """Return whether a file has the suffix of safetensors files."""
    return Path(path).suffix.lower() == SUFFIX


def read_safetensors(path: Path, name: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return the content of a safetensors file as a checkpoint, with ``meta`` and ``state_dict``.

    Args:
        path: Path of the file.
        name: How messages name the file.
        map_location: Device that the tensors are loaded to; only a device or its name.

    Raises:
        CheckpointError: The file cannot be read.
        MissingLibraryError: safetensors is not installed.
    """
    library = _library()
    device = "cpu" if map_location is None or callable(map_location) else str(map_location)
    try:
        with library.safe_open(str(path), framework="pt", device=device) as file:
            texts = file.metadata() or {}
            weights = OrderedDict((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118  # not a dict
    except FileNotFoundError:
        raise
    except Exception as error:  # reading a damaged file can fail in any way
        raise CheckpointError(f"The checkpoint {name} cannot be read: {error}") from error
    meta: dict[str, Any] = {
        key: text for key, text in texts.items() if key not in (_META, _VERSIONS, _FORMAT)
    }
    with suppress(ValueError, TypeError):
        meta.update(json.loads(texts.get(_META, "{}")))
    with suppress(ValueError, TypeError):
        versions = json.loads(texts.get(_VERSIONS, "{}")).items()
        weights._metadata = OrderedDict((key, {"version": version}) for key, version in versions)  # type: ignore[attr-defined]  # as torch does
    return {"meta": meta, "state_dict": weights}


def write_safetensors(weights: Mapping[str, Any], meta: Mapping[str, Any], path: Path) -> list[str]:
    """Write weights to a safetensors file, completely or not at all.

    The format contains tensors and text alone. The entries of ``meta`` that JSON has are kept as text, and so are
    the versions of the modules.

    Returns:
        The entries of ``meta`` that are left out.

    Raises:
        CheckpointError: A weight is not a tensor, or the file cannot be written.
        MissingLibraryError: safetensors is not installed.
    """
    library = _library()
    others = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"A safetensors file contains tensors alone, and {others[0]} is not a tensor.")
    kept = {key: value for key, value in meta.items() if _is_json(value)}
    versions = {
        key: each["version"] for key, each in getattr(weights, "_metadata", {}).items() if "version" in each
    }
    texts = {_FORMAT: "pt", _META: json.dumps(kept), _VERSIONS: json.dumps(versions)}
    tensors = {
        name: value.contiguous().clone() for name, value in weights.items()
    }  # it refuses shared memory
    try:
        with replace_when_done(path) as temporary:
            temporary.touch()
            mode = (
                temporary.stat().st_mode & 0o777
            )  # which the umask sets; the library may write a private file
            library.torch.save_file(tensors, str(temporary), texts)
            temporary.chmod(mode)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error
    return [key for key in meta if key not in kept]


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == (list(value) if isinstance(value, tuple) else value))
    except (TypeError, ValueError):
        return False


def _library() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise MissingLibraryError(
            "Files in the safetensors format need the package safetensors: pip install 'cfgtrain[safetensors]'."
        ) from error
    return safetensors
