"""Load weights from a URL."""

from __future__ import annotations

from typing import Any

import torch

from cfgtrain.checkpoint.plain_data import allow_numpy

__all__ = ["load_url"]


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> dict[str, Any]:
    """Download a checkpoint, unless torch has it in its cache, and load it.

    This is ``torch.hub.load_state_dict_from_url`` with the same arguments, but with another
    default: code in the downloaded file is not run.

    Raises:
        UnpicklingError: The file contains more than weights, and ``weights_only`` is True.
    """
    with allow_numpy():
        loaded: dict[str, Any] = torch.hub.load_state_dict_from_url(
            url, model_dir, map_location, progress, check_hash, file_name, weights_only
        )
    return loaded
