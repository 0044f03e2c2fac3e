"""Load checkpoints into models."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from cfgtrain.checkpoint.read import as_checkpoint
from cfgtrain.checkpoint.schemes import CheckpointLoader, read_uri
from cfgtrain.checkpoint.state_dict import load_weights, weights_of
from cfgtrain.errors import ArgumentError, CheckpointError
from cfgtrain.fileio.uri import display_name

__all__ = ["load_checkpoint", "read_checkpoint"]

REVISE_KEYS = ((r"^module\.", ""),)


def load_checkpoint(
    model: nn.Module,
    filename: str | Path,
    map_location: Any = "cpu",
    strict: bool = False,
    logger: logging.Logger | str | None = None,
    revise_keys: Sequence[tuple[str, str]] = REVISE_KEYS,
    *,
    trusted: bool = False,
) -> Any:
    """Load weights from a checkpoint into a model.

    What fitted is logged: how many tensors were loaded, and a table of those that do not match.

    Args:
        model: The model; it may be wrapped.
        filename: Path or URI of the checkpoint, see ``cfgtrain.checkpoint.schemes``; ``~`` is expanded.
        map_location: Device that the tensors are loaded to.
        strict: Whether differing names or shapes are an error instead of a warning.
        logger: Where the report is logged, as for ``cfgtrain.utils.print_log``; by default the logger of this
            package.
        revise_keys: Pairs of a regular expression and its replacement, applied in order to
            every name.
        trusted: Whether a file that contains more than plain data may run code while it is loaded.

    Returns:
        The content of the checkpoint.

    Raises:
        CheckpointError: The file does not exist, is damaged, is not a checkpoint or needs ``trusted``, or none of
            its weights fits the model.
    """
    checkpoint = read_checkpoint(filename, map_location, trusted)
    load_weights_of(model, weights_of(checkpoint, filename), filename, strict, logger, revise_keys)
    return checkpoint


def load_weights_of(
    model: nn.Module,
    weights: Mapping[str, Any],
    filename: str | Path,
    strict: bool = False,
    logger: logging.Logger | str | None = None,
    revise_keys: Sequence[tuple[str, str]] = REVISE_KEYS,
) -> None:
    """Load weights that were read from a checkpoint into a model; see ``load_checkpoint``.

    Args:
        model: The model; it may be wrapped.
        weights: The weights by name.
        filename: Path or URI of the checkpoint, for messages.
        strict: Whether differing names or shapes are an error instead of a warning.
        logger: Where the report is logged.
        revise_keys: Pairs of a regular expression and its replacement.

    Raises:
        CheckpointError: None of the weights fits the model; or, with ``strict``, names or shapes differ.
    """
    revised = OrderedDict((_revised(name, revise_keys), value) for name, value in weights.items())
    revised._metadata = getattr(weights, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    applied = revise_keys if list(revised) != list(weights) else ()
    try:
        load_weights(model, revised, strict, logger, applied)
    except CheckpointError as error:
        raise CheckpointError(f"{display_name(filename)}: {error.message}") from error


def read_checkpoint(
    filename: str | Path, map_location: Any = "cpu", trusted: bool = False, *, mmap: bool = False
) -> dict[str, Any]:
    """Verify a checkpoint and return its content; see ``load_checkpoint``.

    With ``mmap``, the weights are not read into memory before they are used, if the format of the
    file allows it.
    """
    return read_uri(filename, map_location, trusted, mmap)


def _load_checkpoint(
    filename: str | Path, map_location: Any = None, logger: logging.Logger | str | None = None
) -> Any:
    """Return the content of a checkpoint; see ``CheckpointLoader.load_checkpoint``."""
    return CheckpointLoader.load_checkpoint(filename, map_location, logger)


def _load_checkpoint_with_prefix(
    prefix: str, filename: str | Path, map_location: Any = None
) -> OrderedDict[str, Any]:
    """Return the weights of one part of a model, under their names in that part.

    Args:
        prefix: Name of the part, such as ``"backbone"``; a full name, with or without the dot after it.
        filename: Path or URI of the checkpoint.
        map_location: Device that the tensors are loaded to.

    Raises:
        ArgumentError: No weight in the checkpoint belongs to the part.
    """
    content = as_checkpoint(_load_checkpoint(filename, map_location), filename)
    weights: Mapping[str, Any] = weights_of(content, filename)
    start = f"{str(prefix).rstrip('.')}."
    found = OrderedDict(
        (name.removeprefix(start), value) for name, value in weights.items() if name.startswith(start)
    )
    if not found:
        parts = list(dict.fromkeys(name.split(".")[0] for name in weights))
        raise ArgumentError(
            f"{filename} contains no weights with the prefix {start!r}.",
            near=(str(prefix), parts),
            argument="prefix",
        )
    versions = getattr(weights, "_metadata", {}).items()
    found._metadata = OrderedDict(  # type: ignore[attr-defined]  # as torch does
        (name[len(start) :], each) for name, each in versions if f"{name}.".startswith(start)
    )
    return found


def _revised(name: str, revise_keys: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in revise_keys:
        name = re.sub(pattern, replacement, name)
    return name
